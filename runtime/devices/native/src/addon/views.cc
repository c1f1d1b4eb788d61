#include "napi.h"

#include <vector>

#include "../augment/augment.h"
#include "../isa.h"

// Views of images, on the thread that asks: loader threads have no device.

namespace dino {
namespace {

bool array_of(napi_env env, napi_value value, napi_typedarray_type type, size_t least, Array& array) {
  if (!typed_array(env, value, array)) return false;
  return (array.type == type && array.length >= least) || ok(env, napi_invalid_arg);
}

/** Whole numbers at `from`, or none where one is not from 0 to 2^24. */
template <size_t N>
bool whole_numbers(const double* from, int (&to)[N]) {
  for (size_t i = 0; i < N; i++) {
    if (!(from[i] >= 0 && from[i] <= (1 << 24))) return false;
    to[i] = static_cast<int>(from[i]);
  }
  return true;
}

}  // namespace

/**
 * (instruction set, source bytes, numbers, blur's weights, normalised values, floats of the view): see `Addon` in
 * addon.ts. Works on the calling thread and touches no device.
 */
napi_value augment_view(napi_env env, napi_callback_info info) {
  napi_value values[6];
  if (!arguments(env, info, values)) return nullptr;
  static const std::vector<Isa> sets = instruction_sets();
  size_t set = 0;
  Array source, numbers, weights, tables, out;
  if (!index_below(env, values[0], sets.size(), set) || !array_of(env, values[1], napi_uint8_array, 1, source) ||
      !array_of(env, values[2], napi_float64_array, 10, numbers) ||
      !array_of(env, values[3], napi_float64_array, 1, weights) ||
      !array_of(env, values[4], napi_float32_array, 256, tables) ||
      !array_of(env, values[5], napi_float32_array, 1, out))
    return nullptr;
  const double* const at = static_cast<const double*>(numbers.data);
  int n[10];
  if (!sets[set].supported || !whole_numbers(at, n)) return ok(env, napi_invalid_arg), nullptr;
  View view{};
  view.source = static_cast<const uint8_t*>(source.data);
  view.width = n[0], view.height = n[1], view.channels = n[2];
  view.left = n[3], view.top = n[4], view.box_width = n[5], view.box_height = n[6];
  view.size = n[7], view.mirrored = n[8] != 0, view.step_count = n[9];
  view.weights = static_cast<const double*>(weights.data);
  view.radius = static_cast<int>(weights.length) - 1;
  view.tables = static_cast<const float*>(tables.data);
  view.out = static_cast<float*>(out.data);
  const auto product = [](int a, int b, int c) { return static_cast<size_t>(a) * b * c; };
  const bool fits = (view.channels == 1 || view.channels == 3) && view.size > 0 && view.size <= (1 << 14) &&
                    view.box_width > 0 && view.box_height > 0 && view.left + view.box_width <= view.width &&
                    view.top + view.box_height <= view.height && view.step_count <= most_steps &&
                    numbers.length >= 10 + 2 * static_cast<size_t>(view.step_count) && view.radius < (1 << 14) &&
                    source.length >= product(view.width, view.height, view.channels) &&
                    tables.length >= 256 * static_cast<size_t>(view.channels) &&
                    out.length >= product(view.size, view.size, view.channels);
  if (!fits) return ok(env, napi_invalid_arg), nullptr;
  for (int i = 0; i < view.step_count; i++) {
    const double step = at[10 + 2 * i];
    if (!(step >= 0 && step < most_steps)) return ok(env, napi_invalid_arg), nullptr;
    view.steps[i] = DrawnStep{static_cast<Step>(static_cast<int>(step)), at[11 + 2 * i]};
  }
  // Kept by the thread: fresh pages for every view would cost more than some of its steps.
  thread_local std::vector<char> scratch;
  const size_t bytes = view_scratch(view) + 64;
  if (scratch.size() < bytes) scratch.resize(bytes);
  view.scratch = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
  sets[set].view(view);
  return nullptr;
}

}  // namespace dino
