// Runs a program's calls on a CPU: the kernels are those of the GPU, the libraries' parts plain loops.
//
// emulator DIR: reads DIR/{constants,input,normalise} and DIR/calls.txt, writes DIR/features. The arena begins as NaN, so that whatever is
// read before it was written shows.

#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *spaces[5];
static size_t sizes[5];

static void die(const char *why) {
  fprintf(stderr, "emulator: %s\n", why);
  exit(1);
}

// `space:offset`, or `-` for none.
static void *place(FILE *calls) {
  char text[64];
  if (fscanf(calls, "%63s", text) != 1) die("a place is missing");
  if (text[0] == '-') return NULL;
  size_t offset = strtoull(text + 2, NULL, 10);
  if (offset >= sizes[text[0] - '0']) die("a place lies outside its space");
  return spaces[text[0] - '0'] + offset;
}

static long integer(FILE *calls) {
  long value;
  if (fscanf(calls, "%ld", &value) != 1) die("a number is missing");
  return value;
}

#define EMULATED
static unsigned emulated_index;

#ifdef F16
static inline float emulated_number(unsigned short bits) {
  unsigned exponent = bits >> 10 & 31;
  union {
    unsigned u;
    float f;
  } size;
  size.u = ((unsigned)bits << 13 & 0x0fffe000u) + (exponent == 31 ? 0x70000000u : 0x38000000u);
  // Subnormals by a product: as bits of f32 they would be subnormal there too, and flushed.
  if (exponent == 0) size.f = (float)(bits & 1023) * 0x1p-24f;
  return bits >> 15 ? -size.f : size.f;
}

// To the nearest, ties to even, as the default rounding of `nearbyintf` is.
static unsigned short emulated_stored(float x) {
  unsigned short sign = signbit(x) ? 0x8000 : 0;
  float size = fabsf(x);
  if (isnan(x)) return 0x7e00;
  if (size >= 65520.0f) return sign | 0x7c00;
  int exponent;
  frexpf(size, &exponent);
  if (size < ldexpf(1, -14)) exponent = -13;
  unsigned short fraction = (unsigned short)nearbyintf(ldexpf(size, 11 - exponent));
  // A fraction of 2048 carries over into the exponent; one below 1024 is subnormal.
  return (unsigned short)(sign + fraction + (unsigned)(exponent + 13) * 1024);
}
#endif

// The kernels for maps of the kind at hand, and for values that are f32 in any case.
#define LANES 8
#define NAME(name) wide_##name
#include "kernels.cu"
#undef LANES
#undef NAME
#define LANES 1
#define NAME(name) narrow_##name
#include "kernels.cu"
#include "libraries.c"
#undef LANES
#undef NAME
#undef BF16
#undef F16
#define LANES 8
#define NAME(name) wide_f32_##name
#include "kernels.cu"
#undef LANES
#undef NAME
#define LANES 1
#define NAME(name) narrow_f32_##name
#include "kernels.cu"
#include "libraries.c"

typedef void (*Run)(void *, const void *, const void *, const float *, const float *, Numbers);

#define ALL(name) {#name, {narrow_##name, wide_##name, narrow_f32_##name, wide_f32_##name}}
static const struct {
  const char *name;
  // Narrow, wide, and both for f32.
  Run variants[4];
} KERNELS[] = {ALL(pixels), ALL(planes), ALL(finish), ALL(gate), ALL(pool), ALL(adaptive), ALL(partial), ALL(total),
               ALL(channels), ALL(shuffle), ALL(flatten), ALL(features), ALL(moments), ALL(layer_norm), ALL(depthwise), ALL(surround)};

static void kernel(FILE *calls) {
  char name[32];
  if (fscanf(calls, "%31s", name) != 1) die("a name is missing");
  long variant = integer(calls);
  void *y = place(calls);
  const void *x = place(calls), *z = place(calls);
  const float *p = place(calls), *q = place(calls);
  Numbers n;
  n.count = (unsigned)integer(calls);
  for (int i = 0; i < 19; ++i) n.n[i] = (int)integer(calls);
  if (fscanf(calls, "%f", &n.f) != 1) die("a fraction is missing");
  for (size_t k = 0; k < sizeof KERNELS / sizeof *KERNELS; ++k) {
    if (strcmp(KERNELS[k].name, name)) continue;
    // The last block has idle threads.
    for (emulated_index = 0; emulated_index < n.count + 3; ++emulated_index) KERNELS[k].variants[variant & 3](y, x, z, p, q, n);
    return;
  }
  die("no such kernel");
}

// A file of the directory, or room for so many bytes where it names none.
static void space(int number, const char *dir, const char *name, size_t room) {
  if (name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    room = (size_t)ftell(file);
    rewind(file);
    spaces[number] = malloc(room + 1);
    if (fread(spaces[number], 1, room, file) != room) die(path);
    fclose(file);
  } else {
    spaces[number] = malloc(room + 1);
    memset(spaces[number], 0xff, room);
  }
  sizes[number] = room;
}

int main(int argc, char **argv) {
  char path[4096], word[32];
  if (argc != 2) die("usage: emulator DIR");
  snprintf(path, sizeof path, "%s/calls.txt", argv[1]);
  FILE *calls = fopen(path, "r");
  if (!calls) die(path);
  space(0, NULL, NULL, (size_t)integer(calls));
  space(1, argv[1], "constants", 0);
  space(2, argv[1], "input", 0);
  space(3, argv[1], "normalise", 0);
  space(4, NULL, NULL, (size_t)integer(calls));
  while (fscanf(calls, "%31s", word) == 1) {
    if (!strcmp(word, "kernel")) kernel(calls);
    else if (!strcmp(word, "product")) (integer(calls) ? narrow_f32_product : narrow_product)(calls);
    else if (!strcmp(word, "convolution")) (integer(calls) ? narrow_f32_convolution : narrow_convolution)(calls);
    else die(word);
  }
  snprintf(path, sizeof path, "%s/features", argv[1]);
  FILE *features = fopen(path, "wb");
  if (!features || fwrite(spaces[4], 1, sizes[4], features) != sizes[4] || fclose(features)) die(path);
  return 0;
}
