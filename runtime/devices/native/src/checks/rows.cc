#include "checker.h"

namespace dino {
namespace checks {

void concat_rows(Checker& c) {
  c.counts(1, 1 << 20, 1);
  if (!c.ok()) return;
  int64_t elements = 0;
  for (int i = 0; i < c.operands(); i++) {
    c.expect(c.has(i) && c.operand(i)->dtype == c.result(0)->dtype, "joins tensors of different dtypes");
    c.expect(c.result(0)->dtype != DType::bf16, "moves rows of bf16");
    if (c.has(i)) elements += c.operand(i)->elements();
  }
  c.expect(c.ok() && c.result(0)->elements() == elements, "has a result that is not as long as its operands together");
}
/** Rows of `part` are rows start .. of `whole`. */
void rows_within(Checker& c, const PlanTensor* part, const PlanTensor* whole, int64_t start) {
  if (!part || !whole || part->shape.empty() || part->shape.size() != whole->shape.size() || part->dtype != whole->dtype)
    return c.fail("has operands or results of different shapes");
  if (part->dtype == DType::bf16) return c.fail("moves rows of bf16");
  for (size_t i = 1; i < part->shape.size(); i++)
    c.expect(part->shape[i] == whole->shape[i], "has operands or results of different shapes");
  c.expect(start + part->shape[0] <= whole->shape[0], "reaches beyond the rows that there are");
}
void slice_rows(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  rows_within(c, c.result(0), c.operand(0), c.whole(0, 0));
}
void place_rows(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  rows_within(c, c.operand(0), c.result(0), c.whole(0, 0));
}
void tokens_within(Checker& c, const PlanTensor* ragged) {
  c.attributes(3);
  const std::vector<Group>& groups = c.groups(ragged);
  if (!c.ok()) return;
  const int64_t group = c.whole(0, 0, static_cast<int64_t>(groups.size()) - 1);
  const int64_t start = c.whole(1, 0), tokens = c.whole(2, 0);
  const Group& g = groups[static_cast<size_t>(group)];
  c.expect(start + tokens <= g.length, "takes tokens beyond the end of a sequence");
  c.bind('n', g.count * tokens);
}
void select_tokens(Checker& c) {
  c.counts(1, 1, 1);
  c.in(0, {'T', 'd'});
  tokens_within(c, c.operand(0));
  c.out(0, {'n', 'd'});
}
void place_tokens(Checker& c) {
  c.counts(1, 1, 1);
  c.out(0, {'T', 'd'});
  tokens_within(c, c.result(0));
  c.in(0, {'n', 'd'});
}
void gather_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in(0, {'R', 'd'});
  c.in_i32(1, {'n'});
  c.rows(2);
  c.out(0, {'n', 'd'});
}
void scatter_add_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in(0, {'n', 'd'});
  c.in_i32(1, {'n'});
  c.rows(2);
  c.out(0, {'t', 'd'});
}
/** `part` holds sequences of `whole`, group by group; operand `kept` says which. */
void kept_within(Checker& c, const PlanTensor* part, const PlanTensor* whole, int kept) {
  const std::vector<Group>& some = c.groups(part);
  const std::vector<Group>& all = c.groups(whole);
  if (!c.ok()) return;
  if (some.size() != all.size()) return c.fail("keeps sequences of other groups than there are");
  int64_t sequences = 0;
  for (size_t g = 0; g < some.size(); g++) {
    c.expect(some[g].length == all[g].length && some[g].count <= all[g].count, "keeps sequences of other groups than there are");
    sequences += some[g].count;
  }
  c.in_i32(kept, {sequences});
}
void gather_segments(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'T', 'd'});
  c.out(0, {'t', 'd'});
  kept_within(c, c.result(0), c.operand(0), 1);
}
void scatter_segments(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'t', 'd'});
  c.out(0, {'T', 'd'});
  kept_within(c, c.operand(0), c.result(0), 1);
  if (c.ok()) c.attributes(c.result(0)->groups.size());
}
void factors(Checker& c, int operand, const PlanTensor* ragged) {
  if (!c.has(operand)) return;
  int64_t sequences = 0;
  for (const Group& g : c.groups(ragged)) sequences += g.count;
  c.in(operand, {sequences});
}
void residual_add(Checker& c) {
  c.counts(5, 5, 1);
  c.in(0, {'T', 'd'});
  c.out(0, {'T', 'd'});
  c.maybe(2, {'d'});
  if (c.has(3)) {
    c.in_float(1, {'t', 'd'});
    kept_within(c, c.operand(1), c.operand(0), 3);
    if (c.ok()) c.attributes(c.operand(0)->groups.size());
  } else {
    c.in_float(1, {'T', 'd'});
    factors(c, 4, c.operand(0));
  }
}
void residual_add_grad(Checker& c) {
  c.counts(5, 5, c.has(2) ? 2 : 1);
  c.in(0, {'T', 'd'});
  c.out_float(0, {c.has(3) ? 't' : 'T', 'd'});
  if (c.has(2)) {
    c.in_float(1, {c.has(3) ? 't' : 'T', 'd'});
    c.in(2, {'d'});
    c.out(1, {'d'});
  }
  if (c.has(3)) {
    kept_within(c, c.result(0), c.operand(0), 3);
    if (c.ok()) c.attributes(c.operand(0)->groups.size());
  } else {
    factors(c, 4, c.operand(0));
  }
}

}  // namespace checks
}  // namespace dino
