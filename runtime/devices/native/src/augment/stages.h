#pragma once
#include "augment.h"
#include "scratch.h"

// The stages of a view, of the instruction set at hand. All but the first work in place on [size, size, channels] bytes.

namespace dino {
namespace DINO_ISA {

/** The view's box as size x size pixels in `image`. */
void resample(const View& view, const Scratch& scratch, uint8_t* image);
void blur(const View& view, const Scratch& scratch, uint8_t* image);

void brightness(uint8_t* image, int pixels, int channels, double factor);
void contrast(uint8_t* image, int pixels, int channels, double factor);
void saturation(uint8_t* image, int pixels, double factor);
void hue(uint8_t* image, int pixels, double factor);
void grey(uint8_t* image, int pixels);
void solarize(uint8_t* image, int bytes, double threshold);

void view(const View& view);

}  // namespace DINO_ISA
}  // namespace dino
