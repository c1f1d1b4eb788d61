#include "checker.h"

namespace dino {
namespace checks {

void layer_norm(Checker& c) {
  c.counts(3, 3, 3);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.in(2, {'d'});
  c.out_float(0, {'R', 'd'});
  c.out(1, {'R'});
  c.out(2, {'R'});
}
void layer_norm_rebuild(Checker& c) {
  c.counts(5, 5, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'R'});
  c.in(2, {'R'});
  c.in(3, {'d'});
  c.in(4, {'d'});
  c.out_float(0, {'R', 'd'});
}
void layer_norm_grad(Checker& c) {
  c.counts(5, 5, 3);
  c.in_float(0, {'R', 'd'});
  c.in(1, {'R', 'd'});
  c.in(2, {'R'});
  c.in(3, {'R'});
  c.in(4, {'d'});
  c.out(0, {'R', 'd'});
  c.out(1, {'d'});
  c.out(2, {'d'});
}
void gelu(Checker& c) { one_to_one_stored(c, 1); }
void gelu_grad(Checker& c) { one_to_one_stored(c, 2); }
void silu_gate(Checker& c) {
  c.counts(1, 1, 1);
  c.out_float(0, {'R', 'h'});
  if (c.ok()) c.in_float(0, {'R', 2 * c.size('h')});
}
void silu_gate_grad(Checker& c) {
  c.counts(2, 2, 1);
  c.in_float(0, {'R', 'h'});
  if (!c.ok()) return;
  c.in_float(1, {'R', 2 * c.size('h')});
  c.out_float(0, {'R', 2 * c.size('h')});
}
void layer_scale(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.out(0, {'R', 'd'});
}
void layer_scale_grad(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'R', 'd'});
  c.in_float(1, {'R', 'd'});
  c.in(2, {'d'});
  c.out_float(0, {'R', 'd'});
  c.out(1, {'d'});
}
void l2_normalize(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.out_float(0, {'R', 'd'});
}
void l2_normalize_grad(Checker& c) {
  c.counts(2, 2, 1);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.in(1, {'R', 'd'});
  c.out(0, {'R', 'd'});
}
void weight_norm(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'K', 'd'});
  c.in(1, {'K'});
  c.out_float(0, {'K', 'd'});
}
void weight_norm_grad(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'K', 'd'});
  c.in(1, {'K', 'd'});
  c.in(2, {'K'});
  c.out(0, {'K', 'd'});
  c.out(1, {'K'});
}
void softmax(Checker& c) { one_to_one(c, 1); }
void softmax_grad(Checker& c) { one_to_one(c, 2); }
void add(Checker& c) { one_to_one(c, 2); }
void scale(Checker& c) {
  one_to_one(c, 1);
  c.attributes(1);
}
void fill(Checker& c) {
  c.counts(0, 0, 1);
  c.attributes(1);
  c.expect(c.result(0) && c.result(0)->dtype != DType::bf16, "fills a bf16 tensor");
  c.expect(std::fabs(c.real(0)) < 2e9 || (c.result(0) && c.result(0)->dtype == DType::f32), "fills with a number that does not fit");
}
void cast(Checker& c) {
  c.counts(1, 1, 1);
  c.expect(c.has(0) && c.result(0) && c.operand(0)->shape == c.result(0)->shape, "has operands or results of different shapes");
}
void weighted_sum(Checker& c) {
  c.counts(1, 1 << 20, 1);
  c.attributes(static_cast<size_t>(c.operands()));
  for (int i = 0; i < c.operands(); i++) c.in(i, {});
  c.out(0, {});
}

}  // namespace checks
}  // namespace dino
