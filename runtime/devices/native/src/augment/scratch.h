#pragma once
#include "augment.h"

namespace dino {

/** Where each stage's memory begins within a view's scratch, in bytes. Stages that follow each other share it. */
struct Scratch {
  size_t image;      // uint8 [size, size, channels]
  size_t across;     // uint8 [box_height, size, channels]: after the horizontal pass
  size_t rows;       // uint8: source rows side by side
  size_t first;      // int32 [size]: first input position
  size_t count;      // int32 [size]: how many
  size_t weights;    // int32 [size, stride]
  size_t real;       // double [stride]
  size_t blur_row;   // double [size + 2 radius, channels]
  size_t blur;       // double [size, size, channels]
  size_t bytes;
};

/** Positions that a weight row has room for when `in` pixels become `out`. */
static inline int stride_of(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double support = 2 * (scale > 1 ? scale : 1);
  const int whole = static_cast<int>(support);
  return (whole < support ? whole + 1 : whole) * 2 + 1;
}

static inline Scratch scratch_of(const View& v) {
  Scratch s{};
  size_t end = 0;
  const auto take = [&end](size_t bytes) {
    const size_t start = end;
    end += (bytes + slack + 63) / 64 * 64;
    return start;
  };
  const size_t size = static_cast<size_t>(v.size);
  const size_t channels = static_cast<size_t>(v.channels);
  s.image = take(size * size * channels);
  const size_t shared = end;
  const int longer = v.box_width > v.box_height ? v.box_width : v.box_height;
  const size_t stride = static_cast<size_t>(stride_of(longer, v.size));
  s.across = take(static_cast<size_t>(v.box_height) * size * channels);
  s.rows = take(static_cast<size_t>(v.box_width) * 16);
  s.first = take(size * 4);
  s.count = take(size * 4);
  s.weights = take(size * stride * 4);
  s.real = take(stride * 8);
  const size_t resampled = end;
  end = shared;
  s.blur_row = take((size + 2 * static_cast<size_t>(v.radius)) * channels * 8);
  s.blur = take(size * size * channels * 8);
  s.bytes = (resampled > end ? resampled : end);
  return s;
}

}  // namespace dino
