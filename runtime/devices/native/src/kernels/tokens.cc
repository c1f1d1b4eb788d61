#include "columns.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {
namespace {

void copy_row(float* to, const float* from, int64_t n) { __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(float)); }

void add_to(float* to, const float* from, int64_t n) {
  for_lanes(n, [&](int64_t i, int64_t c) { put(to + i, get(to + i, c) + get(from + i, c), c); });
}

void add_scaled(float* to, const float* from, float factor, int64_t n) {
  for_lanes(n, [&](int64_t i, int64_t c) { put(to + i, get(to + i, c) + get(from + i, c) * broadcast(factor), c); });
}

void zero(float* to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = 0.0f;
}

}  // namespace

// (images [N, C, H, W]) -> [N*(H/p)*(W/p), C*p*p]; columns c, y, x
void patchify(const Call& call) {
  const Tensor& images = *call.in[0];
  const int64_t p = static_cast<int64_t>(call.attr[0]);
  const int64_t channels = images.shape[1], height = images.shape[2], image_width = images.shape[3];
  const int64_t down = height / p, across = image_width / p;
  const float* from = f32_of(&images);
  float* to = f32_of(call.out[0]);
  const int64_t columns = channels * p * p;
  parallel(call, images.shape[0] * down, [&](int64_t task, int) {
    const int64_t image = task / down, py = task % down;
    for (int64_t px = 0; px < across; px++) {
      float* row = to + (task * across + px) * columns;
      for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < p; y++)
          copy_row(row + (c * p + y) * p, from + ((image * channels + c) * height + py * p + y) * image_width + px * p, p);
    }
  });
}

// (x [R, d], token [d], mask i32 [R]) -> [R, d]
void replace_masked(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *x = f32_of(call.in[0]), *token = f32_of(call.in[1]);
  const int32_t* mask = i32_of(call.in[2]);
  float* y = f32_of(call.out[0]);
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float* from = mask[r] ? token : x + r * d;
      if (from != y + r * d) copy_row(y + r * d, from, d);
    }
  });
}

// (dy [R, d], mask i32 [R]) -> (dx [R, d], dtoken [d])
void replace_masked_grad(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float* dy = f32_of(call.in[0]);
  const int32_t* mask = i32_of(call.in[1]);
  float *dx = f32_of(call.out[0]), *dtoken = f32_of(call.out[1]);
  reduce_rows(
      call, rows_of(*call.in[0]), d,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t r = first; r < end; r++) {
          if (mask[r]) {
            add_to(sums, dy + r * d, d);
            zero(dx + r * d, d);
          } else if (dx != dy) {
            copy_row(dx + r * d, dy + r * d, d);
          }
        }
      },
      [&](int64_t i, double total) { dtoken[i] = static_cast<float>(total); });
}

namespace {

/** Attributes: grid, height, width, then weights [height, grid] and [width, grid] of the two axes. */
struct Interpolation {
  int64_t grid, height, across;
  const double *down_weights, *across_weights;
};
Interpolation interpolation_of(const Call& call) {
  Interpolation a{};
  a.grid = static_cast<int64_t>(call.attr[0]);
  a.height = static_cast<int64_t>(call.attr[1]);
  a.across = static_cast<int64_t>(call.attr[2]);
  a.down_weights = call.attr + 3;
  a.across_weights = a.down_weights + a.height * a.grid;
  return a;
}

}  // namespace

// (pos [1+grid*grid, d]) -> [1+height*width, d]; row 0 is copied
void interpolate_pos(const Call& call) {
  const Interpolation a = interpolation_of(call);
  const int64_t d = columns_of(*call.in[0]);
  const float* pos = f32_of(call.in[0]);
  float* out = f32_of(call.out[0]);
  float* rows = take<float>(call, a.grid * a.across * d);
  parallel(call, a.grid, [&](int64_t j, int) {
    for (int64_t x = 0; x < a.across; x++) {
      float* to = rows + (j * a.across + x) * d;
      zero(to, d);
      for (int64_t k = 0; k < a.grid; k++)
        if (const double w = a.across_weights[x * a.grid + k]; w != 0)
          add_scaled(to, pos + (1 + j * a.grid + k) * d, static_cast<float>(w), d);
    }
  });
  copy_row(out, pos, d);
  parallel(call, a.height, [&](int64_t y, int) {
    for (int64_t x = 0; x < a.across; x++) {
      float* to = out + (1 + y * a.across + x) * d;
      zero(to, d);
      for (int64_t j = 0; j < a.grid; j++)
        if (const double w = a.down_weights[y * a.grid + j]; w != 0)
          add_scaled(to, rows + (j * a.across + x) * d, static_cast<float>(w), d);
    }
  });
}

