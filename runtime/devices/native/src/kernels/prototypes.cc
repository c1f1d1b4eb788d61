#include "gemm-bf16.h"
#include "gemm.h"
#include "pairs.h"
#include "table.h"

// Cross-entropy against prototypes, by ranges of prototypes: student logits and targets exist for one range at a time.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr float minus_infinity = -__builtin_inff();

/** Prototypes in a range: as many as keep `rows` of them within 4 MiB. */
int64_t range_of(int64_t k, int64_t rows) {
  const int64_t fit = (int64_t{1} << 20) / at_least(rows, 1) / tile_columns * tile_columns;
  return at_most(at_least(at_most(fit, 2048), 4 * tile_columns), ceil_div(k, tile_columns) * tile_columns);
}

/** Teacher logits and the log factors of their targets. */
struct Teacher {
  const float *z, *u, *v;
  float inverse;  // of the temperature
  int64_t k;
};

/**
 * Sums exp(z/T + u + v) of a unit's teacher rows over prototypes k0 .. k0+n into `sum`, and returns its total;
 * `entropy` gains -sum t log t.
 */
double targets_of(const Teacher& teacher, const Units& units, int64_t unit, int64_t k0, int64_t n, float* sum, double* entropy) {
  vf total = broadcast(0.0f), spread = broadcast(0.0f);
  for (int64_t i = 0; i < units.teachers(); i++) {
    const int64_t r = units.teacher(unit, i);
    const float *z = teacher.z + r * teacher.k + k0, *v = teacher.v + k0;
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

/** Logits of students x [S, b] over prototypes w [K, b], for a range of them at a time; both f32, or both bf16. */
struct StudentLogits {
  const Tensor *x, *w;
  int64_t b;
  float inverse;  // of the temperature
  void* panels;

  StudentLogits(const Call& call, const Tensor* x, const Tensor* w, float inverse, int64_t range)
      : x(x), w(w), b(columns_of(*x)), inverse(inverse) {
    panels = is_bf16(x) ? static_cast<void*>(take<bf16>(call, pair_panel_elements(b, range))) : take<float>(call, panel_floats(b, range));
  }

  /** w[k0 .. k0+n]ᵀ as panels, which `rows` multiplies. */
  void pack(const Call& call, int64_t k0, int64_t n) const {
    parallel(call, ceil_div(n, tile_columns), [&](int64_t panel, int) {
      const int64_t j = panel * tile_columns, count = at_most(n - j, tile_columns);
      if (is_bf16(x))
        pack_pair_panel(HalfOperand{bf16_of(w) + k0 * b, b, true}, 0, b, j, count, static_cast<bf16*>(panels) + panel * pairs_of(b) * panel_stride);
      else
        pack_panel(Operand{f32_of(w) + k0 * b, b, true}, 0, b, j, count, inverse, static_cast<float*>(panels) + j * b);
    });
  }

  /** logits[m, n], rows `ld` apart, of students s0 ..; `copy` has space for `tile_rows` of them. */
  void rows(int64_t s0, int64_t m, int64_t n, float* logits, int64_t ld, bf16* copy) const {
    if (!is_bf16(x)) return multiply_tiles(m, n, b, f32_of(x) + s0 * b, b, false, panels_of(static_cast<float*>(panels), b), logits, ld, false);
    const int64_t padded = round_to_pairs(b);
    for (int64_t i = 0; i < m; i += tile_rows) {
      const int64_t rows = at_most(m - i, tile_rows);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < b; c += 2 * width)
          store_pairs(copy + r * padded + c, get_pairs(bf16_of(x) + (s0 + i + r) * b + c, b - c));
      multiply_pair_rows(rows, n, pairs_of(b), copy, padded, false, static_cast<bf16*>(panels), logits + i * ld, ld, false);
      for (int64_t r = 0; r < rows; r++)
        for_lanes(n, [&](int64_t j, int64_t c) {
          float* at = logits + (i + r) * ld + j;
          put(at, get(at, c) * broadcast(inverse), c);
        });
    }
  }
  static int64_t round_to_pairs(int64_t n) { return ceil_div(n, 2 * width) * 2 * width; }
  /** Elements of `copy`. */
  int64_t copy_elements() const { return is_bf16(x) ? tile_rows * round_to_pairs(b) : 0; }
};

inline constexpr int64_t student_rows = 4 * tile_rows;

}  // namespace

