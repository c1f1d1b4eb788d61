// Bicubic resampling in fixed point with 22 fraction bits, rounded and clamped to bytes after each of two passes.
#include "stages.h"

#include <cstring>

namespace dino {
namespace DINO_ISA {
namespace {

constexpr int fraction_bits = 22;
constexpr int32_t half = 1 << (fraction_bits - 1);
constexpr int lanes = 16;
typedef int32_t Ints __attribute__((vector_size(lanes * 4)));
typedef uint8_t Bytes __attribute__((vector_size(lanes)));

struct Weights {
  int32_t* first;
  int32_t* count;
  int32_t* values;  // [positions, stride]
  int stride;
};

double cubic(double x) {
  const double a = -0.5;
  const double d = x < 0 ? -x : x;
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

/** For each of `out` positions: the first of `in` inputs, how many, and their weights. */
Weights weights_of(const View& v, const Scratch& s, int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = scale > 1 ? scale : 1;
  const double support = 2 * filter_scale;
  const Weights w{reinterpret_cast<int32_t*>(v.scratch + s.first), reinterpret_cast<int32_t*>(v.scratch + s.count),
                  reinterpret_cast<int32_t*>(v.scratch + s.weights), stride_of(in, out)};
  double* const real = reinterpret_cast<double*>(v.scratch + s.real);
  for (int position = 0; position < out; position++) {
    const double center = (position + 0.5) * scale;
    const int low = static_cast<int>(center - support + 0.5);
    const int high = static_cast<int>(center + support + 0.5);
    const int start = low > 0 ? low : 0;
    const int n = (high < in ? high : in) - start;
    double sum = 0;
    for (int i = 0; i < n; i++) {
      real[i] = cubic((i + start - center + 0.5) * (1 / filter_scale));
      sum += real[i];
    }
    for (int i = 0; i < n; i++) {
      const double fixed = (sum == 0 ? real[i] : real[i] / sum) * (1 << fraction_bits);
      w.values[position * w.stride + i] = static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    w.first[position] = start;
    w.count[position] = n;
  }
  return w;
}

inline Bytes bytes_of(Ints sums) {
  sums >>= fraction_bits;
  sums = sums < 0 ? Ints{} : sums;
  sums = sums > 255 ? Ints{} + 255 : sums;
  return __builtin_convertvector(sums, Bytes);
}

inline Ints widened(const uint8_t* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, lanes);
  return __builtin_convertvector(bytes, Ints);
}

/**
 * Rows side by side in the lanes: 16 rows of grey pixels, or 4 rows of coloured ones (with an empty fourth channel), so
 * that one multiply serves all of them whatever the positions of the weights.
 */
template <int channels>
void across(const View& v, const Scratch& s, const Weights& w, uint8_t* out) {
  constexpr int pixel = channels == 1 ? 1 : 4;
  constexpr int rows = lanes / pixel;
  uint8_t* const side = reinterpret_cast<uint8_t*>(v.scratch + s.rows);
  const size_t source_row = static_cast<size_t>(v.width) * channels;
  const size_t out_row = static_cast<size_t>(v.size) * channels;
  const uint8_t* const box = v.source + v.top * source_row + static_cast<size_t>(v.left) * channels;
  std::memset(side, 0, static_cast<size_t>(v.box_width) * lanes);
  for (int y = 0; y < v.box_height; y += rows) {
    const int here = v.box_height - y < rows ? v.box_height - y : rows;
    for (int r = 0; r < here; r++) {
      const uint8_t* const from = box + (y + r) * source_row;
      for (int x = 0; x < v.box_width; x++) std::memcpy(side + x * lanes + r * pixel, from + x * channels, channels);
    }
    for (int x = 0; x < v.size; x++) {
      const uint8_t* const from = side + static_cast<size_t>(w.first[x]) * lanes;
      const int32_t* const values = w.values + static_cast<size_t>(x) * w.stride;
      Ints sums = Ints{} + half;
      for (int i = 0; i < w.count[x]; i++) sums += widened(from + i * lanes) * values[i];
      const Bytes bytes = bytes_of(sums);
      uint8_t stored[lanes];
      std::memcpy(stored, &bytes, lanes);
      for (int r = 0; r < here; r++)
        std::memcpy(out + (y + r) * out_row + static_cast<size_t>(x) * channels, stored + r * pixel, channels);
    }
  }
}

/** Rows of `from` to `out`; both may be read to `slack` bytes beyond their end. */
void down(const View& v, const uint8_t* from, const Weights& w, uint8_t* out) {
  const int row = v.size * v.channels;
  for (int y = 0; y < v.size; y++) {
    const int32_t* const values = w.values + static_cast<size_t>(y) * w.stride;
    const uint8_t* const top = from + static_cast<size_t>(w.first[y]) * row;
    uint8_t* const to = out + static_cast<size_t>(y) * row;
    for (int x = 0; x < row; x += lanes) {
      Ints sums = Ints{} + half;
      for (int i = 0; i < w.count[y]; i++) sums += widened(top + static_cast<size_t>(i) * row + x) * values[i];
      const Bytes bytes = bytes_of(sums);
      std::memcpy(to + x, &bytes, row - x < lanes ? row - x : lanes);
    }
  }
}

}  // namespace

void resample(const View& v, const Scratch& s, uint8_t* image) {
  const bool shrinks_down = v.box_height != v.size;
  uint8_t* const between = shrinks_down ? reinterpret_cast<uint8_t*>(v.scratch + s.across) : image;
  if (v.box_width != v.size) {
    const Weights w = weights_of(v, s, v.box_width, v.size);
    if (v.channels == 1) across<1>(v, s, w, between);
    else across<3>(v, s, w, between);
  } else {
    const size_t row = static_cast<size_t>(v.size) * v.channels;
    for (int y = 0; y < v.box_height; y++)
      std::memcpy(between + y * row,
                  v.source + (static_cast<size_t>(v.top + y) * v.width + v.left) * v.channels, row);
  }
  if (shrinks_down) down(v, between, weights_of(v, s, v.box_height, v.size), image);
}

}  // namespace DINO_ISA
}  // namespace dino
