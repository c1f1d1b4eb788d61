#pragma once
#include "../kinds.h"
#include "../tensor.h"

// Declares the kernels of the instruction set at hand: `void linear(const Call&)` and so on.

namespace dino {

typedef void (*Kernel)(const Call&);

namespace DINO_ISA {

#define X(name) void name(const Call& call);
DINO_LOCAL_KINDS(X)
#undef X

}  // namespace DINO_ISA
}  // namespace dino
