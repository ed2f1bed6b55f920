// Vectors of LANES floats (half as many doubles) and the functions a scan takes of them. Only for kernel.cpp, which is
// compiled once for each instruction set: everything has internal linkage.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#if LANES == 16
#include <immintrin.h>
#endif

namespace {

template <class T> struct Lanes;
template <> struct Lanes<float> {
  typedef float V __attribute__((vector_size(4 * LANES)));
  typedef int32_t I __attribute__((vector_size(4 * LANES)));
  static constexpr int64_t W = LANES;
};
template <> struct Lanes<double> {
  typedef double V __attribute__((vector_size(4 * LANES)));
  typedef int64_t I __attribute__((vector_size(4 * LANES)));
  static constexpr int64_t W = LANES / 2;
};

#define INLINE inline __attribute__((always_inline))
template <class T> using Vec = typename Lanes<T>::V;
template <class T> INLINE Vec<T> load(const T *p) { Vec<T> v; memcpy(&v, p, sizeof v); return v; }
template <class T> INLINE void store(T *p, Vec<T> v) { memcpy(p, &v, sizeof v); }
template <class T> INLINE Vec<T> all(T x) { return x - Vec<T>{}; }

// The nearest whole number.
INLINE Vec<float> whole(Vec<float> x) {
#if LANES == 16
  return (Vec<float>)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const Vec<float> magic = all(12582912.f);  // 1.5 2^23: adding it leaves no room for a fraction
  return (x + magic) - magic;
#endif
}

// 2^k base^r, k whole, base^r within a factor sqrt(2) of 1: a polynomial of degree 6 (relative error 1.6e-8 before
// rounding, below 1e-7 after), then the exponent; 0 below 2^-126, infinity from 2^128.
constexpr float TWO[] = {0.000153707048f, 0.00133998483f, 0.00961837325f, 0.0555032904f, 0.240226485f, 0.693147206f};
constexpr float E[] = {0.00138592911f, 0.00837476398f, 0.0416677243f, 0.16666421f, 0.499999954f, 1.00000004f};
INLINE Vec<float> power_of(const float (&base)[6], Vec<float> k, Vec<float> r) {
  Vec<float> p = all(base[0]);
  p = p * r + base[1];
  p = p * r + base[2];
  p = p * r + base[3];
  p = p * r + base[4];
  p = p * r + base[5];
  p = p * r + 1.f;
#if LANES == 16
  return (Vec<float>)_mm512_scalef_ps((__m512)p, (__m512)k);
#else
  const Lanes<float>::I beyond = (k > all(128.f)) | ((k == all(128.f)) & (p >= all(1.f)));
  Lanes<float>::I bits;
  memcpy(&bits, &p, sizeof bits);
  bits += __builtin_convertvector(k, Lanes<float>::I) << 23;
  memcpy(&p, &bits, sizeof p);
  p = beyond ? all(HUGE_VALF) : p;
  return k < all(-126.f) ? Vec<float>{} : p;
#endif
}

// 2^x; in double the C library's.
INLINE Vec<float> power(Vec<float> x) {
  Vec<float> k = whole(x);
  return power_of(TWO, k, x - k);
}
INLINE Vec<double> power(Vec<double> x) {
  for (int64_t i = 0; i < Lanes<double>::W; ++i) x[i] = exp2(x[i]);
  return x;
}

// e^x; ln 2 in two parts, the first so short that its product with k is exact.
INLINE Vec<float> natural(Vec<float> x) {
  x = x < all(-200.f) ? all(-200.f) : x > all(200.f) ? all(200.f) : x;  // 0 and infinity; beyond, k would be inexact
  Vec<float> k = whole(x * 1.44269504f);
  return power_of(E, k, (x - k * 0.693359375f) + k * 2.12194440e-4f);
}
INLINE Vec<double> natural(Vec<double> x) {
  for (int64_t i = 0; i < Lanes<double>::W; ++i) x[i] = exp(x[i]);
  return x;
}

// log(1 + e) for e in [0, 1]. Float: 2 artanh(e / (2 + e)) by its series, whose argument is at most 1/3.
INLINE Vec<float> log_one_plus(Vec<float> e) {
  Vec<float> s = e / (e + 2.f), q = s * s;
  Vec<float> p = all(1.f / 15);
  p = p * q + 1.f / 13;
  p = p * q + 1.f / 11;
  p = p * q + 1.f / 9;
  p = p * q + 1.f / 7;
  p = p * q + 1.f / 5;
  p = p * q + 1.f / 3;
  return 2.f * (s + s * q * p);
}
INLINE Vec<double> log_one_plus(Vec<double> x) {
  for (int64_t i = 0; i < Lanes<double>::W; ++i) x[i] = log1p(x[i]);
  return x;
}

template <class T> INLINE Vec<T> softplus(Vec<T> x) {
  Vec<T> zero{}, size = x < zero ? -x : x;
  return (x < zero ? zero : x) + log_one_plus(natural(-size));
}
template <class T> INLINE Vec<T> sigmoid(Vec<T> x) { return (T)1 / ((T)1 + natural(-x)); }

}  // namespace
