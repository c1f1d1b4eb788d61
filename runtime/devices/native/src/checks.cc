#include "checks/checker.h"

namespace dino {
namespace {

using checks::Checker;

struct Row {
  void (*check)(Checker&);
};
const Row table[kind_count] = {
#define X(name) {checks::name},
    DINO_KERNEL_KINDS(X)
#undef X
};

/** Which results may stand in the place of which operand: kernels read an element, or a row, before they write it. */
struct InPlace {
  Kind kind;
  int result, operand;
};
const InPlace in_place[] = {
    {Kind::replace_masked, 0, 0},     {Kind::replace_masked_grad, 0, 0}, {Kind::layer_norm, 0, 0},
    {Kind::layer_norm_rebuild, 0, 0}, {Kind::layer_norm_grad, 0, 0},     {Kind::gelu, 0, 0},
    {Kind::gelu_grad, 0, 0},          {Kind::gelu_grad, 0, 1},           {Kind::silu_gate_grad, 0, 1},
    {Kind::layer_scale, 0, 0},        {Kind::layer_scale_grad, 0, 0},    {Kind::l2_normalize, 0, 0},
    {Kind::l2_normalize_grad, 0, 0},  {Kind::softmax, 0, 0},             {Kind::softmax_grad, 0, 0},
    {Kind::add, 0, 0},                {Kind::add, 0, 1},                 {Kind::scale, 0, 0},
    {Kind::residual_add, 0, 0},       {Kind::make_targets, 0, 0},        {Kind::cross_entropy_rows_grad, 0, 1},
    {Kind::matmul, 0, 2},             {Kind::adamw, 0, 0},               {Kind::adamw, 1, 2},
    {Kind::adamw, 2, 3},              {Kind::ema, 0, 0},                 {Kind::adamw_ema, 0, 0},
    {Kind::adamw_ema, 1, 2},          {Kind::adamw_ema, 2, 3},           {Kind::adamw_ema, 3, 4},
    {Kind::update_center, 0, 0},      {Kind::accumulate, 0, 0},          {Kind::accumulate, 0, 1},
    {Kind::sqrt, 0, 0},
};

bool overlap(const PlanTensor& a, const PlanTensor& b) {
  if (a.in_state != b.in_state || a.arena != b.arena) return false;
  if (a.in_state) return true;
  return a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes();
}

bool same_place(const PlanTensor& a, const PlanTensor& b) { return a.offset == b.offset && a.bytes() == b.bytes(); }

bool may_replace(Kind kind, int result, int operand) {
  for (const InPlace& p : in_place)
    if (p.kind == kind && p.result == result && p.operand == operand) return true;
  return false;
}

void check_places(Checker& c, Kind kind) {
  for (int r = 0; r < c.results(); r++) {
    for (int o = 0; o < c.operands(); o++)
      if (c.has(o) && overlap(*c.result(r), *c.operand(o)) &&
          !(may_replace(kind, r, o) && same_place(*c.result(r), *c.operand(o))))
        c.fail("writes result " + std::to_string(r) + " over operand " + std::to_string(o));
    for (int other = 0; other < r; other++)
      if (overlap(*c.result(r), *c.result(other)))
        c.fail("writes results " + std::to_string(other) + " and " + std::to_string(r) + " to one place");
  }
}

}  // namespace

bool check_step(const Plan& plan, const PlanStep& step, std::string& message) {
  Checker checker(plan, step, message);
  table[static_cast<int>(step.kind)].check(checker);
  if (checker.ok()) check_places(checker, step.kind);
  return checker.ok();
}

}  // namespace dino
