#include "bf16.h"
#include "columns.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {
namespace {

void copy_row(float* to, const float* from, int64_t n) { __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(float)); }
void zero(float* to, int64_t n) { __builtin_memset(to, 0, static_cast<size_t>(n) * sizeof(float)); }

/** Copies n 4-byte elements. */
void copy(const Call& call, void* to, const void* from, int64_t n) {
  if (to == from) return;
  for_elements(call, n, [&](int64_t first, int64_t count) {
    copy_row(static_cast<float*>(to) + first, static_cast<const float*>(from) + first, count);
  });
}


/**
 * For each row of a tensor of kept sequences the row of the whole tensor that it comes from, and a factor. `kept`
 * holds positions among all sequences of `whole`, those of its first group first. Reports positions that are outside
 * their group or occur twice, and returns false.
 */
struct RowMap {
  int64_t rows;
  int32_t* from;
  float* factor;
};
bool map_kept(const Call& call, int operand, const int32_t* kept, const Group* whole, const Group* part, int groups,
              const double* scales, RowMap& map) {
  int64_t rows = 0, sequences = 0;
  for (int g = 0; g < groups; g++) rows += part[g].count * part[g].length, sequences += whole[g].count;
  map.rows = rows;
  map.from = take<int32_t>(call, rows);
  map.factor = take<float>(call, rows);
  bool* seen = take<bool>(call, sequences);
  for (int64_t i = 0; i < sequences; i++) seen[i] = false;
  int64_t row = 0, first_sequence = 0, first_row = 0, position = 0;
  for (int g = 0; g < groups; g++) {
    for (int64_t s = 0; s < part[g].count; s++) {
      const int64_t at = kept[position++];
      if (at < first_sequence || at >= first_sequence + whole[g].count || seen[at]) {
        report(call, FaultCode::index, operand, at, first_sequence + whole[g].count);
        return false;
      }
      seen[at] = true;
      const int64_t start = first_row + (at - first_sequence) * part[g].length;
      for (int64_t t = 0; t < part[g].length; t++, row++) {
        map.from[row] = static_cast<int32_t>(start + t);
        map.factor[row] = scales ? static_cast<float>(scales[g]) : 1.0f;
      }
    }
    first_sequence += whole[g].count;
    first_row += whole[g].count * whole[g].length;
  }
  return true;
}

/** A factor for each row from one for each sequence. */
float* row_factors(const Call& call, const float* factors, const Tensor& ragged) {
  float* of_row = take<float>(call, rows_of(ragged));
  int64_t row = 0, sequence = 0;
  for (int g = 0; g < ragged.group_count; g++)
    for (int64_t s = 0; s < ragged.groups[g].count; s++, sequence++)
      for (int64_t t = 0; t < ragged.groups[g].length; t++) of_row[row++] = factors[sequence];
  return of_row;
}

}  // namespace

void concat_rows(const Call& call) {
  char* to = static_cast<char*>(call.out[0]->data);
  for (int i = 0; i < call.in_count; i++) {
    const Tensor& x = *call.in[i];
    copy(call, to, x.data, x.elements);
    to += x.elements * 4;
  }
}

// (x [R, ...]) -> rows start .. start+count
void slice_rows(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  copy(call, call.out[0]->data, f32_of(call.in[0]) + static_cast<int64_t>(call.attr[0]) * d, call.out[0]->elements);
}

// (dy [count, ...]) -> [total, ...], zero elsewhere
void place_rows(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const int64_t start = static_cast<int64_t>(call.attr[0]);
  const int64_t count = rows_of(*call.in[0]);
  const float* from = f32_of(call.in[0]);
  float* to = f32_of(call.out[0]);
  for_rows(call, rows_of(*call.out[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      if (r >= start && r < start + count)
        copy_row(to + r * d, from + (r - start) * d, d);
      else
        zero(to + r * d, d);
    }
  });
}

namespace {

int64_t group_row(const Group* groups, int64_t group) {
  int64_t row = 0;
  for (int64_t g = 0; g < group; g++) row += groups[g].count * groups[g].length;
  return row;
}

}  // namespace

// (x ragged [T, d]) -> tokens start .. start+tokens of every sequence of a group; attributes: group, start, tokens
void select_tokens(const Call& call) {
  const Tensor& x = *call.in[0];
  const int64_t d = columns_of(x);
  const int64_t group = static_cast<int64_t>(call.attr[0]), start = static_cast<int64_t>(call.attr[1]);
  const int64_t tokens = static_cast<int64_t>(call.attr[2]), length = x.groups[group].length;
  const float* from = f32_of(&x) + (group_row(x.groups, group) + start) * d;
  float* to = f32_of(call.out[0]);
  for_rows(call, x.groups[group].count, tokens * d, [&](int64_t first, int64_t end) {
    for (int64_t s = first; s < end; s++) copy_row(to + s * tokens * d, from + s * length * d, tokens * d);
  });
}

