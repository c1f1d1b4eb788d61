#pragma once
#include <string>
#include <vector>

#include "augment/augment.h"
#include "kinds.h"
#include "tensor.h"

namespace dino {

typedef void (*Kernel)(const Call&);

/** An instruction set that kernels were compiled for. */
struct Isa {
  const char* name;   // "avx512"
  const char* title;  // "AVX-512"
  bool supported;     // by this machine
  const Kernel* kernels;  // of the local kinds
  ViewKernel view;
};

/** All that this build holds, the best first; `portable` is always there and last. */
std::vector<Isa> instruction_sets();

}  // namespace dino