// (dy [1+height*width, d]) -> [1+grid*grid, d]
void interpolate_pos_grad(const Call& call) {
  const Interpolation a = interpolation_of(call);
  const int64_t d = columns_of(*call.in[0]);
  const float* dy = f32_of(call.in[0]);
  float* out = f32_of(call.out[0]);
  float* rows = take<float>(call, a.grid * a.across * d);
  parallel(call, a.grid, [&](int64_t j, int) {
    for (int64_t x = 0; x < a.across; x++) {
      float* to = rows + (j * a.across + x) * d;
      zero(to, d);
      for (int64_t y = 0; y < a.height; y++)
        if (const double w = a.down_weights[y * a.grid + j]; w != 0)
          add_scaled(to, dy + (1 + y * a.across + x) * d, static_cast<float>(w), d);
    }
  });
  copy_row(out, dy, d);
  parallel(call, a.grid, [&](int64_t j, int) {
    for (int64_t k = 0; k < a.grid; k++) {
      float* to = out + (1 + j * a.grid + k) * d;
      zero(to, d);
      for (int64_t x = 0; x < a.across; x++)
        if (const double w = a.across_weights[x * a.grid + k]; w != 0)
          add_scaled(to, rows + (j * a.across + x) * d, static_cast<float>(w), d);
    }
  });
}

// (patches [N*n, d], cls [d], pos [1+n, d], registers? [r, d]) -> [N*(1+r+n), d]
void assemble_tokens(const Call& call) {
  const int64_t count = static_cast<int64_t>(call.attr[0]);
  const int64_t n = static_cast<int64_t>(call.attr[1]);
  const int64_t r = static_cast<int64_t>(call.attr[2]);
  const int64_t d = columns_of(*call.in[0]);
  const float *patches = f32_of(call.in[0]), *cls = f32_of(call.in[1]), *pos = f32_of(call.in[2]);
  const float* registers = r > 0 ? f32_of(call.in[3]) : nullptr;
  float* out = f32_of(call.out[0]);
  for_rows(call, count, (1 + r + n) * d, [&](int64_t first, int64_t end) {
    for (int64_t s = first; s < end; s++) {
      float* to = out + s * (1 + r + n) * d;
      copy_row(to, cls, d);
      add_to(to, pos, d);
      if (r > 0) copy_row(to + d, registers, r * d);
      to += (1 + r) * d;
      const float* from = patches + s * n * d;
      for_lanes(n * d, [&](int64_t i, int64_t c) { put(to + i, get(from + i, c) + get(pos + d + i, c), c); });
    }
  });
}

// (dy [N*(1+r+n), d]) -> (dpatches, dcls, dpos, dregisters if r > 0)
void assemble_tokens_grad(const Call& call) {
  const int64_t count = static_cast<int64_t>(call.attr[0]);
  const int64_t n = static_cast<int64_t>(call.attr[1]);
  const int64_t r = static_cast<int64_t>(call.attr[2]);
  const int64_t d = columns_of(*call.in[0]);
  const int64_t sequence = (1 + r + n) * d;
  const float* dy = f32_of(call.in[0]);
  float *dpatches = f32_of(call.out[0]), *dcls = f32_of(call.out[1]), *dpos = f32_of(call.out[2]);
  float* dregisters = r > 0 ? f32_of(call.out[3]) : nullptr;
  reduce_rows(
      call, count, sequence,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t s = first; s < end; s++) {
          add_to(sums, dy + s * sequence, sequence);
          copy_row(dpatches + s * n * d, dy + s * sequence + (1 + r) * d, n * d);
        }
      },
      [&](int64_t i, double total) {
        const float sum = static_cast<float>(total);
        if (i < d) {
          dcls[i] = sum;
          dpos[i] = sum;
        } else if (i < (1 + r) * d) {
          dregisters[i - d] = sum;
        } else {
          dpos[i - r * d] = sum;
        }
      });
}

}  // namespace DINO_ISA
}  // namespace dino
