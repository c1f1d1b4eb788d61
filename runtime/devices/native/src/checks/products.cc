#include "checker.h"

namespace dino {
namespace checks {

void linear(Checker& c) {
  c.attributes(1);
  const bool gelu = c.whole(0, 0, 1) == 1;
  c.counts(2, 3, gelu ? 2 : 1);
  c.in_float(0, {'R', 'i'});
  c.in_float(1, {'o', 'i'});
  c.product(0, 1);
  c.maybe(2, {'o'});
  c.out_float(0, {'R', 'o'});
  if (gelu) c.like(c.result(1), c.result(0));
}
void matmul(Checker& c) {
  c.counts(2, 5, 1);
  c.attributes(3);
  const bool ta = c.whole(0, 0, 1) == 1, tb = c.whole(1, 0, 1) == 1, gelu = c.whole(2, 0, 1) == 1;
  ta ? c.in_float(0, {'k', 'm'}) : c.in_float(0, {'m', 'k'});
  tb ? c.in_float(1, {'n', 'k'}) : c.in_float(1, {'k', 'n'});
  c.product(0, 1);
  c.maybe(2, {'m', 'n'});
  if (gelu) c.in_float(3, {'m', 'n'});
  if (c.has(3)) c.expect(Checker::float_of(c.operand(0)) == DType::bf16 || Checker::float_of(c.operand(3)) == DType::f32, "has a bf16 slope of an f32 product");
  c.rows(4);
  c.out_float(0, {'m', 'n'});
}
void batch_matmul(Checker& c) {
  c.counts(2, 2, 1);
  c.attributes(3);
  const bool ta = c.whole(0, 0, 1) == 1, tb = c.whole(1, 0, 1) == 1;
  ta ? c.in(0, {'b', 'k', 'm'}) : c.in(0, {'b', 'm', 'k'});
  tb ? c.in(1, {'b', 'n', 'k'}) : c.in(1, {'b', 'k', 'n'});
  c.out(0, {'b', 'm', 'n'});
}
void sum_rows(Checker& c) {
  c.counts(1, 2, 1);
  c.in_float(0, {'R', 'd'});
  c.rows(1);
  c.out(0, {'d'});
}

}  // namespace checks
}  // namespace dino
