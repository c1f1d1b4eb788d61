#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kinds.h"
#include "tensor.h"

namespace dino {

/** Why a plan was refused: -1 where no program, step or tensor is to blame. */
struct LoadError {
  enum class Reason : int { none = 0, malformed = 1, placement = 2, operands = 3, unsupported = 4, memory = 5 };
  Reason reason = Reason::none;
  std::string message;
  int64_t program = -1;
  int64_t step = -1;
  int64_t tensor = -1;
};

struct PlanTensor {
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<Group> groups;
  bool in_state;
  int64_t arena;  // or the number of the state tensor
  int64_t offset;

  int64_t elements() const;
  int64_t bytes() const { return elements() * (dtype == DType::bf16 ? 2 : 4); }
};

struct PlanStep {
  Kind kind;
  std::vector<int64_t> operands;  // -1 where absent
  std::vector<int64_t> results;
  std::vector<double> attributes;
};

struct PlanProgram {
  std::vector<PlanStep> steps;
};

/** A plan as encode.ts writes it: one array of doubles, all but attributes whole numbers. */
struct Plan {
  std::vector<int64_t> arenas;  // bytes
  std::vector<PlanTensor> tensors;
  std::vector<PlanProgram> programs;
};

inline constexpr double plan_magic = 0x64696e6f;
inline constexpr double plan_encoding = 1;

/** Reads an encoded plan; nothing in it is trusted. */
bool decode_plan(const double* words, size_t count, Plan& plan, LoadError& error);

/** Whether operands, results and attributes of a step fit together, so that its kernel stays inside its tensors. */
bool check_step(const Plan& plan, const PlanStep& step, std::string& message);

}  // namespace dino
