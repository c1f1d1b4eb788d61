#include "gemm.h"
#include "logits.h"
#include "table.h"

// Cross-entropy against prototypes, by ranges of prototypes: student logits and targets exist for one range at a time.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr float minus_infinity = -__builtin_inff();

/**
 * Teacher logits and the log factors of their targets. The logits are stored, or products with the teacher's own
 * prototypes that exist for one range at a time.
 */
struct Teacher {
  const float *z, *u, *v;
  float inverse;  // what remains of the temperature
  int64_t rows, ld;
  const Logits* streamed;
  float* tile;

  /** `in`: z, u, v, temp. */
  static Teacher stored(const Tensor* const* in) {
    return Teacher{f32_of(in[0]), f32_of(in[1]), f32_of(in[2]), 1.0f / f32_of(in[3])[0], rows_of(*in[0]), columns_of(*in[0]), nullptr, nullptr};
  }
  /** `in`: u, v. The logits are divided by the temperature. */
  static Teacher of_features(const Call& call, const Tensor* const* in, const Logits& logits, int64_t rows, int64_t range) {
    return Teacher{nullptr, f32_of(in[0]), f32_of(in[1]), 1.0f, rows, range, &logits, take<float>(call, rows * range)};
  }
  /** Makes the logits of prototypes k0 .. k0+n what `row` reads. */
  void open(const Call& call, int64_t k0, int64_t n) const {
    if (!streamed) return;
    streamed->pack(call, k0, n);
    streamed->tile(call, rows, n, tile, ld);
  }
  const float* row(int64_t r, int64_t k0) const { return streamed ? tile + r * ld : z + r * ld + k0; }
};

/**
 * Sums exp(z/T + u + v) of a unit's teacher rows over prototypes k0 .. k0+n into `sum`, and returns its total;
 * `entropy` gains -sum t log t.
 */
double targets_of(const Teacher& teacher, const Units& units, int64_t unit, int64_t k0, int64_t n, float* sum, double* entropy) {
  vf total = broadcast(0.0f), spread = broadcast(0.0f);
  for (int64_t i = 0; i < units.teachers(); i++) {
    const int64_t r = units.teacher(unit, i);
    const float *z = teacher.row(r, k0), *v = teacher.v + k0;
    const vf factor = broadcast(teacher.inverse), u = broadcast(teacher.u[r]);
    for_lanes(n, [&](int64_t j, int64_t c) {
      const vf log_t = get(z + j, c) * factor + get_or(v + j, c, minus_infinity) + u;
      const vf t = exponential(log_t);
      if (sum) put(sum + j, i == 0 ? t : get(sum + j, c) + t, c);
      total = total + t;
      if (entropy) spread = spread - t * maximum(broadcast(-200.0f), log_t);
    });
  }
  if (entropy) *entropy += static_cast<double>(sum_lanes(spread));
  return static_cast<double>(sum_lanes(total));
}

