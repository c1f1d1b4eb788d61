#pragma once
#include "../tensor.h"

// How attention is cut into tasks: heads of sequences, by their lengths alone.

namespace dino {
namespace DINO_ISA {

/** One head of one sequence. `ahead` rows from `next_row` on are its share of the sequence after, which it fetches. */
struct Head {
  int64_t first_row, length, head;
  int64_t next_row, ahead;
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
  /** body(head, first query) for each item of a task. */
  template <class Body>
  void run(int64_t task, const Body& body) const {
    int64_t row = 0;
    for (int g = 0; g < count; g++) {
      const int64_t tasks_here = ceil_div(of_group(g), in_task(g));
      if (task < tasks_here) {
        const int64_t end = at_most((task + 1) * in_task(g), of_group(g));
        for (int64_t item = task * in_task(g); item < end; item++) {
          const int64_t sequence = item / (heads * ranges(g));
          const int64_t head = item / ranges(g) % heads;
          const int64_t length = groups[g].length, first = row + sequence * length;
          const int64_t share = item - item % heads + heads < end && ranges(g) == 1 ? ceil_div(length, heads) : 0;
          const int64_t ahead = at_least(at_most(length - head * share, share), 0);
          body(Head{first, length, head, first + length + head * share, ahead}, item % ranges(g) * (range > 0 ? range : 0));
        }
        return;
      }
      task -= tasks_here;
      row += groups[g].count * groups[g].length;
    }
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

static inline int64_t round_up(int64_t n, int64_t to) { return ceil_div(n, to) * to; }

}  // namespace DINO_ISA
}  // namespace dino
