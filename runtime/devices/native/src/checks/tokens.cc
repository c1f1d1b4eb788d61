#include "checker.h"

namespace dino {
namespace checks {

void patchify(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  const int64_t p = c.whole(0, 1);
  c.in(0, {'N', 'C', 'H', 'W'});
  if (!c.ok()) return;
  c.expect(c.size('H') % p == 0 && c.size('W') % p == 0, "has images that patches do not divide");
  c.out(0, {c.size('N') * (c.size('H') / p) * (c.size('W') / p), c.size('C') * p * p});
}
void replace_masked(Checker& c) {
  c.counts(3, 3, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.in_i32(2, {'R'});
  c.out(0, {'R', 'd'});
}
void replace_masked_grad(Checker& c) {
  c.counts(2, 2, 2);
  c.in(0, {'R', 'd'});
  c.in_i32(1, {'R'});
  c.out(0, {'R', 'd'});
  c.out(1, {'d'});
}
void interpolation(Checker& c, bool inverse) {
  c.counts(1, 1, 1);
  c.attributes(3);
  const int64_t grid = c.whole(0, 1, 4096), height = c.whole(1, 1, 4096), width = c.whole(2, 1, 4096);
  c.expect(static_cast<int64_t>(c.attribute_count()) == 3 + (height + width) * grid, "lacks interpolation weights");
  const int64_t small = 1 + grid * grid, large = 1 + height * width;
  c.in(0, {inverse ? large : small, 'd'});
  c.out(0, {inverse ? small : large, 'd'});
}
void interpolate_pos(Checker& c) { interpolation(c, false); }
void interpolate_pos_grad(Checker& c) { interpolation(c, true); }
void assemble_tokens(Checker& c) {
  c.counts(3, 4, 1);
  c.attributes(3);
  const int64_t count = c.whole(0, 0), patches = c.whole(1, 0), registers = c.whole(2, 0, 1 << 20);
  c.in(0, {count * patches, 'd'});
  c.in(1, {'d'});
  c.in(2, {1 + patches, 'd'});
  if (registers > 0) c.in(3, {registers, 'd'});
  c.out(0, {count * (1 + registers + patches), 'd'});
}
void assemble_tokens_grad(Checker& c) {
  c.attributes(3);
  const int64_t count = c.whole(0, 0), patches = c.whole(1, 0), registers = c.whole(2, 0, 1 << 20);
  c.counts(1, 1, registers > 0 ? 4 : 3);
  c.in(0, {count * (1 + registers + patches), 'd'});
  c.out(0, {count * patches, 'd'});
  c.out(1, {'d'});
  c.out(2, {1 + patches, 'd'});
  if (registers > 0) c.out(3, {registers, 'd'});
}

}  // namespace checks
}  // namespace dino
