// Gaussian blur in doubles, reflected at the borders without repeating the edge, rounded once with halves to even.
#include "stages.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** -1 -> 1, size -> size - 2; bounces as often as needed. */
int reflect(int i, int size) {
  if (size == 1) return 0;
  const int period = 2 * (size - 1);
  const int inside = ((i % period) + period) % period;
  return inside < size ? inside : period - inside;
}

}  // namespace

void blur(const View& v, const Scratch& s, uint8_t* image) {
  const int row_length = v.size * v.channels;
  const int border = v.radius * v.channels;
  double* const row = reinterpret_cast<double*>(v.scratch + s.blur_row);
  double* const across = reinterpret_cast<double*>(v.scratch + s.blur);
  for (int y = 0; y < v.size; y++) {
    const uint8_t* const from = image + static_cast<size_t>(y) * row_length;
    for (int i = 0; i < row_length; i++) row[border + i] = from[i];
    for (int x = 1; x <= v.radius; x++)
      for (int c = 0; c < v.channels; c++) {
        row[border - x * v.channels + c] = from[reflect(-x, v.size) * v.channels + c];
        row[border + (v.size - 1 + x) * v.channels + c] = from[reflect(v.size - 1 + x, v.size) * v.channels + c];
      }
    double* __restrict const to = across + static_cast<size_t>(y) * row_length;
    for (int i = 0; i < row_length; i++) to[i] = v.weights[0] * row[border + i];
    for (int k = 1; k <= v.radius; k++) {
      const double weight = v.weights[k];
      const double* const left = row + border - k * v.channels;
      const double* const right = row + border + k * v.channels;
      for (int i = 0; i < row_length; i++) to[i] += weight * (left[i] + right[i]);
    }
  }
  double* __restrict const sums = row;
  for (int y = 0; y < v.size; y++) {
    const double* const here = across + static_cast<size_t>(y) * row_length;
    for (int i = 0; i < row_length; i++) sums[i] = v.weights[0] * here[i];
    for (int k = 1; k <= v.radius; k++) {
      const double weight = v.weights[k];
      const double* const above = across + static_cast<size_t>(reflect(y - k, v.size)) * row_length;
      const double* const below = across + static_cast<size_t>(reflect(y + k, v.size)) * row_length;
      for (int i = 0; i < row_length; i++) sums[i] += weight * (above[i] + below[i]);
    }
    uint8_t* const to = image + static_cast<size_t>(y) * row_length;
    for (int i = 0; i < row_length; i++) {
      int rounded = static_cast<int>(sums[i] + 0.5);
      rounded -= rounded - sums[i] == 0.5 ? rounded & 1 : 0;
      to[i] = static_cast<uint8_t>(rounded < 255 ? rounded : 255);
    }
  }
}

}  // namespace DINO_ISA
}  // namespace dino
