#include "checker.h"

namespace dino {
namespace checks {

void sinkhorn_columns(Checker& c) {
  c.counts(3, 4, 1);
  c.in(0, {'R', 'K'});
  c.maybe(1, {'R'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'K'});
}
void sinkhorn_rows(Checker& c) {
  c.counts(3, 4, 1);
  c.in(0, {'R', 'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'R'});
}
/** Few enough that their elements can be counted. */
constexpr int most_tensors = 1 << 16;
/** `part` is what one of the ranks holds of `total` elements. */
void part_of(Checker& c, const PlanTensor* part, int64_t total) {
  const int64_t ranks = c.whole(0, 1, max_ranks);
  if (part && part->elements() != ceil_div(total, ranks))
    c.fail("has a part of " + std::to_string(part->elements()) + " of " + std::to_string(total) + " elements of " + std::to_string(ranks) + " ranks");
}
void all_gather(Checker& c) {
  c.counts(1, 1, 1, most_tensors);
  c.attributes(1);
  if (!c.has(0)) return c.fail("lacks an operand");
  int64_t total = 0;
  for (int i = 0; c.ok() && i < c.results(); i++) {
    c.expect(c.result(i)->dtype == c.operand(0)->dtype, "joins tensors of different dtypes");
    total += c.result(i)->elements();
  }
  if (c.ok()) part_of(c, c.operand(0), total);
}
void reduce_scatter(Checker& c) {
  c.counts(1, most_tensors, 1);
  c.attributes(1);
  int64_t total = 0;
  for (int i = 0; c.ok() && i < c.operands(); i++) {
    if (!c.has(i) || c.operand(i)->dtype == DType::i32) return c.fail("operand " + std::to_string(i) + " is not f32 or bf16");
    c.expect(c.operand(i)->dtype == c.operand(0)->dtype, "adds tensors of different dtypes");
    total += c.operand(i)->elements();
  }
  c.expect(c.result(0) && c.result(0)->dtype == DType::f32, "has a result that is not f32");
  if (c.ok()) part_of(c, c.result(0), total);
}
void all_reduce(Checker& c) {
  c.attributes(3);
  c.whole(0, 1, max_ranks);
  const int64_t how = c.whole(1, 0, 2), weights = c.whole(2, 0, 1);
  const int values = c.operands() - static_cast<int>(weights);
  c.counts(1 + static_cast<int>(weights), most_tensors, values);
  c.expect(weights == 0 || how == 1, "weights what is no mean");
  for (int i = 0; c.ok() && i < values; i++) {
    c.expect(c.has(i) && (c.operand(i)->dtype == DType::f32 || (how == 0 && c.operand(i)->dtype == DType::i32)), "reduces an operand that is not f32");
    c.like(c.operand(i), c.result(i));
  }
  if (weights == 1) c.in_i32(values, {});
}

}  // namespace checks
}  // namespace dino
