#pragma once
#include "columns.h"
#include "math.h"

namespace dino {
namespace DINO_ISA {

/** Attributes of the cross-entropies: pairing (0 same, 1 swap, 2 each), images, crops, student temperature, scale, stats. */
struct CrossEntropy {
  int pairing;
  int64_t images, crops;
  float temperature, scale;
  bool stats;
};

DINO_INLINE CrossEntropy cross_entropy_of(const Call& call) {
  CrossEntropy a{};
  a.pairing = static_cast<int>(call.attr[0]);
  a.images = static_cast<int64_t>(call.attr[1]);
  a.crops = static_cast<int64_t>(call.attr[2]);
  a.temperature = static_cast<float>(call.attr[3]);
  a.scale = static_cast<float>(call.attr[4]);
  a.stats = call.attr[5] != 0;
  return a;
}

/**
 * A *unit* is what several student rows share: the sum of the targets of its teacher rows. With pairing `each` it is
 * an image, else a student row.
 */
struct Units {
  CrossEntropy of;
  int64_t students;  // rows that count
  int64_t count;

  int64_t teachers() const { return of.pairing == 2 ? of.crops : 1; }
  int64_t teacher(int64_t unit, int64_t i) const {
    if (of.pairing == 1) return (unit + of.images) % (2 * of.images);
    return of.pairing == 2 ? i * of.images + unit : unit;
  }
  int64_t unit(int64_t student) const { return of.pairing == 2 ? student % of.images : student; }
};

DINO_INLINE Units units_of(const CrossEntropy& a, int64_t students) {
  return Units{a, students, a.pairing == 2 ? a.images : students};
}

/** Rows in a task of some hundred kilobytes of prototypes each. */
inline constexpr int64_t unit_rows = 8;

/** The ordered sum of weights[s] * losses[s]. */
DINO_INLINE float total_loss(const Units& units, const float* weights, const double* losses) {
  double total = 0;
  for (int64_t s = 0; s < units.students; s++) total += (weights ? static_cast<double>(weights[s]) : 1.0) * losses[s];
  return static_cast<float>(static_cast<double>(units.of.scale) * total);
}

}  // namespace DINO_ISA
}  // namespace dino