/** Students x, w are operands 0 and 1; results as of both ops below, whose second differs: lse, or lse - log mass. */
void loss_of(const Call& call, const Units& units, const Teacher& teacher, int64_t range, const Tensor* weighted) {
  const CrossEntropy& a = units.of;
  const int64_t bound = rows_of(*call.in[0]), k = rows_of(*call.in[1]), students = units.students;
  const float* weights = weighted ? f32_of(weighted) : nullptr;
  float* lse = f32_of(call.out[1]);
  float* usage = a.stats ? f32_of(call.out[3]) : nullptr;
  float* sums = take<float>(call, units.count * range);
  const Logits of_students(call, call.in[0], call.in[1], 1.0f / a.temperature, range);
  float* blocks = take<float>(call, pool_threads(*call.pool) * logit_rows * range);
  // Of each unit: the total of its targets and their entropy. Of each student: running maximum and sum of its
  // exponentials, and the product of its targets and logits.
  double *masses = take<double>(call, units.count), *entropies = take<double>(call, units.count);
  double *totals = take<double>(call, students), *alongs = take<double>(call, students);
  float* tops = take<float>(call, students);
  for (int64_t i = 0; i < units.count; i++) masses[i] = entropies[i] = 0.0;
  for (int64_t s = 0; s < students; s++) totals[s] = alongs[s] = 0.0, tops[s] = minus_infinity;
  for (int64_t k0 = 0; k0 < k; k0 += range) {
    const int64_t n = at_most(k - k0, range);
    teacher.open(call, k0, n);
    of_students.pack(call, k0, n);
    parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int) {
      for (int64_t i = task * unit_rows; i < at_most((task + 1) * unit_rows, units.count); i++)
        masses[i] += targets_of(teacher, units, i, k0, n, sums + i * range, a.stats ? &entropies[i] : nullptr);
    });
    if (usage) {
      const double teachers = static_cast<double>(units.count * units.teachers());
      parallel(call, ceil_div(n, 64), [&](int64_t task, int) {
        double total[64] = {};
        const int64_t j0 = task * 64, m = at_most(n - j0, 64);
        for (int64_t i = 0; i < units.count; i++)
          for (int64_t j = 0; j < m; j++) total[j] += static_cast<double>(sums[i * range + j0 + j]);
        for (int64_t j = 0; j < m; j++) usage[k0 + j0 + j] = units.count == 0 ? 0.0f : static_cast<float>(total[j] / teachers);
      });
    }
    parallel(call, ceil_div(students, logit_rows), [&](int64_t task, int thread) {
      float* logits = blocks + thread * logit_rows * range;
      const int64_t s0 = task * logit_rows, m = at_most(students - s0, logit_rows);
      of_students.rows(s0, m, n, logits, range, thread);
      for (int64_t i = 0; i < m; i++) {
        const int64_t s = s0 + i;
        const float *row = logits + i * range, *target = sums + units.unit(s) * range;
        vf most = broadcast(tops[s]), along = broadcast(0.0f);
        for_lanes(n, [&](int64_t j, int64_t c) {
          most = maximum(most, get_or(row + j, c, minus_infinity));
          along = along + get(row + j, c) * get(target + j, c);
        });
        const float top = maximum_lanes(most);
        const vf shift = broadcast(top);
        vf sum = broadcast(0.0f);
        for_lanes(n, [&](int64_t j, int64_t c) { sum = sum + exponential_negative(get_or(row + j, c, minus_infinity) - shift); });
        const double before = tops[s] == minus_infinity ? 0.0 : totals[s] * __builtin_exp(static_cast<double>(tops[s]) - static_cast<double>(top));
        totals[s] = before + static_cast<double>(sum_lanes(sum));
        tops[s] = top;
        alongs[s] += static_cast<double>(sum_lanes(along));
      }
    });
  }
  for (int64_t s = 0; s < students; s++) {
    const double own = static_cast<double>(tops[s]) + __builtin_log(totals[s]);
    const double mass = masses[units.unit(s)];
    lse[s] = static_cast<float>(teacher.streamed ? own - __builtin_log(mass) : own);
    alongs[s] = own * mass - alongs[s];
  }
  for (int64_t s = students; s < bound; s++) lse[s] = 0.0f;
  f32_of(call.out[0])[0] = total_loss(units, weights, alongs);
  if (!a.stats) return;
  double entropy = 0;
  for (int64_t i = 0; i < units.count; i++) entropy += entropies[i];
  f32_of(call.out[2])[0] =
      units.count == 0 ? 0.0f : static_cast<float>(entropy / static_cast<double>(units.count * units.teachers()));
}

/** dx (+)= dlogits w and dw = dlogitsᵀ x of prototypes k0 .. k0+n; rows of dlogits are `range` apart. */
template <class T>
void multiply_gradients(const Call& call, const T* dlogits, int64_t range, int64_t students, const Tensor& x, const Tensor& w, int64_t k0,
                        int64_t n, float* dx, float* dw) {
  const int64_t b = columns_of(x);
  Product<T> rows{};
  rows.m = students;
  rows.n = b;
  rows.k = n;
  rows.a = Operand{dlogits, range, false};
  rows.b = Operand{static_cast<const T*>(w.data) + k0 * b, b, false};
  rows.c = values_of(dx);
  if (k0 > 0) rows.epilogue.addend = dx;
  multiply(call, rows);
  Product<T> columns{};
  columns.m = n;
  columns.n = b;
  columns.k = students;
  columns.a = Operand{dlogits, range, true};
  columns.b = Operand{static_cast<const T*>(x.data), b, false};
  columns.c = values_of(dw + k0 * b);
  multiply(call, columns);
}

