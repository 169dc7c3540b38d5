// The steps that the libraries leave: one thread makes LANES neighbouring channels of one pixel, or
// one number where the layout changes.
//
// Maps lie as [image][row][column][channel]. Compiled at run time by NVRTC, for bf16 or f16 where
// BF16 or F16 is defined, for LANES 8 (128-bit loads of these) and 1 (channel counts that 8 does
// not divide). No headers, no shared memory and no barriers, and only what C and C++ have in
// common: so a test compiles this very file for a CPU (EMULATED) and runs whole networks through
// it.
//
// All kernels take the same arguments: y is written; x, z, p and q are read, p and q being always
// f32; n.count threads have something to do.

#ifndef HEADSTART_ONCE
#define HEADSTART_ONCE

typedef unsigned long long Offset;

typedef struct {
  unsigned count;
  int n[19];
  float f;
} Numbers;

#ifdef EMULATED
#define HELPER static inline
#define KERNEL(name) static void NAME(name)(void *y_, const void *x_, const void *z_, const float *p, const float *q, const Numbers n)
#define INDEX emulated_index
#else
#define NAME(name) name
#define HELPER static __device__ __forceinline__
#define KERNEL(name) \
  extern "C" __global__ void name(void *y_, const void *x_, const void *z_, const float *p, const float *q, const Numbers n)
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)
#endif

HELPER float least(void) {
  union {
    unsigned u;
    float f;
  } value;
  value.u = 0xff800000u;
  return value.f;
}

