#include "collectives.h"

#include <cmath>
#include <cstring>

// Ranks read each other's operands where they lie. Elements of several tensors are numbered through, as if the tensors
// lay end to end. Sums go by rank from 0, so every rank has the same bits.

namespace dino {
namespace {

constexpr int64_t range_elements = 32768;
/** From here on ranks share the work of an all_reduce, at the price of meeting once more. */
constexpr int64_t least_shared_elements = 4096;

size_t element_bytes(const Tensor& t) { return t.dtype == DType::bf16 ? 2 : 4; }

int64_t bytes_of(const Tensor* const* tensors, int count) {
  int64_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += tensors[i]->elements * static_cast<int64_t>(element_bytes(*tensors[i]));
  return bytes;
}

/** Tensors end to end: tensor i holds elements starts[i] .. starts[i + 1]. */
struct Row {
  const int64_t* starts;
  int count;

  int64_t total() const { return starts[count]; }

  /** body(tensor, first element in it, its number in the row, elements) for what each tensor holds of first .. end. */
  template <class Body>
  void cut(int64_t first, int64_t end, const Body& body) const {
    int low = 0, high = count;  // the last tensor that begins at or before `first`
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (starts[middle] <= first ? low : high) = middle;
    }
    for (int i = low; i < count && starts[i] < end; i++) {
      const int64_t from = at_least(starts[i], first), to = at_most(starts[i + 1], end);
      if (from < to) body(i, from - starts[i], from, to - from);
    }
  }
};

Row row_of(const Call& call, const Tensor* const* tensors, int count) {
  int64_t* starts = take<int64_t>(call, count + 1);
  starts[0] = 0;
  for (int i = 0; i < count; i++) starts[i + 1] = starts[i] + tensors[i]->elements;
  return Row{starts, count};
}

/** body(first, end) over ranges of first .. end. */
template <class Body>
void for_ranges(const Call& call, int64_t first, int64_t end, const Body& body) {
  parallel(call, ceil_div(end - first, range_elements), [&](int64_t task, int) {
    const int64_t from = first + task * range_elements;
    body(from, at_most(from + range_elements, end));
  });
}

void copy(const Tensor& to, int64_t at, const Tensor& from, int64_t first, int64_t n) {
  const size_t size = element_bytes(to);
  std::memcpy(static_cast<char*>(to.data) + static_cast<size_t>(at) * size,
              static_cast<const char*>(from.data) + static_cast<size_t>(first) * size, static_cast<size_t>(n) * size);
}

void all_gather(const Call& call, const RankGroup& group, const Row& results) {
  const int64_t part = call.in[0]->elements;
  for_ranges(call, 0, results.total(), [&](int64_t first, int64_t end) {
    results.cut(first, end, [&](int i, int64_t to, int64_t at, int64_t n) {
      while (n > 0) {
        const int64_t within = at % part, count = at_most(part - within, n);
        copy(*call.out[i], to, *group.shown(static_cast<int>(at / part)).in[0], within, count);
        to += count, at += count, n -= count;
      }
    });
  });
}

/** How ranks' values become one, and what each rank's count for: the first `ranks` of `weights` are theirs, then their sum. */
struct Reduction {
  enum How { sum = 0, mean = 1, logsumexp = 2 } how;
  const float* weights;
  int ranks;
};

void add_whole(const int32_t* x, int32_t* to, int64_t n) {
  for (int64_t j = 0; j < n; j++) to[j] = static_cast<int32_t>(static_cast<uint32_t>(to[j]) + static_cast<uint32_t>(x[j]));
}

float log_sum_exp(const float* const* x, int ranks, int64_t j) {
  double top = -INFINITY, sum = 0;
  bool none = true;
  for (int r = 0; r < ranks; r++) {
    const double value = static_cast<double>(x[r][j]);
    if (value > top) top = value;
    none = none && value == -INFINITY;
  }
  if (none) return -INFINITY;
  for (int r = 0; r < ranks; r++) sum += std::exp(static_cast<double>(x[r][j]) - top);
  return static_cast<float>(top + std::log(sum));
}

void reduce_floats(const Reduction& reduction, const float* const* x, float* __restrict to, int64_t n) {
  const int ranks = reduction.ranks;
  switch (reduction.how) {
    case Reduction::sum:
      if (ranks == 1) std::memcpy(to, x[0], static_cast<size_t>(n) * sizeof(float));
      for (int64_t j = 0; ranks > 1 && j < n; j++) to[j] = x[0][j] + x[1][j];
      for (int r = 2; r < ranks; r++)
        for (int64_t j = 0; j < n; j++) to[j] += x[r][j];
      return;
    case Reduction::mean: {
      for (int64_t j = 0; j < n; j++) to[j] = reduction.weights[0] * x[0][j];
      for (int r = 1; r < ranks; r++)
        for (int64_t j = 0; j < n; j++) to[j] += reduction.weights[r] * x[r][j];
      const float total = reduction.weights[ranks];
      for (int64_t j = 0; j < n; j++) to[j] /= total;
      return;
    }
    case Reduction::logsumexp:
      for (int64_t j = 0; j < n; j++) to[j] = log_sum_exp(x, ranks, j);
      return;
  }
}

/** bf16 of all ranks, added up in float32. */
void add_halves(const RankGroup& group, int i, int64_t first, float* to, int64_t n) {
  for (int r = 0; r < group.ranks(); r++) {
    const uint16_t* x = static_cast<const uint16_t*>(group.shown(r).in[i]->data) + first;
    for (int64_t j = 0; j < n; j++) to[j] = r == 0 ? from_bf16(x[j]) : to[j] + from_bf16(x[j]);
  }
}

/** Elements first .. of operand i of all ranks, reduced to `to`; in pieces that stay in the nearest cache. */
void reduce(const Reduction& reduction, const RankGroup& group, int i, int64_t first, int64_t n, const Tensor& to, int64_t at) {
  constexpr int64_t piece = 2048;
  const float* x[max_ranks];
  for (int64_t done = 0; done < n; done += piece) {
    const int64_t count = at_most(n - done, piece);
    if (to.dtype == DType::i32) {
      int32_t* sum = i32_of(&to) + at + done;
      std::memset(sum, 0, static_cast<size_t>(count) * sizeof(int32_t));
      for (int r = 0; r < reduction.ranks; r++) add_whole(i32_of(group.shown(r).in[i]) + first + done, sum, count);
      continue;
    }
    if (group.shown(0).in[i]->dtype == DType::bf16) {
      add_halves(group, i, first + done, f32_of(&to) + at + done, count);
      continue;
    }
    for (int r = 0; r < reduction.ranks; r++) x[r] = f32_of(group.shown(r).in[i]) + first + done;
    reduce_floats(reduction, x, f32_of(&to) + at + done, count);
  }
}

void reduce_scatter(const Call& call, const RankGroup& group, int rank, const Row& operands) {
  const Tensor& to = *call.out[0];
  const Reduction sum{Reduction::sum, nullptr, group.ranks()};
  const int64_t start = rank * to.elements;
  for_ranges(call, start, start + to.elements, [&](int64_t first, int64_t end) {
    operands.cut(first, end, [&](int i, int64_t from, int64_t at, int64_t n) { reduce(sum, group, i, from, n, to, at - start); });
    const int64_t beyond = at_least(first, operands.total());
    if (beyond < end) std::memset(f32_of(&to) + (beyond - start), 0, static_cast<size_t>(end - beyond) * sizeof(float));
  });
}

Reduction reduction_of(const Call& call, const RankGroup& group, float* weights) {
  const bool weighted = call.attr[2] != 0;
  double total = 0;
  for (int r = 0; r < group.ranks(); r++) {
    const double weight = weighted ? i32_of(group.shown(r).in[call.in_count - 1])[0] : 1;
    weights[r] = static_cast<float>(weight);
    total += weight;
  }
  weights[group.ranks()] = static_cast<float>(total > 1 ? total : 1);
  return Reduction{static_cast<Reduction::How>(static_cast<int>(call.attr[1])), weights, group.ranks()};
}

/** Small ones by every rank for itself; of large ones each rank reduces its share, and takes the others' from them. */
void all_reduce(const Call& call, RankGroup& group, int rank, const Row& results) {
  float weights[max_ranks + 1];
  const Reduction reduction = reduction_of(call, group, weights);
  const int64_t total = results.total();
  const bool shared = group.ranks() > 1 && total >= least_shared_elements;
  const int64_t share = shared ? ceil_div(total, group.ranks()) : total;
  const int64_t start = shared ? at_most(rank * share, total) : 0, stop = at_most(start + share, total);
  for_ranges(call, start, stop, [&](int64_t first, int64_t end) {
    results.cut(first, end, [&](int i, int64_t from, int64_t, int64_t n) { reduce(reduction, group, i, from, n, *call.out[i], from); });
  });
  if (!shared) return;
  group.pass();
  for (int peer = 0; peer < group.ranks(); peer++) {
    if (peer == rank) continue;
    const Call& other = group.shown(peer);
    for_ranges(call, at_most(peer * share, total), at_most((peer + 1) * share, total), [&](int64_t first, int64_t end) {
      results.cut(first, end, [&](int i, int64_t from, int64_t, int64_t n) { copy(*call.out[i], from, *other.out[i], from, n); });
    });
  }
}

}  // namespace

void run_collective(Kind kind, const Call& call, RankGroup& group, int rank) {
  // Memory is taken before ranks meet: from there on every rank must come to the end.
  const bool scatters = kind == Kind::reduce_scatter;
  const Row row = scatters ? row_of(call, call.in, call.in_count) : row_of(call, call.out, call.out_count);
  if (!group.meet(rank, kind, call)) return report(call, FaultCode::rank_stopped, 0, 0, 0);
  if (!group.agrees())
    report(call, FaultCode::ranks_differ, 0, 0, 0);
  else if (kind == Kind::all_gather)
    all_gather(call, group, row);
  else if (scatters)
    reduce_scatter(call, group, rank, row);
  else
    all_reduce(call, group, rank, row);
  group.pass();
}

int64_t payload_bytes(Kind kind, const Call& call) {
  if (kind == Kind::reduce_scatter) return bytes_of(call.in, call.in_count);
  return bytes_of(call.out, call.out_count) * (kind == Kind::all_reduce ? 2 : 1);
}

}  // namespace dino