/** dloss, x and w are operands 0 to 2; `lse` as `loss_of` gave it. */
void gradients_of(const Call& call, const Units& units, const Teacher& teacher, int64_t range, const float* lse, const Tensor* weighted) {
  const CrossEntropy& a = units.of;
  const int64_t bound = rows_of(*call.in[1]), b = columns_of(*call.in[1]), k = rows_of(*call.in[2]), students = units.students;
  const Tensor &x = *call.in[1], &w = *call.in[2];
  const bool half = is_bf16(&x);
  const float* weights = weighted ? f32_of(weighted) : nullptr;
  float *dx = f32_of(call.out[0]), *dw = f32_of(call.out[1]);
  const float inverse = 1.0f / a.temperature;
  const float slope = f32_of(call.in[0])[0] * a.scale * inverse;
  float* sums = take<float>(call, units.count * range);
  const Logits of_students(call, &x, &w, inverse, range);
  // In bf16 a float block a thread, rounded when it is done.
  float* dlogits = take<float>(call, (half ? pool_threads(*call.pool) * logit_rows : students) * range);
  bf16* rounded = take<bf16>(call, half ? students * range : 0);
  // Streamed, masses are in `lse` already.
  double* masses = take<double>(call, units.count);
  const bool single = !teacher.streamed && k <= range;
  if (teacher.streamed)
    for (int64_t i = 0; i < units.count; i++) masses[i] = 1.0;
  else if (!single)
    parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int) {
      for (int64_t i = task * unit_rows; i < at_most((task + 1) * unit_rows, units.count); i++) {
        masses[i] = 0;
        for (int64_t k0 = 0; k0 < k; k0 += range)
          masses[i] += targets_of(teacher, units, i, k0, at_most(k - k0, range), nullptr, nullptr);
      }
    });
  for (int64_t k0 = 0; k0 < k; k0 += range) {
    const size_t mark = workspace_mark(*call.workspace);
    const int64_t n = at_most(k - k0, range);
    teacher.open(call, k0, n);
    of_students.pack(call, k0, n);
    parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int) {
      for (int64_t i = task * unit_rows; i < at_most((task + 1) * unit_rows, units.count); i++) {
        const double mass = targets_of(teacher, units, i, k0, n, sums + i * range, nullptr);
        if (single) masses[i] = mass;
      }
    });
    parallel(call, ceil_div(students, logit_rows), [&](int64_t task, int thread) {
      const int64_t s0 = task * logit_rows, m = at_most(students - s0, logit_rows);
      float* block = dlogits + (half ? thread * logit_rows : s0) * range;
      of_students.rows(s0, m, n, block, range, thread);
      for (int64_t s = s0; s < s0 + m; s++) {
        const int64_t unit = units.unit(s);
        float* row = block + (s - s0) * range;
        const float* target = sums + unit * range;
        const vf shift = broadcast(lse[s]), mass = broadcast(static_cast<float>(masses[unit]));
        const vf factor = broadcast(weights ? slope * weights[s] : slope);
        for_lanes(n, [&](int64_t j, int64_t c) {
          const vf slope = factor * (exponential(get(row + j, c) - shift) * mass - get(target + j, c));
          if (half)
            put(rounded + s * range + j, slope, c);
          else
            put(row + j, slope, c);
        });
      }
    });
    if (half)
      multiply_gradients(call, rounded, range, students, x, w, k0, n, dx, dw);
    else
      multiply_gradients(call, dlogits, range, students, x, w, k0, n, dx, dw);
    workspace_release(*call.workspace, mark);
  }
  for_elements(call, (bound - students) * b, [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; i++) dx[students * b + i] = 0.0f;
  });
}

}  // namespace

// (x [S, b], w [K, b], z [R, K], u [R], v [K], temp [], weights?, rows?) -> (loss, lse [S], entropy, usage [K])
void prototype_cross_entropy(const Call& call) {
  const Units units = units_of(cross_entropy_of(call), row_limit(call, 7, rows_of(*call.in[0])));
  const int64_t range = range_of(rows_of(*call.in[1]), units.count);
  loss_of(call, units, Teacher::stored(call.in + 2), range, call.in[6]);
}

// (dloss [], x, w, z, u, v, temp, lse, weights?, rows?) -> (dx [S, b], dw [K, b])
void prototype_cross_entropy_grad(const Call& call) {
  const Units units = units_of(cross_entropy_of(call), row_limit(call, 9, rows_of(*call.in[1])));
  const int64_t range = range_of(rows_of(*call.in[2]), units.students);
  gradients_of(call, units, Teacher::stored(call.in + 3), range, f32_of(call.in[7]), call.in[8]);
}

// (x [S, b], w [K, b], xt [R, b], wt [K, b], u [R], v [K], temp [], weights?, rows?) -> (loss, shift [S], entropy, usage [K])
void streamed_cross_entropy(const Call& call) {
  const Units units = units_of(cross_entropy_of(call), row_limit(call, 8, rows_of(*call.in[0])));
  const int64_t rows = units.count * units.teachers(), range = range_of(rows_of(*call.in[1]), rows);
  const Logits logits(call, call.in[2], call.in[3], 1.0f / f32_of(call.in[6])[0], range);
  loss_of(call, units, Teacher::of_features(call, call.in + 4, logits, rows, range), range, call.in[7]);
}

// (dloss [], x, w, xt, wt, u, v, temp, shift, weights?, rows?) -> (dx [S, b], dw [K, b])
void streamed_cross_entropy_grad(const Call& call) {
  const Units units = units_of(cross_entropy_of(call), row_limit(call, 10, rows_of(*call.in[1])));
  const int64_t rows = units.count * units.teachers(), range = range_of(rows_of(*call.in[2]), at_least(rows, units.students));
  const Logits logits(call, call.in[3], call.in[4], 1.0f / f32_of(call.in[7])[0], range);
  gradients_of(call, units, Teacher::of_features(call, call.in + 5, logits, rows, range), range, f32_of(call.in[8]), call.in[9]);
}

}  // namespace DINO_ISA
}  // namespace dino