HELPER float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
HELPER float clamped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// The activations in the order of `Activation` in lower.rs. Comparisons are written so that what is
// not a number stays so.
HELPER float activated(int kind, float x) {
  switch (kind) {
    case 1: return x < 0.0f ? 0.0f : x;
    case 2: return clamped(x, 0.0f, 6.0f);
    case 3: return x * sigmoid(x);
    case 4: return x * clamped(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    case 5: return clamped(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    case 6: return sigmoid(x);
    case 7: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case 8: return x * sigmoid(1.702f * x);
    default: return x;
  }
}
#endif

// The test includes this file once for each kind of number and number of lanes.
#define T NAME(T)
#define number NAME(number)
#define stored NAME(stored)
#define Pack NAME(Pack)
#define Floats NAME(Floats)

#ifdef BF16
typedef unsigned short T;

HELPER float number(T bits) {
  union {
    unsigned u;
    float f;
  } value;
  value.u = (unsigned)bits << 16;
  return value.f;
}

// Rounds to the nearest, ties to even, as the libraries do.
HELPER T stored(float x) {
  union {
    float f;
    unsigned u;
  } value;
  value.f = x;
  if ((value.u & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return (T)((value.u + 0x7fffu + ((value.u >> 16) & 1u)) >> 16);
}
#elif defined F16
typedef unsigned short T;

// C compilers differ in what they know of f16: the test brings its own.
#ifdef EMULATED
HELPER float number(T bits) { return emulated_number(bits); }
HELPER T stored(float x) { return emulated_stored(x); }
#else
HELPER float number(T bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

// Rounds to the nearest, ties to even; what is too large becomes infinite.
HELPER T stored(float x) {
  T bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
#endif
#else
typedef float T;

HELPER float number(T value) { return value; }
HELPER T stored(float value) { return value; }
#endif

#ifdef EMULATED
#define ALIGNED(t)
#else
#define ALIGNED(t) __align__(LANES * sizeof(t) > 16 ? 16 : LANES * sizeof(t))
#endif

typedef struct ALIGNED(T) {
  T v[LANES];
} Pack;

typedef struct ALIGNED(float) {
  float v[LANES];
} Floats;

#define EACH_LANE for (int l = 0; l < LANES; ++l)

// Bytes [image][row][column][3] to numbers of n[0] channels, zeros behind the third. p: scale of
// each channel, shift of each, and whether the network takes blue first.
KERNEL(pixels) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned char *x = (const unsigned char *)x_ + 3 * (Offset)i;
  T *y = (T *)y_ + (Offset)n.n[0] * i;
  for (int c = 0; c < n.n[0]; ++c) {
    y[c] = stored(c < 3 ? (float)x[p[6] != 0.0f ? 2 - c : c] * p[c] + p[3 + c] : 0.0f);
  }
}

// Numbers [image][channel][pixel] of n[1] channels and n[2] pixels to n[0] channels behind one
// another.
KERNEL(planes) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned image = i / (unsigned)n.n[2], pixel = i % (unsigned)n.n[2];
  const float *x = (const float *)x_ + (Offset)image * n.n[1] * n.n[2] + pixel;
  T *y = (T *)y_ + (Offset)n.n[0] * i;
  for (int c = 0; c < n.n[0]; ++c) y[c] = stored(c < n.n[1] ? x[(Offset)c * n.n[2]] : 0.0f);
}

// activation n[1] of x · scale q + shift p + z, each but x optional; n[0] packs a pixel. x may be
// y.
KERNEL(finish) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned c = i % (unsigned)n.n[0] * LANES;
  const Pack x = ((const Pack *)x_)[i];
  Pack z = x, y;
  if (z_) z = ((const Pack *)z_)[i];
  EACH_LANE {
    float value = number(x.v[l]);
    if (q) value *= q[c + l];
    if (p) value += p[c + l];
    if (z_) value += number(z.v[l]);
    y.v[l] = stored(activated(n.n[1], value));
  }
  ((Pack *)y_)[i] = y;
}

// A map times a gate z of one pixel; n[0] packs a pixel, n[1] pixels, n[2] whether the gate is f32.
KERNEL(gate) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned c = i % (unsigned)n.n[0], image = i / (unsigned)n.n[0] / (unsigned)n.n[1];
  const unsigned at = image * n.n[0] + c;
  const Pack x = ((const Pack *)x_)[i];
  Pack y;
  if (n.n[2]) {
    const Floats z = ((const Floats *)z_)[at];
    EACH_LANE y.v[l] = stored(number(x.v[l]) * z.v[l]);
  } else {
    const Pack z = ((const Pack *)z_)[at];
    EACH_LANE y.v[l] = stored(number(x.v[l]) * number(z.v[l]));
  }
  ((Pack *)y_)[i] = y;
}

// Windows: n = packs, rows and columns in, rows and columns out, kernel, stride, padding above,
// left, below, right; n[13] 0 for the maximum, 1 for the mean of cells inside the map, 2 for the
// mean that counts padding.
KERNEL(pool) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0], rows = n.n[1], columns = n.n[2], to_rows = n.n[3], to_columns = n.n[4];
  const unsigned c = i % (unsigned)packs, out = i / (unsigned)packs;
  const int ox = (int)(out % (unsigned)to_columns), oy = (int)(out / (unsigned)to_columns % (unsigned)to_rows);
  const unsigned image = out / (unsigned)to_columns / (unsigned)to_rows;
  const int top = oy * n.n[7] - n.n[9], left = ox * n.n[8] - n.n[10];
  // A window ends at the padding's outer edge.
  const int below = top + n.n[5] < rows + n.n[11] ? top + n.n[5] : rows + n.n[11];
  const int beside = left + n.n[6] < columns + n.n[12] ? left + n.n[6] : columns + n.n[12];
  const int y0 = top < 0 ? 0 : top, x0 = left < 0 ? 0 : left;
  const int y1 = below < rows ? below : rows, x1 = beside < columns ? beside : columns;
  const Pack *x = (const Pack *)x_ + (Offset)image * rows * columns * packs + c;
  float value[LANES];
  EACH_LANE value[l] = n.n[13] ? 0.0f : least();
  for (int row = y0; row < y1; ++row) {
    for (int column = x0; column < x1; ++column) {
      const Pack cell = x[((Offset)row * columns + column) * packs];
      EACH_LANE {
        const float here = number(cell.v[l]);
        if (n.n[13]) value[l] += here;
        else if (!(here <= value[l])) value[l] = here;
      }
    }
  }
  const int cells = n.n[13] == 2 ? (below - top) * (beside - left) : (y1 - y0) * (x1 - x0);
  Pack y;
  EACH_LANE y.v[l] = stored(n.n[13] ? value[l] / (float)cells : value[l]);
  ((Pack *)y_)[i] = y;
}