// (dy [count*tokens, d]) -> ragged [T, d], zero elsewhere; attributes: group, start, tokens
void place_tokens(const Call& call) {
  const Tensor& y = *call.out[0];
  const int64_t d = columns_of(y);
  const int64_t group = static_cast<int64_t>(call.attr[0]), start = static_cast<int64_t>(call.attr[1]);
  const int64_t tokens = static_cast<int64_t>(call.attr[2]), length = y.groups[group].length;
  const int64_t begin = group_row(y.groups, group), end_row = begin + y.groups[group].count * length;
  const float* from = f32_of(call.in[0]);
  float* to = f32_of(&y);
  for_rows(call, rows_of(y), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const int64_t token = (r - begin) % at_least(length, 1) - start;
      if (r >= begin && r < end_row && token >= 0 && token < tokens)
        copy_row(to + r * d, from + ((r - begin) / length * tokens + token) * d, d);
      else
        zero(to + r * d, d);
    }
  });
}

namespace {

bool indices_inside(const Call& call, int operand, const int32_t* index, int64_t n, int64_t bound) {
  for (int64_t i = 0; i < n; i++)
    if (index[i] < 0 || index[i] >= bound) {
      report(call, FaultCode::index, operand, index[i], bound);
      return false;
    }
  return true;
}

}  // namespace

// (x [R, d], index i32 [n], rows?) -> [n, d]; zero from `rows` on
void gather_rows(const Call& call) {
  const Tensor &x = *call.in[0], &y = *call.out[0];
  const int64_t d = columns_of(x);
  const int64_t rows = row_limit(call, 2, rows_of(y));
  const int32_t* index = i32_of(call.in[1]);
  if (!indices_inside(call, 1, index, rows, rows_of(x))) return;
  const float* from = f32_of(&x);
  float* to = f32_of(&y);
  for_rows(call, rows_of(y), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      if (r < rows)
        copy_row(to + r * d, from + index[r] * d, d);
      else
        zero(to + r * d, d);
    }
  });
}

// (y [n, d], index i32 [n], rows?) -> [total, d]
void scatter_add_rows(const Call& call) {
  const Tensor &y = *call.in[0], &out = *call.out[0];
  const int64_t d = columns_of(out);
  const int64_t total = rows_of(out);
  const int64_t rows = row_limit(call, 2, rows_of(y));
  const int32_t* index = i32_of(call.in[1]);
  if (!indices_inside(call, 1, index, rows, total)) return;
  // The rows that go to one place, in their order: a sort by counting.
  int32_t* starts = take<int32_t>(call, total + 2);
  int32_t* order = take<int32_t>(call, rows);
  for (int64_t i = 0; i < total + 2; i++) starts[i] = 0;
  for (int64_t r = 0; r < rows; r++) starts[index[r] + 2]++;
  for (int64_t i = 2; i < total + 2; i++) starts[i] += starts[i - 1];
  for (int64_t r = 0; r < rows; r++) order[starts[index[r] + 1]++] = static_cast<int32_t>(r);
  const float* from = f32_of(&y);
  float* to = f32_of(&out);
  for_rows(call, total, d, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i++) {
      zero(to + i * d, d);
      for (int32_t at = starts[i]; at < starts[i + 1]; at++)
        for_lanes(d, [&](int64_t x, int64_t c) {
          put(to + i * d + x, get(to + i * d + x, c) + get(from + order[at] * d + x, c), c);
        });
    }
  });
}

// (x ragged, kept i32) -> ragged of the kept sequences
void gather_segments(const Call& call) {
  const Tensor &x = *call.in[0], &y = *call.out[0];
  const int64_t d = columns_of(x);
  RowMap map{};
  if (!map_kept(call, 1, i32_of(call.in[1]), x.groups, y.groups, x.group_count, nullptr, map)) return;
  const float* from = f32_of(&x);
  float* to = f32_of(&y);
  for_rows(call, map.rows, d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) copy_row(to + r * d, from + map.from[r] * d, d);
  });
}

// (y ragged of kept sequences, kept i32) -> ragged over the whole, zero elsewhere; attributes: scales
void scatter_segments(const Call& call) {
  const Tensor &y = *call.in[0], &out = *call.out[0];
  const int64_t d = columns_of(out);
  RowMap map{};
  if (!map_kept(call, 1, i32_of(call.in[1]), out.groups, y.groups, out.group_count, call.attr, map)) return;
  const int64_t total = rows_of(out);
  int32_t* back = take<int32_t>(call, total);
  for (int64_t i = 0; i < total; i++) back[i] = -1;
  for (int64_t r = 0; r < map.rows; r++) back[map.from[r]] = static_cast<int32_t>(r);
  const float* from = f32_of(&y);
  float* to = f32_of(&out);
  for_rows(call, total, d, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i++) {
      if (back[i] < 0) {
        zero(to + i * d, d);
        continue;
      }
      const float* row = from + back[i] * d;
      const vf factor = broadcast(map.factor[back[i]]);
      for_lanes(d, [&](int64_t x, int64_t c) { put(to + i * d + x, get(row + x, c) * factor, c); });
    }
  });
}

