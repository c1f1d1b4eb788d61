#pragma once
#include <cstddef>
#include <cstdint>

// Views of 8-bit images, bit for bit as runtime/data/{resample,colour,blur,augment}.ts make them: integers and floats in
// the same order, so that a run is the same with and without this library, and on every instruction set (these files
// are compiled without contraction of multiply and add).

namespace dino {

/** Steps of a view; the numbers are those of `steps` in runtime/data/augment.ts. */
enum class Step : int { brightness, contrast, saturation, hue, grey, blur, solarize, count };

struct DrawnStep {
  Step step;
  double value;
};

/** Most steps that a view has: each once. */
constexpr int most_steps = static_cast<int>(Step::count);
/** Bytes read beyond the last pixel of a scratch row. */
constexpr size_t slack = 64;

/** One view: a box of an image resized to a square, steps on its bytes, planes of floats. */
struct View {
  const uint8_t* source;  // [height, width, channels]
  int width, height;
  int channels;  // 1 or 3
  int left, top, box_width, box_height;
  int size;  // side of the view in pixels
  bool mirrored;
  DrawnStep steps[most_steps];
  int step_count;
  const double* weights;  // [radius + 1], of the blur, from its centre outwards
  int radius;
  const float* tables;  // [channels, 256]: the normalised value of each byte
  float* out;           // [channels, size, size]
  char* scratch;        // view_scratch bytes
};

/** Bytes of scratch memory that a view needs. */
size_t view_scratch(const View& view);

typedef void (*ViewKernel)(const View&);

}  // namespace dino