// (x [S, b], w [K, b], z [R, K], u [R], v [K], temp [], weights?, rows?) -> (loss, lse [S], entropy, usage [K])
void prototype_cross_entropy(const Call& call) {
  const CrossEntropy a = cross_entropy_of(call);
  const int64_t bound = rows_of(*call.in[0]), k = rows_of(*call.in[1]);
  const int64_t students = row_limit(call, 7, bound);
  const Teacher teacher{f32_of(call.in[2]), f32_of(call.in[3]), f32_of(call.in[4]), 1.0f / f32_of(call.in[5])[0], k};
  const float* weights = call.in[6] ? f32_of(call.in[6]) : nullptr;
  float* lse = f32_of(call.out[1]);
  float* usage = a.stats ? f32_of(call.out[3]) : nullptr;
  const Units units = units_of(a, students);
  const float inverse = 1.0f / a.temperature;
  const int64_t range = range_of(k, units.count);
  float* sums = take<float>(call, units.count * range);
  const StudentLogits of_students(call, call.in[0], call.in[1], inverse, range);
  bf16* copies = take<bf16>(call, pool_threads(*call.pool) * of_students.copy_elements());
  float* blocks = take<float>(call, pool_threads(*call.pool) * student_rows * range);
  // Of each unit: the total of its targets and their entropy. Of each student: running maximum and sum of its
  // exponentials, and the product of its targets and logits.
  double *masses = take<double>(call, units.count), *entropies = take<double>(call, units.count);
  double *totals = take<double>(call, students), *alongs = take<double>(call, students);
  float* tops = take<float>(call, students);
  for (int64_t i = 0; i < units.count; i++) masses[i] = entropies[i] = 0.0;
  for (int64_t s = 0; s < students; s++) totals[s] = alongs[s] = 0.0, tops[s] = minus_infinity;
  for (int64_t k0 = 0; k0 < k; k0 += range) {
    const int64_t n = at_most(k - k0, range);
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
    parallel(call, ceil_div(students, student_rows), [&](int64_t task, int thread) {
      float* logits = blocks + thread * student_rows * range;
      const int64_t s0 = task * student_rows, m = at_most(students - s0, student_rows);
      of_students.rows(s0, m, n, logits, range, copies + thread * of_students.copy_elements());
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
    lse[s] = static_cast<float>(own);
    alongs[s] = own * masses[units.unit(s)] - alongs[s];
  }
  for (int64_t s = students; s < bound; s++) lse[s] = 0.0f;
  f32_of(call.out[0])[0] = total_loss(units, weights, alongs);
  if (!a.stats) return;
  double entropy = 0;
  for (int64_t i = 0; i < units.count; i++) entropy += entropies[i];
  f32_of(call.out[2])[0] =
      units.count == 0 ? 0.0f : static_cast<float>(entropy / static_cast<double>(units.count * units.teachers()));
}

namespace {

/** dx (+)= dlogits w and dw = dlogitsᵀ x of prototypes k0 .. k0+n; rows of dlogits are `range` apart. */
void multiply_gradients(const Call& call, const float* dlogits, int64_t range, int64_t students, const Tensor& x, const Tensor& w,
                        int64_t k0, int64_t n, float* dx, float* dw) {
  const int64_t b = columns_of(x);
  Product rows{};
  rows.m = students;
  rows.n = b;
  rows.k = n;
  rows.a = Operand{dlogits, range, false};
  rows.b = Operand{f32_of(&w) + k0 * b, b, false};
  rows.c = dx;
  rows.ldc = rows.epilogue.ld = b;
  if (k0 > 0) rows.epilogue.addend = dx;
  multiply(call, rows);
  Product columns{};
  columns.m = n;
  columns.n = b;
  columns.k = students;
  columns.a = Operand{dlogits, range, true};
  columns.b = Operand{f32_of(&x), b, false};
  columns.c = dw + k0 * b;
  columns.ldc = columns.epilogue.ld = b;
  multiply(call, columns);
}

void multiply_gradients_bf16(const Call& call, const bf16* dlogits, int64_t range, int64_t students, const Tensor& x, const Tensor& w,
                             int64_t k0, int64_t n, float* dx, float* dw) {
  const int64_t b = columns_of(x);
  const auto place = [](float* data) {
    Tensor t{};
    t.dtype = DType::f32;
    t.data = data;
    return t;
  };
  const Tensor to_x = place(dx), to_w = place(dw + k0 * b);
  HalfProduct rows{};
  rows.m = students;
  rows.n = b;
  rows.k = n;
  rows.a = HalfOperand{dlogits, range, false};
  rows.b = HalfOperand{bf16_of(&w) + k0 * b, b, false};
  rows.c = &to_x;
  if (k0 > 0) rows.addend = dx;
  multiply_half(call, rows);
  HalfProduct columns{};
  columns.m = n;
  columns.n = b;
  columns.k = students;
  columns.a = HalfOperand{dlogits, range, true};
  columns.b = HalfOperand{bf16_of(&x), b, false};
  columns.c = &to_w;
  multiply_half(call, columns);
}

}  // namespace

// (dloss [], x, w, z, u, v, temp, lse, weights?, rows?) -> (dx [S, b], dw [K, b])
void prototype_cross_entropy_grad(const Call& call) {
  const CrossEntropy a = cross_entropy_of(call);
  const int64_t bound = rows_of(*call.in[1]), b = columns_of(*call.in[1]), k = rows_of(*call.in[2]);
  const int64_t students = row_limit(call, 9, bound);
  const Tensor &x = *call.in[1], &w = *call.in[2];
  const bool half = is_bf16(&x);
  const float* lse = f32_of(call.in[7]);
  const Teacher teacher{f32_of(call.in[3]), f32_of(call.in[4]), f32_of(call.in[5]), 1.0f / f32_of(call.in[6])[0], k};
  const float* weights = call.in[8] ? f32_of(call.in[8]) : nullptr;
  float *dx = f32_of(call.out[0]), *dw = f32_of(call.out[1]);
  const Units units = units_of(a, students);
  const float inverse = 1.0f / a.temperature;
  const float slope = f32_of(call.in[0])[0] * a.scale * inverse;
  const int64_t range = range_of(k, students);
  float* sums = take<float>(call, units.count * range);
  const StudentLogits of_students(call, &x, &w, inverse, range);
  bf16* copies = take<bf16>(call, pool_threads(*call.pool) * of_students.copy_elements());
  // In bf16 a float block a thread, rounded when it is done.
  float* dlogits = take<float>(call, (half ? pool_threads(*call.pool) * student_rows : students) * range);
  bf16* rounded = take<bf16>(call, half ? students * range : 0);
  double* masses = take<double>(call, units.count);
  const bool single = k <= range;
  if (!single)
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
    of_students.pack(call, k0, n);
    parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int) {
      for (int64_t i = task * unit_rows; i < at_most((task + 1) * unit_rows, units.count); i++) {
        const double mass = targets_of(teacher, units, i, k0, n, sums + i * range, nullptr);
        if (single) masses[i] = mass;
      }
    });
    parallel(call, ceil_div(students, student_rows), [&](int64_t task, int thread) {
      const int64_t s0 = task * student_rows, m = at_most(students - s0, student_rows);
      float* block = dlogits + (half ? thread * student_rows : s0) * range;
      of_students.rows(s0, m, n, block, range, copies + thread * of_students.copy_elements());
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
      multiply_gradients_bf16(call, rounded, range, students, x, w, k0, n, dx, dw);
    else
      multiply_gradients(call, dlogits, range, students, x, w, k0, n, dx, dw);
    workspace_release(*call.workspace, mark);
  }
  for_elements(call, (bound - students) * b, [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; i++) dx[students * b + i] = 0.0f;
  });
}

}  // namespace DINO_ISA
}  // namespace dino
