// A tile of a tensor (b, d, l), some steps of one vector of channels, in and out of [step][lane]: any strides, float32,
// bfloat16 or float64, masked steps as 0.
#pragma once
#include "scan.h"
#include "vectors.h"

namespace {

// Rows and columns of a LANES x LANES block of floats exchanged: blocks of 1, 2, 4 ... swapped in turn.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES 1
template <int... J> struct Row {};
template <int N, int... J> struct Count : Count<N - 1, N - 1, J...> {};
template <int... J> struct Count<0, J...> { typedef Row<J...> type; };
template <int S, int... J> INLINE void exchange(Vec<float> &a, Vec<float> &b, Row<J...>) {
  Vec<float> low = __builtin_shufflevector(a, b, ((J & S) ? LANES + J - S : J)...);
  b = __builtin_shufflevector(a, b, ((J & S) ? LANES + J : J + S)...);
  a = low;
}
template <int S> INLINE void swap_blocks(Vec<float> *rows) {
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i)
    if (!(i & S)) exchange<S>(rows[i], rows[i + S], typename Count<LANES>::type());
}
inline void transpose(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
  Vec<float> rows[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) rows[i] = load(from + i * from_stride);
  swap_blocks<1>(rows);
  swap_blocks<2>(rows);
#if LANES > 4
  swap_blocks<4>(rows);
#endif
#if LANES > 8
  swap_blocks<8>(rows);
#endif
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) store(to + i * to_stride, rows[i]);
}
#endif
#endif

INLINE float widened(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float y;
  memcpy(&y, &bits, 4);
  return y;
}
INLINE uint16_t narrowed(float x) {  // to bfloat16, to the nearest, ties to even
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

template <class T, class S> INLINE T taken(S x) { return (T)x; }
template <> INLINE float taken<float, uint16_t>(uint16_t x) { return widened(x); }
template <> INLINE double taken<double, uint16_t>(uint16_t x) { return widened(x); }
template <class T, class S> INLINE void put(S &to, T x) { to = (S)x; }
template <> INLINE void put<float, uint16_t>(uint16_t &to, float x) { to = narrowed(x); }
template <> INLINE void put<double, uint16_t>(uint16_t &to, double x) { to = narrowed((float)x); }

// Where a tile stands: its channels, its steps and which of them are there.
struct Place {
  int64_t row, channel, width, start, steps;
  const uint8_t *mask;
};

INLINE bool nothing(const Place &at) {
  if (!at.mask) return false;
  for (int64_t t = 0; t < at.steps; ++t)
    if (at.mask[t]) return false;
  return true;
}

template <class T, class S> void stage_as(const Tensor3 &x, const Place &at, T *to) {
  constexpr int64_t W = Lanes<T>::W;
  const S *from = (const S *)x.data + at.row * x.batch + at.channel * x.channel + at.start * x.time;
  if (at.width < W) memset(to, 0, sizeof(T) * W * at.steps);
  if (x.channel == 1) {
    for (int64_t t = 0; t < at.steps; ++t)
      for (int64_t i = 0; i < at.width; ++i) to[t * W + i] = taken<T, S>(from[t * x.time + i]);
    return;
  }
  for (int64_t i = 0; i < at.width; ++i)
    for (int64_t t = 0; t < at.steps; ++t) to[t * W + i] = taken<T, S>(from[i * x.channel + t * x.time]);
}

// A tile of x as [step][lane], 0 in lanes without a channel and at masked steps.
template <class T> void stage(const Tensor3 &x, const Place &at, T *to) {
  constexpr int64_t W = Lanes<T>::W;
  int64_t done = 0;
#ifdef SHUFFLES
  if (sizeof(T) == 4 && x.kind == FLOAT32 && x.time == 1 && at.width == W) {
    const float *from = (const float *)x.data + at.row * x.batch + at.channel * x.channel + at.start;
    for (; done + W <= at.steps; done += W) transpose(from + done, x.channel, (float *)to + done * W, W);
  }
#endif
  if (done < at.steps) {
    Place rest = at;
    rest.start += done;
    rest.steps -= done;
    if (x.kind == FLOAT32) stage_as<T, float>(x, rest, to + done * W);
    else if (x.kind == BFLOAT16) stage_as<T, uint16_t>(x, rest, to + done * W);
    else stage_as<T, double>(x, rest, to + done * W);
  }
  if (at.mask)
    for (int64_t t = 0; t < at.steps; ++t)
      if (!at.mask[t]) memset(to + t * W, 0, sizeof(T) * W);
}

template <class T, class S> void unstage_as(const Tensor3 &x, const Place &at, const T *from) {
  constexpr int64_t W = Lanes<T>::W;
  S *to = (S *)x.data + at.row * x.batch + at.channel * x.channel + at.start * x.time;
  if (x.channel == 1) {
    for (int64_t t = 0; t < at.steps; ++t)
      for (int64_t i = 0; i < at.width; ++i) put<T, S>(to[t * x.time + i], from[t * W + i]);
    return;
  }
  for (int64_t i = 0; i < at.width; ++i)
    for (int64_t t = 0; t < at.steps; ++t) put<T, S>(to[i * x.channel + t * x.time], from[t * W + i]);
}

// A tile [step][lane] into x, 0 at masked steps.
template <class T> void unstage(const Tensor3 &x, const Place &at, T *from) {
  constexpr int64_t W = Lanes<T>::W;
  if (at.mask)
    for (int64_t t = 0; t < at.steps; ++t)
      if (!at.mask[t]) memset(from + t * W, 0, sizeof(T) * W);
  int64_t done = 0;
#ifdef SHUFFLES
  if (sizeof(T) == 4 && x.kind == FLOAT32 && x.time == 1 && at.width == W) {
    float *to = (float *)x.data + at.row * x.batch + at.channel * x.channel + at.start;
    for (; done + W <= at.steps; done += W) transpose((const float *)from + done * W, W, to + done, x.channel);
  }
#endif
  if (done == at.steps) return;
  Place rest = at;
  rest.start += done;
  rest.steps -= done;
  if (x.kind == FLOAT32) unstage_as<T, float>(x, rest, from + done * W);
  else if (x.kind == BFLOAT16) unstage_as<T, uint16_t>(x, rest, from + done * W);
  else unstage_as<T, double>(x, rest, from + done * W);
}

}  // namespace