namespace {

template <class Branch>
void residual_add_of(const Call& call, const Branch* from) {
  const Tensor &x = *call.in[0], &branch = *call.in[1];
  const int64_t d = columns_of(x), total = rows_of(x);
  const float* base = f32_of(&x);
  const float* gamma = call.in[2] ? f32_of(call.in[2]) : nullptr;
  float* to = f32_of(call.out[0]);
  int32_t* back = nullptr;
  const float* factors = nullptr;
  if (call.in[3]) {
    RowMap map{};
    if (!map_kept(call, 3, i32_of(call.in[3]), x.groups, branch.groups, x.group_count, call.attr, map)) return;
    back = take<int32_t>(call, total);
    for (int64_t i = 0; i < total; i++) back[i] = -1;
    for (int64_t r = 0; r < map.rows; r++) back[map.from[r]] = static_cast<int32_t>(r);
    factors = map.factor;
  } else if (call.in[4]) {
    factors = row_factors(call, f32_of(call.in[4]), x);
  }
  for_rows(call, total, d, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i++) {
      const int64_t r = back ? back[i] : i;
      const float* own = base + i * d;
      float* out = to + i * d;
      if (r < 0) {
        if (out != own) copy_row(out, own, d);
        continue;
      }
      const vf factor = broadcast(factors ? factors[r] : 1.0f);
      const Branch* row = from + r * d;
      if (gamma)
        for_lanes(d, [&](int64_t j, int64_t c) {
          put(out + j, get(own + j, c) + get(gamma + j, c) * factor * get(row + j, c), c);
        });
      else
        for_lanes(d, [&](int64_t j, int64_t c) { put(out + j, get(own + j, c) + factor * get(row + j, c), c); });
    }
  });
}

}  // namespace

// (x [T, d], branch [T', d], gamma? [d], kept? i32, factors? [sequences]) -> x + gamma * s * branch; attributes: scales
void residual_add(const Call& call) {
  with_data(call.in[1], [&](const auto* branch) { residual_add_of(call, branch); });
}

namespace {

/** `branch` is null where there is no gamma. */
template <class Branch, class Out>
void residual_add_grad_of(const Call& call, const Branch* branch, Out* dbranch) {
  const Tensor &dy = *call.in[0], &out = *call.out[0];
  const int64_t d = columns_of(dy), rows = rows_of(out);
  const float* slope = f32_of(&dy);
  const float* gamma = call.in[2] ? f32_of(call.in[2]) : nullptr;
  const int32_t* source = nullptr;
  const float* factors = nullptr;
  if (call.in[3]) {
    RowMap map{};
    if (!map_kept(call, 3, i32_of(call.in[3]), dy.groups, out.groups, dy.group_count, call.attr, map)) return;
    source = map.from;
    factors = map.factor;
  } else if (call.in[4]) {
    factors = row_factors(call, f32_of(call.in[4]), dy);
  }
  const auto row_of = [&](int64_t r) { return slope + (source ? source[r] : r) * d; };
  const auto factor_of = [&](int64_t r) { return broadcast(factors ? factors[r] : 1.0f); };
  if (!gamma) {
    for_rows(call, rows, d, [&](int64_t first, int64_t end) {
      for (int64_t r = first; r < end; r++) {
        const float* from = row_of(r);
        const vf factor = factor_of(r);
        for_lanes(d, [&](int64_t j, int64_t c) { put(dbranch + r * d + j, factor * get(from + j, c), c); });
      }
    });
    return;
  }
  float* dgamma = f32_of(call.out[1]);
  reduce_rows(
      call, rows, d,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t r = first; r < end; r++) {
          const float* from = row_of(r);
          const vf factor = factor_of(r);
          for_lanes(d, [&](int64_t j, int64_t c) {
            const vf g = factor * get(from + j, c);
            put(sums + j, get(sums + j, c) + g * get(branch + r * d + j, c), c);
            put(dbranch + r * d + j, g * get(gamma + j, c), c);
          });
        }
      },
      [&](int64_t i, double total) { dgamma[i] = static_cast<float>(total); });
}

}  // namespace

// (dy [T, d], branch?, gamma?, kept?, factors?) -> (dbranch [T', d], dgamma [d] if gamma); attributes: scales
void residual_add_grad(const Call& call) {
  with_data(call.out[0], [&](auto* dbranch) {
    if (call.in[1])
      with_data(call.in[1], [&](const auto* branch) { residual_add_grad_of(call, branch, dbranch); });
    else
      residual_add_grad_of(call, static_cast<const float*>(nullptr), dbranch);
  });
}

}  // namespace DINO_ISA
}  // namespace dino
