#include "checker.h"

namespace dino {
namespace checks {

void sinkhorn(Checker& c) {
  c.counts(2, 3, 2);
  c.attributes(1);
  c.whole(0, 0, 1 << 20);
  c.in(0, {'R', 'K'});
  c.in(1, {});
  c.rows(2);
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void sharpen_center(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'R', 'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void make_targets(Checker& c) {
  c.counts(4, 4, 1);
  c.in(0, {'R', 'K'});
  c.in(1, {'R'});
  c.in(2, {'K'});
  c.in(3, {});
  c.out(0, {'R', 'K'});
}
void mean_rows(Checker& c) {
  c.counts(1, 3, 1);
  c.in(0, {'R', 'K'});
  c.rows(1);
  c.maybe(2, {'K'});
  c.out(0, {'K'});
}
/** Of S student and R teacher rows; `rows` is the operand that bounds both. */
void pairing(Checker& c, int rows) {
  c.attributes(6);
  const int64_t kind = c.whole(0, 0, 2), images = c.whole(1, 0), crops = c.whole(2, 0);
  c.whole(5, 0, 1);
  c.rows(rows);
  if (!c.ok()) return;
  const int64_t students = c.size('S'), teachers = c.size('R');
  const bool fits = kind == 0   ? students == teachers
                    : kind == 1 ? students == teachers && students == 2 * images
                                : images > 0 && crops > 0 && teachers == images * crops && students % images == 0;
  c.expect(fits, "pairs rows that are not there");
  c.expect(kind == 0 || !c.has(rows), "bounds rows that are paired across crops");
}
void loss_results(Checker& c) {
  const bool stats = c.whole(5, 0, 1) == 1;
  if (c.results() != (stats ? 4 : 2)) return c.fail("has " + std::to_string(c.results()) + " results");
  c.out(0, {});
  c.out(1, {'S'});
  if (!stats) return;
  c.out(2, {});
  c.out(3, {'K'});
}
void cross_entropy_rows(Checker& c) {
  c.counts(4, 4, 2, 4);
  c.in(0, {'S', 'K'});
  c.in(1, {'R', 'K'});
  c.maybe(2, {'S'});
  pairing(c, 3);
  loss_results(c);
}
void cross_entropy_rows_grad(Checker& c) {
  c.counts(6, 6, 1);
  c.in(0, {});
  c.in(1, {'S', 'K'});
  c.in(2, {'R', 'K'});
  c.in(3, {'S'});
  c.maybe(4, {'S'});
  pairing(c, 5);
  c.out(0, {'S', 'K'});
}
void prototype_cross_entropy(Checker& c) {
  c.counts(8, 8, 2, 4);
  c.in_float(0, {'S', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {'R', 'K'});
  c.in(3, {'R'});
  c.in(4, {'K'});
  c.in(5, {});
  c.maybe(6, {'S'});
  pairing(c, 7);
  loss_results(c);
}
void prototype_cross_entropy_grad(Checker& c) {
  c.counts(10, 10, 2);
  c.in(0, {});
  c.in_float(1, {'S', 'b'});
  c.in_float(2, {'K', 'b'});
  c.product(1, 2);
  c.in(3, {'R', 'K'});
  c.in(4, {'R'});
  c.in(5, {'K'});
  c.in(6, {});
  c.in(7, {'S'});
  c.maybe(8, {'S'});
  pairing(c, 9);
  c.out(0, {'S', 'b'});
  c.out(1, {'K', 'b'});
}
void streamed_sinkhorn(Checker& c) {
  c.counts(3, 4, 2);
  c.attributes(1);
  c.whole(0, 0, 1 << 20);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {});
  c.rows(3);
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void streamed_sharpen_center(Checker& c) {
  c.counts(4, 4, 2);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {'K'});
  c.in(3, {});
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void streamed_mean_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.rows(2);
  c.out(0, {'K'});
}
void streamed_cross_entropy(Checker& c) {
  c.counts(9, 9, 2, 4);
  c.in_float(0, {'S', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in_float(2, {'R', 'd'});
  c.in_float(3, {'K', 'd'});
  c.product(2, 3);
  c.in(4, {'R'});
  c.in(5, {'K'});
  c.in(6, {});
  c.maybe(7, {'S'});
  pairing(c, 8);
  loss_results(c);
}
void streamed_cross_entropy_grad(Checker& c) {
  c.counts(11, 11, 2);
  c.in(0, {});
  c.in_float(1, {'S', 'b'});
  c.in_float(2, {'K', 'b'});
  c.product(1, 2);
  c.in_float(3, {'R', 'd'});
  c.in_float(4, {'K', 'd'});
  c.product(3, 4);
  c.in(5, {'R'});
  c.in(6, {'K'});
  c.in(7, {});
  c.in(8, {'S'});
  c.maybe(9, {'S'});
  pairing(c, 10);
  c.out(0, {'S', 'b'});
  c.out(1, {'K', 'b'});
}
void koleo(Checker& c) {
  c.counts(1, 1, 2);
  c.attributes(3);
  const int64_t set = c.whole(0, 1);
  c.in(0, {'R', 'd'});
  c.expect(c.size('R') % set == 0, "has sets that do not divide its rows");
  c.out(0, {});
  c.out(1, {'R'}, DType::i32);
}
void koleo_grad(Checker& c) {
  c.counts(3, 3, 1);
  c.attributes(3);
  c.whole(0, 1);
  c.in(0, {});
  c.in(1, {'R', 'd'});
  c.in_i32(2, {'R'});
  c.out(0, {'R', 'd'});
}

}  // namespace checks
}  // namespace dino
