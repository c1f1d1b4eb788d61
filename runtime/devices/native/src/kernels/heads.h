#pragma once
#include "tiles.h"

// How attention is cut into tasks: heads of sequences, by their lengths alone.

namespace dino {
namespace DINO_ISA {

/** One head of one sequence: rows first_row .. first_row + length. */
struct Head {
  int64_t first_row, length, head;
};

/** The (sequence, head, range) items of all groups, in order, cut into tasks of about equal work. */
struct Items {
  const Group* groups;
  int count;
  int64_t heads;
  int64_t range;  // queries of an item; longer sequences make several items

  int64_t ranges(int g) const { return range > 0 ? at_least(ceil_div(groups[g].length, range), 1) : 1; }
  int64_t of_group(int g) const { return groups[g].length > 0 ? groups[g].count * heads * ranges(g) : 0; }
  /** Items of a task: short sequences share one. */
  int64_t in_task(int g) const {
    const int64_t sequences = int64_t{16384} / at_least(groups[g].length * groups[g].length, 1);
    return ranges(g) > 1 ? 1 : heads * at_least(sequences, 1);
  }
  int64_t tasks() const {
    int64_t n = 0;
    for (int g = 0; g < count; g++) n += ceil_div(of_group(g), in_task(g));
    return n;
  }
  /**
   * body(head, the head after it, first query) for each item of a task. After the last comes what is likely the first of the
   * thread's next task, `stride` tasks later; where nothing else comes, a head of no rows.
   */
  template <class Body>
  void run(int64_t task, int64_t stride, const Body& body) const {
    const Run now = run_of(task), later = run_of(task + stride);
    for (int64_t item = now.first; item < now.end; item++) {
      const Head head = head_of(now, item);
      const Run& run = item + 1 < now.end ? now : later;
      Head next = run.group < count ? head_of(run, item + 1 < now.end ? item + 1 : run.first) : Head{0, 0, 0};
      if (next.first_row == head.first_row && next.head == head.head) next.length = 0;
      body(head, next, item % ranges(now.group) * (range > 0 ? range : 0));
    }
  }

 private:
  /** Items of a task, all of one group, which begins at `row`. */
  struct Run {
    int group;
    int64_t row, first, end;
  };
  Run run_of(int64_t task) const {
    int64_t row = 0;
    int g = 0;
    for (; g < count; g++) {
      const int64_t here = ceil_div(of_group(g), in_task(g));
      if (task < here) return Run{g, row, task * in_task(g), at_most((task + 1) * in_task(g), of_group(g))};
      task -= here;
      row += groups[g].count * groups[g].length;
    }
    return Run{g, row, 0, 0};
  }
  Head head_of(const Run& run, int64_t item) const {
    const int64_t length = groups[run.group].length, each = ranges(run.group);
    return Head{run.row + item / (heads * each) * length, length, item / each % heads};
  }
};

static inline Items items_of(const Tensor& ragged, int64_t heads, int64_t range) {
  return Items{ragged.groups, ragged.group_count, heads, range};
}

static inline int64_t longest(const Tensor& ragged) {
  int64_t n = 0;
  for (int g = 0; g < ragged.group_count; g++)
    if (ragged.groups[g].count > 0) n = at_least(n, ragged.groups[g].length);
  return n;
}

/** What attention reads of a head before anything else: its columns of q, k and v lie d apart. */
template <class T>
static inline Ahead qkv_of(const T* qkv, const Head& h, int64_t d, int64_t size) {
  return ahead_of(qkv + h.first_row * 3 * d + h.head * size, d, 3 * h.length, size);
}
/** The same of its gradient, which reads the gradient and the values of the result too. */
template <class T>
static inline Meanwhile gradient_operands_of(const T* qkv, const T* slope, const T* result, const Head& h, int64_t d, int64_t size) {
  const int64_t first = h.first_row * d + h.head * size;
  return Meanwhile{qkv_of(qkv, h, d, size), ahead_of(slope + first, d, h.length, size), ahead_of(result + first, d, h.length, size), {}};
}
/** One of `count` equal shares of all lines. */
static inline void take_turns(Meanwhile& m, const Meanwhile& all, int64_t count) {
  take_turn(m.a, ceil_div(all.a.left, count));
  take_turn(m.b, ceil_div(all.b.left, count));
  take_turn(m.c, ceil_div(all.c.left, count));
}

static inline int64_t round_up(int64_t n, int64_t to) { return ceil_div(n, to) * to; }

}  // namespace DINO_ISA
}  // namespace dino
