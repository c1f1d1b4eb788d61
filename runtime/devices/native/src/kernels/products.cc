#include "gemm.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {

namespace {

const float* f32_or_null(const Call& call, int operand) {
  return operand < call.in_count && call.in[operand] ? f32_of(call.in[operand]) : nullptr;
}

/** body(data of a, data of b) with both as floats or both as bf16. */
template <class Body>
void with_operands(const Tensor* a, const Tensor* b, const Body& body) {
  if (is_bf16(a))
    body(bf16_of(a), bf16_of(b));
  else
    body(f32_of(a), f32_of(b));
}

}  // namespace

// (x [R, in], w [out, in], b? [out]) -> y [R, out]; with gelu: (y, pre)
void linear(const Call& call) {
  const Tensor &x = *call.in[0], &w = *call.in[1];
  with_operands(&x, &w, [&](auto* a, auto* b) {
    Product<std::remove_pointer_t<decltype(a)>> p{};
    p.n = w.shape[0];
    p.k = w.shape[1];
    p.m = rows_of(*call.out[0]);
    p.a = Operand{a, p.k, false};
    p.b = Operand{b, p.k, true};
    p.c = values_of(call.out[0]);
    p.epilogue.bias = f32_or_null(call, 2);
    if (call.attr[0] != 0) p.epilogue.before_gelu = values_of(call.out[1]);
    multiply(call, p);
  });
}

// (a, b, c?, pre?, rows?) -> op(a) op(b) + c, [m, n]
void matmul(const Call& call) {
  const bool trans_a = call.attr[0] != 0, trans_b = call.attr[1] != 0;
  const Tensor &a = *call.in[0], &b = *call.in[1];
  with_operands(&a, &b, [&](auto* from_a, auto* from_b) {
    Product<std::remove_pointer_t<decltype(from_a)>> p{};
    p.m = call.out[0]->shape[0];
    p.n = call.out[0]->shape[1];
    p.k = row_limit(call, 4, a.shape[trans_a ? 0 : 1]);
    p.a = Operand{from_a, a.shape[1], trans_a};
    p.b = Operand{from_b, b.shape[1], trans_b};
    p.c = values_of(call.out[0]);
    p.epilogue.addend = f32_or_null(call, 2);
    if (call.attr[2] != 0) p.epilogue.slope = values_of(call.in[3]);
    multiply(call, p);
  });
}

// (a [n, p, q], b) -> [n, m, k] for each of the n: scale * op(a) op(b)
void batch_matmul(const Call& call) {
  const bool trans_a = call.attr[0] != 0;
  const bool trans_b = call.attr[1] != 0;
  const Tensor& a = *call.in[0];
  const Tensor& b = *call.in[1];
  const Tensor& c = *call.out[0];
  const int64_t pack = single_floats<float>(c.shape[2]);
  float* packs = take<float>(call, pool_threads(*call.pool) * pack);
  parallel(call, c.shape[0], [&](int64_t i, int thread) {
    Product<float> p{};
    p.m = c.shape[1];
    p.n = c.shape[2];
    p.k = a.shape[trans_a ? 1 : 2];
    p.a = Operand{f32_of(&a) + i * a.shape[1] * a.shape[2], a.shape[2], trans_a};
    p.b = Operand{f32_of(&b) + i * b.shape[1] * b.shape[2], b.shape[2], trans_b};
    p.c = values_of(f32_of(&c) + i * p.m * p.n);
    p.epilogue.alpha = static_cast<float>(call.attr[2]);
    multiply_single(p, packs + thread * pack);
  });
}

}  // namespace DINO_ISA
}  // namespace dino
