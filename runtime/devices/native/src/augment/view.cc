#include "stages.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** Interleaved bytes to planes of normalised floats. */
void write_planes(const View& v, const uint8_t* image) {
  const int step = v.mirrored ? -v.channels : v.channels;
  float* to = v.out;
  for (int c = 0; c < v.channels; c++) {
    const float* const values = v.tables + c * 256;
    for (int y = 0; y < v.size; y++) {
      const uint8_t* from = image + (static_cast<size_t>(y) * v.size + (v.mirrored ? v.size - 1 : 0)) * v.channels + c;
      for (int x = 0; x < v.size; x++) *to++ = values[from[x * step]];
    }
  }
}

}  // namespace

void view(const View& v) {
  const Scratch scratch = scratch_of(v);
  uint8_t* const image = reinterpret_cast<uint8_t*>(v.scratch + scratch.image);
  const int pixels = v.size * v.size;
  const bool coloured = v.channels == 3;
  resample(v, scratch, image);
  for (int i = 0; i < v.step_count; i++) {
    const double value = v.steps[i].value;
    switch (v.steps[i].step) {
      case Step::brightness: brightness(image, pixels, v.channels, value); break;
      case Step::contrast: contrast(image, pixels, v.channels, value); break;
      case Step::saturation: if (coloured) saturation(image, pixels, value); break;
      case Step::hue: if (coloured) hue(image, pixels, value); break;
      case Step::grey: if (coloured) grey(image, pixels); break;
      case Step::blur: blur(v, scratch, image); break;
      case Step::solarize: solarize(image, pixels * v.channels, value); break;
      case Step::count: break;
    }
  }
  write_planes(v, image);
}

}  // namespace DINO_ISA
}  // namespace dino
