// Colour steps on interleaved bytes, clamped and truncated as runtime/data/colour.ts does.
#include "stages.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** ITU-R 601 luma in fixed point. */
inline int luma(const uint8_t* p) { return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16; }

inline uint8_t to_byte(float x) { return static_cast<uint8_t>(static_cast<int>(x <= 0 ? 0 : x >= 255 ? 255 : x)); }

void blend(uint8_t* image, int bytes, int degenerate, float alpha) {
  const float base = static_cast<float>(degenerate);
  for (int i = 0; i < bytes; i++) image[i] = to_byte(base + alpha * static_cast<float>(image[i] - degenerate));
}

/** floor(largest * share + 0.5) */
inline uint8_t part(int largest, double share) { return static_cast<uint8_t>(largest * share + 0.5); }

}  // namespace

void brightness(uint8_t* image, int pixels, int channels, double factor) {
  blend(image, pixels * channels, 0, static_cast<float>(factor));
}

void contrast(uint8_t* image, int pixels, int channels, double factor) {
  int64_t sum = 0;
  if (channels == 3)
    for (int i = 0; i < pixels; i++) sum += luma(image + i * 3);
  else
    for (int i = 0; i < pixels; i++) sum += image[i];
  const int mean = static_cast<int>(static_cast<double>(sum) / pixels + 0.5);
  blend(image, pixels * channels, mean, static_cast<float>(factor));
}

void saturation(uint8_t* image, int pixels, double factor) {
  const float alpha = static_cast<float>(factor);
  for (int i = 0; i < pixels; i++) {
    uint8_t* const p = image + i * 3;
    const int grey = luma(p);
    const float base = static_cast<float>(grey);
    for (int c = 0; c < 3; c++) p[c] = to_byte(base + alpha * static_cast<float>(p[c] - grey));
  }
}

void hue(uint8_t* image, int pixels, double factor) {
  const int shift = static_cast<int>(factor * 255) & 255;
  for (int i = 0; i < pixels; i++) {
    uint8_t* const p = image + i * 3;
    const int r = p[0], g = p[1], b = p[2];
    const int largest = r > g ? (r > b ? r : b) : (g > b ? g : b);
    const int smallest = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const int spread = largest - smallest;
    if (spread == 0) continue;
    const int saturation = static_cast<int>(static_cast<double>(static_cast<float>(spread) / largest) * 255);
    if (saturation == 0) {
      p[0] = p[1] = p[2] = static_cast<uint8_t>(largest);
      continue;
    }
    const float divisor = static_cast<float>(spread);
    const double red = (largest - r) / divisor, green = (largest - g) / divisor, blue = (largest - b) / divisor;
    const double exact = r == largest ? blue - green : g == largest ? 2 + red - blue : 4 + green - red;
    const float sixths = static_cast<float>(exact);
    double turn = static_cast<double>(sixths) / 6 + 1;
    if (turn >= 1) turn -= 1;
    const int hue = (static_cast<int>(static_cast<double>(static_cast<float>(turn)) * 255) + shift) & 255;
    const int sector = hue * 6 / 255;
    const double share = static_cast<float>(saturation / 255.0);
    const double rest = static_cast<float>(hue * 6 / 255.0 - sector);
    const uint8_t v = static_cast<uint8_t>(largest);
    const uint8_t dark = part(largest, 1 - share);
    const uint8_t falling = part(largest, 1 - static_cast<double>(static_cast<float>(share * rest)));
    const uint8_t rising = part(largest, 1 - share * (1 - rest));
    // Sectors of the circle: red to yellow, yellow to green, and so on; the seventh is the first again.
    const uint8_t reds[] = {v, falling, dark, dark, rising, v, v};
    const uint8_t greens[] = {rising, v, v, falling, dark, dark, rising};
    const uint8_t blues[] = {dark, dark, rising, v, v, falling, dark};
    p[0] = reds[sector];
    p[1] = greens[sector];
    p[2] = blues[sector];
  }
}

void grey(uint8_t* image, int pixels) {
  for (int i = 0; i < pixels; i++) {
    uint8_t* const p = image + i * 3;
    p[0] = p[1] = p[2] = static_cast<uint8_t>(luma(p));
  }
}

void solarize(uint8_t* image, int bytes, double threshold) {
  // A byte is below the threshold exactly where it is below the next whole number.
  const int whole = static_cast<int>(threshold);
  const int bound = whole < threshold ? whole + 1 : whole;
  for (int i = 0; i < bytes; i++) image[i] = static_cast<uint8_t>(image[i] < bound ? image[i] : 255 - image[i]);
}

}  // namespace DINO_ISA
}  // namespace dino