// PyTorch's adaptive average: n = packs, rows and columns in, rows and columns out.
KERNEL(adaptive) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0], rows = n.n[1], columns = n.n[2], to_rows = n.n[3], to_columns = n.n[4];
  const unsigned c = i % (unsigned)packs, out = i / (unsigned)packs;
  const int ox = (int)(out % (unsigned)to_columns), oy = (int)(out / (unsigned)to_columns % (unsigned)to_rows);
  const unsigned image = out / (unsigned)to_columns / (unsigned)to_rows;
  const int y0 = oy * rows / to_rows, y1 = ((oy + 1) * rows + to_rows - 1) / to_rows;
  const int x0 = ox * columns / to_columns, x1 = ((ox + 1) * columns + to_columns - 1) / to_columns;
  const Pack *x = (const Pack *)x_ + (Offset)image * rows * columns * packs + c;
  float sum[LANES];
  EACH_LANE sum[l] = 0.0f;
  for (int row = y0; row < y1; ++row) {
    for (int column = x0; column < x1; ++column) {
      const Pack cell = x[((Offset)row * columns + column) * packs];
      EACH_LANE sum[l] += number(cell.v[l]);
    }
  }
  Pack y;
  EACH_LANE y.v[l] = stored(sum[l] / (float)((y1 - y0) * (x1 - x0)));
  ((Pack *)y_)[i] = y;
}

// First half of the mean over a large map: sums in f32 of stretches of n[3] pixels; n = packs,
// pixels, stretches.
KERNEL(partial) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0], pixels = n.n[1];
  const unsigned c = i % (unsigned)packs, stretch = i / (unsigned)packs % (unsigned)n.n[2];
  const unsigned image = i / (unsigned)packs / (unsigned)n.n[2];
  const int first = (int)stretch * n.n[3], last = first + n.n[3] < pixels ? first + n.n[3] : pixels;
  const Pack *x = (const Pack *)x_ + (Offset)image * pixels * packs + c;
  float sum[LANES];
  EACH_LANE sum[l] = 0.0f;
  for (int pixel = first; pixel < last; ++pixel) {
    const Pack cell = x[(Offset)pixel * packs];
    EACH_LANE sum[l] += number(cell.v[l]);
  }
  EACH_LANE ((float *)y_)[(Offset)i * LANES + l] = sum[l];
}

// Second half: n = packs, stretches; f is one by the pixels.
KERNEL(total) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0];
  const unsigned c = i % (unsigned)packs, image = i / (unsigned)packs;
  const float *x = (const float *)x_ + ((Offset)image * n.n[1] * packs + c) * LANES;
  Pack y;
  EACH_LANE {
    float sum = 0.0f;
    for (int stretch = 0; stretch < n.n[1]; ++stretch) sum += x[(Offset)stretch * packs * LANES + l];
    y.v[l] = stored(sum * n.f);
  }
  ((Pack *)y_)[i] = y;
}

// Some channels of each pixel: n = packs copied, packs a pixel of y, first of them, packs a pixel
// of x, first of them.
KERNEL(channels) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned c = i % (unsigned)n.n[0], pixel = i / (unsigned)n.n[0];
  ((Pack *)y_)[(Offset)pixel * n.n[1] + n.n[2] + c] = ((const Pack *)x_)[(Offset)pixel * n.n[3] + n.n[4] + c];
}

// Channel g · C/groups + i goes to i · groups + g: n = channels, groups.
KERNEL(shuffle) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned channels_ = (unsigned)n.n[0], groups = (unsigned)n.n[1];
  const unsigned c = i % channels_;
  ((T *)y_)[i] = ((const T *)x_)[i - c + c % groups * (channels_ / groups) + c / groups];
}

// Channel by channel, as PyTorch lays maps out: n = channels, pixels, channels that x has in store
// for a pixel.
KERNEL(flatten) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned pixel = i % (unsigned)n.n[1], c = i / (unsigned)n.n[1] % (unsigned)n.n[0];
  const unsigned image = i / (unsigned)n.n[1] / (unsigned)n.n[0];
  ((T *)y_)[i] = ((const T *)x_)[((Offset)image * n.n[1] + pixel) * n.n[2] + c];
}

// The same, as f32: what leaves the device.
KERNEL(features) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned pixel = i % (unsigned)n.n[1], c = i / (unsigned)n.n[1] % (unsigned)n.n[0];
  const unsigned image = i / (unsigned)n.n[1] / (unsigned)n.n[0];
  ((float *)y_)[i] = number(((const T *)x_)[((Offset)image * n.n[1] + pixel) * n.n[2] + c]);
}

