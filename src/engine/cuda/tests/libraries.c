// What the libraries do, as plain loops; included once for each kind of number.

#define T NAME(T)
#define number NAME(number)
#define stored NAME(stored)
#define completed NAME(completed)

static float completed(float sum, long c, size_t at, const T *bias, const T *residual, long relu) {
  if (bias) sum += number(bias[c]);
  if (residual) sum += number(residual[at]);
  return relu && sum < 0 ? 0 : sum;
}

static void NAME(product)(FILE *calls) {
  long rows = integer(calls), from = integer(calls), to = integer(calls);
  const T *x = place(calls), *weight = place(calls);
  T *y = place(calls);
  const T *bias = place(calls), *residual = place(calls);
  long relu = integer(calls);
  for (long r = 0; r < rows; ++r) {
    for (long o = 0; o < to; ++o) {
      float sum = 0;
      for (long i = 0; i < from; ++i) sum += number(x[r * from + i]) * number(weight[o * from + i]);
      size_t at = (size_t)(r * to + o);
      y[at] = stored(completed(sum, o, at, bias, residual, relu));
    }
  }
}

static void NAME(convolution)(FILE *calls) {
  long images = integer(calls), ci = integer(calls), h = integer(calls), w = integer(calls);
  long co = integer(calls), oh = integer(calls), ow = integer(calls), kh = integer(calls), kw = integer(calls);
  long sh = integer(calls), sw = integer(calls), top = integer(calls), left = integer(calls), groups = integer(calls);
  const T *x = place(calls), *weight = place(calls);
  T *y = place(calls);
  const T *bias = place(calls), *residual = place(calls);
  long relu = integer(calls), each = ci / groups;
  for (long pixel = 0; pixel < images * oh * ow; ++pixel) {
    long image = pixel / (oh * ow), oy = pixel / ow % oh, ox = pixel % ow;
    for (long o = 0; o < co; ++o) {
      float sum = 0;
      for (long ky = 0; ky < kh; ++ky) {
        for (long kx = 0; kx < kw; ++kx) {
          long row = oy * sh + ky - top, column = ox * sw + kx - left;
          if (row < 0 || row >= h || column < 0 || column >= w) continue;
          const T *cell = x + ((image * h + row) * w + column) * ci + o / (co / groups) * each;
          const T *by = weight + ((o * kh + ky) * kw + kx) * each;
          for (long i = 0; i < each; ++i) sum += number(cell[i]) * number(by[i]);
        }
      }
      size_t at = (size_t)(pixel * co + o);
      y[at] = stored(completed(sum, o, at, bias, residual, relu));
    }
  }
}

#undef T
#undef number
#undef stored
#undef completed
