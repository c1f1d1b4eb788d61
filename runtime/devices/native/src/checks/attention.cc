#include "checker.h"

namespace dino {
namespace checks {

void attention(Checker& c) {
  c.counts(1, 1, 2);
  c.attributes(1);
  const int64_t heads = c.whole(0, 1, 1 << 16);
  c.out_float(0, {'T', 'd'});
  if (!c.ok()) return;
  c.in_float(0, {'T', 3 * c.size('d')});
  c.product(0, 0);
  c.groups(c.operand(0));
  c.expect(c.size('d') % heads == 0, "has heads that do not divide its width");
  c.out(1, {c.size('T') * heads});
}
void attention_grad(Checker& c) {
  c.counts(4, 4, 1);
  c.attributes(1);
  const int64_t heads = c.whole(0, 1, 1 << 16);
  c.in_float(0, {'T', 'd'});
  if (!c.ok()) return;
  c.in_float(1, {'T', 3 * c.size('d')});
  c.product(0, 1);
  c.product(1, 2);
  c.groups(c.operand(1));
  c.expect(c.size('d') % heads == 0, "has heads that do not divide its width");
  c.in_float(2, {'T', 'd'});
  c.in(3, {c.size('T') * heads});
  c.out_float(0, {'T', 3 * c.size('d')});
}
/** The parts of [count*length, parts*d] by head, as operands or as results. */
void heads(Checker& c, int parts, bool split) {
  c.counts(split ? 1 : parts, split ? 1 : parts, split ? parts : 1);
  c.attributes(3);
  const int64_t heads = c.whole(0, 1, 1 << 16), count = c.whole(1, 0), length = c.whole(2, 0);
  split ? c.in(0, {'T', 'w'}) : c.out(0, {'T', 'w'});
  if (!c.ok()) return;
  c.expect(c.size('w') % (parts * heads) == 0, "has heads that do not divide its width");
  c.expect(c.size('T') == count * length, "has sequences that do not add up to its rows");
  const int64_t size = c.size('w') / (parts * heads);
  for (int i = 0; i < parts; i++) {
    if (split)
      c.out(i, {count * heads, length, size});
    else
      c.in(i, {count * heads, length, size});
  }
}
void split_heads(Checker& c) { heads(c, 3, true); }
void join_heads(Checker& c) { heads(c, 3, false); }
void merge_heads(Checker& c) { heads(c, 1, false); }
void unmerge_heads(Checker& c) { heads(c, 1, true); }

}  // namespace checks
}  // namespace dino