// Mean and 1 / √(variance + f) of each pixel's n[0] packs of channels.
KERNEL(moments) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0];
  const Pack *x = (const Pack *)x_ + (Offset)i * packs;
  float sum = 0.0f, squares = 0.0f;
  for (int c = 0; c < packs; ++c) {
    const Pack cell = x[c];
    EACH_LANE sum += number(cell.v[l]);
  }
  const float mean = sum / (float)(packs * LANES);
  for (int c = 0; c < packs; ++c) {
    const Pack cell = x[c];
    EACH_LANE squares += (number(cell.v[l]) - mean) * (number(cell.v[l]) - mean);
  }
  ((float *)y_)[2 * (Offset)i] = mean;
  ((float *)y_)[2 * (Offset)i + 1] = 1.0f / sqrtf(squares / (float)(packs * LANES) + n.f);
}

// (x - mean) / deviation · weight p + bias q, with the moments z; n[0] packs a pixel.
KERNEL(layer_norm) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const unsigned c = i % (unsigned)n.n[0] * LANES;
  const float *moments_ = (const float *)z_ + 2 * (Offset)(i / (unsigned)n.n[0]);
  const Pack x = ((const Pack *)x_)[i];
  Pack y;
  EACH_LANE y.v[l] = stored((number(x.v[l]) - moments_[0]) * moments_[1] * p[c + l] + q[c + l]);
  ((Pack *)y_)[i] = y;
}

// Depthwise convolution with all that follows: n as for pool, n[13] the activation; weights p
// [kernel row][column][channel], bias q, residual z or none.
KERNEL(depthwise) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0], rows = n.n[1], columns = n.n[2], to_rows = n.n[3], to_columns = n.n[4];
  const unsigned c = i % (unsigned)packs, out = i / (unsigned)packs;
  const int ox = (int)(out % (unsigned)to_columns), oy = (int)(out / (unsigned)to_columns % (unsigned)to_rows);
  const unsigned image = out / (unsigned)to_columns / (unsigned)to_rows;
  const int top = oy * n.n[7] - n.n[9], left = ox * n.n[8] - n.n[10];
  const Pack *x = (const Pack *)x_ + (Offset)image * rows * columns * packs + c;
  float sum[LANES];
  EACH_LANE sum[l] = q[c * LANES + l];
  for (int ky = 0; ky < n.n[5]; ++ky) {
    const int row = top + ky;
    if (row < 0 || row >= rows) continue;
    for (int kx = 0; kx < n.n[6]; ++kx) {
      const int column = left + kx;
      if (column < 0 || column >= columns) continue;
      const Pack cell = x[((Offset)row * columns + column) * packs];
      const float *weight = p + ((Offset)(ky * n.n[6] + kx) * packs + c) * LANES;
      EACH_LANE sum[l] += number(cell.v[l]) * weight[l];
    }
  }
  Pack z, y;
  if (z_) {
    z = ((const Pack *)z_)[i];
    EACH_LANE sum[l] += number(z.v[l]);
  }
  EACH_LANE y.v[l] = stored(activated(n.n[13], sum[l]));
  ((Pack *)y_)[i] = y;
}

// Zeros around a map, for convolutions whose sides differ: n = packs, rows and columns in, rows and
// columns out, rows above, columns left.
KERNEL(surround) {
  const unsigned i = INDEX;
  if (i >= n.count) return;
  const int packs = n.n[0], rows = n.n[1], columns = n.n[2], to_rows = n.n[3], to_columns = n.n[4];
  const unsigned c = i % (unsigned)packs, out = i / (unsigned)packs;
  const int column = (int)(out % (unsigned)to_columns) - n.n[6], row = (int)(out / (unsigned)to_columns % (unsigned)to_rows) - n.n[5];
  const unsigned image = out / (unsigned)to_columns / (unsigned)to_rows;
  Pack y;
  EACH_LANE y.v[l] = stored(0.0f);
  if (row >= 0 && row < rows && column >= 0 && column < columns) {
    y = ((const Pack *)x_)[(((Offset)image * rows + row) * columns + column) * packs + c];
  }
  ((Pack *)y_)[i] = y;
}

#undef T
#undef number
#undef stored
#undef Pack
#undef Floats
#undef ALIGNED
