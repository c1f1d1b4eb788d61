#include "checker.h"

namespace dino {
namespace checks {

void norm(Checker& c) {
  c.counts(1, 1 << 20, 1);
  for (int i = 0; i < c.operands(); i++) c.floats(i);
  c.out(0, {});
}
void finite(Checker& c) {
  c.counts(1, 1 << 20, 1);
  for (int i = 0; i < c.operands(); i++) c.in(i, {});
  c.out(0, {});
}
void clip_factor(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  c.in(0, {});
  c.out(0, {});
}
void adamw(Checker& c) {
  c.counts(9, 9, 3);
  c.attributes(5);
  c.floats(0);
  for (int i = 1; i < 4; i++) c.like(c.operand(i), c.operand(0));
  c.in(4, {});
  c.in(5, {});
  c.in_i32(6, {});
  c.maybe(7, {});
  c.in(8, {});
  for (int i = 0; i < 3; i++) c.like(c.result(i), c.operand(0));
}
void ema(Checker& c) {
  c.counts(4, 4, 1);
  c.floats(0);
  c.like(c.operand(1), c.operand(0));
  c.in(2, {});
  c.in(3, {});
  c.like(c.result(0), c.operand(0));
}
void adamw_ema(Checker& c) {
  c.counts(11, 11, 4);
  c.attributes(5);
  c.floats(0);
  for (int i = 1; i < 5; i++) c.like(c.operand(i), c.operand(0));
  c.in(5, {});
  c.in(6, {});
  c.in_i32(7, {});
  c.in(8, {});
  c.maybe(9, {});
  c.in(10, {});
  for (int i = 0; i < 4; i++) c.like(c.result(i), c.operand(0));
}
void update_center(Checker& c) {
  c.counts(3, 4, 1);
  c.attributes(1);
  c.in(0, {'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'K'});
}
void accumulate(Checker& c) {
  c.counts(3, 3, 1);
  c.expect(c.has(0) && c.has(1), "lacks an operand");
  c.like(c.operand(0), c.operand(1));
  c.like(c.result(0), c.operand(1));
  c.expect(c.result(0) && c.result(0)->dtype != DType::bf16, "adds up bf16");
  c.in(2, {});
}

void square_sum(Checker& c) { norm(c); }
void sqrt(Checker& c) { one_to_one(c, 1); }

}  // namespace checks
}  // namespace dino
