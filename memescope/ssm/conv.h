// The short causal convolution of a Mamba block on the tiles of the scan: forward, and backward from the inputs alone.
//
// A unit of work is one vector of channels of one row of the batch. Backward walks the tiles from the last to the first,
// computes what went into silu again and keeps the first taps - 1 gradients of a tile for the one before it.
#pragma once
#include "tiles.h"

namespace {

template <class T> struct Strip {
  static constexpr int64_t W = Lanes<T>::W;
  const Conv &c;
  int64_t row, first, width, before, tiles;
  const T *weights;  // [tap][lane], then the bias

  Strip(const Conv &given, int64_t unit, T *room) : c(given), weights(room) {
    const int64_t blocks = up(c.channels, W);
    row = unit / blocks;
    first = unit % blocks * W;
    width = c.channels - first < W ? c.channels - first : W;
    before = c.taps - 1;
    tiles = up(c.length, TILE);
    memset(room, 0, sizeof(T) * (c.taps + 1) * W);
    for (int64_t lane = 0; lane < width; ++lane) {
      for (int64_t i = 0; i < c.taps; ++i) room[i * W + lane] = ((const T *)c.weight)[(first + lane) * c.taps + i];
      if (c.bias) room[c.taps * W + lane] = ((const T *)c.bias)[first + lane];
    }
  }
  Place place(int64_t tile) const {
    const int64_t steps = c.length - tile * TILE;
    return {row, first, width, tile * TILE, steps < TILE ? steps : TILE,
            c.mask ? c.mask + row * c.length + tile * TILE : nullptr};
  }
  // A tile of x behind the taps - 1 inputs before it, 0 before the first.
  void inputs(Place at, T *to) const {
    const int64_t there = at.start < before ? at.start : before;
    memset(to, 0, sizeof(T) * (before - there) * W);
    at.start -= there;
    at.steps += there;
    if (at.mask) at.mask -= there;
    stage(c.x, at, to + (before - there) * W);
  }
  INLINE Vec<T> sum(const T *x) const {  // what goes into silu, of the step whose first input is `x`
    Vec<T> found = load(weights + c.taps * W);
    for (int64_t i = 0; i < c.taps; ++i) found += load(weights + i * W) * load(x + i * W);
    return found;
  }
};

template <class T> void conv_forward(const Conv &c, int64_t unit, void *room) {
  constexpr int64_t W = Lanes<T>::W;
  const Strip<T> strip(c, unit, (T *)room);
  T *x = (T *)room + (c.taps + 1) * W, *y = x + (TILE + c.taps) * W;
  for (int64_t tile = 0; tile < strip.tiles; ++tile) {
    const Place at = strip.place(tile);
    if (nothing(at)) {
      memset(y, 0, sizeof(T) * at.steps * W);
    } else {
      strip.inputs(at, x);
      for (int64_t t = 0; t < at.steps; ++t) {
        Vec<T> v = strip.sum(x + t * W);
        store(y + t * W, c.silu ? v * sigmoid<T>(v) : v);
      }
    }
    unstage(c.y, at, y);
  }
}

template <class T> void conv_backward(const Conv &c, int64_t unit, void *room) {
  constexpr int64_t W = Lanes<T>::W;
  const Strip<T> strip(c, unit, (T *)room);
  T *x = (T *)room + (c.taps + 1) * W, *g = x + (TILE + c.taps) * W, *dx = g + (TILE + c.taps) * W;
  T *later = dx + TILE * W, *sums = later + c.taps * W;  // sums: [tap][lane], then the bias's
  memset(later, 0, sizeof(T) * c.taps * W);
  memset(sums, 0, sizeof(T) * (c.taps + 1) * W);
  for (int64_t tile = strip.tiles - 1; tile >= 0; --tile) {
    const Place at = strip.place(tile);
    strip.inputs(at, x);
    stage(c.dy, at, g);
    memcpy(g + at.steps * W, later, sizeof(T) * strip.before * W);
    Vec<T> bias = load(sums + c.taps * W);
    for (int64_t t = 0; t < at.steps; ++t) {
      Vec<T> slope = load(g + t * W);
      if (c.silu) {
        Vec<T> v = strip.sum(x + t * W), gate = sigmoid<T>(v);
        slope *= gate * ((T)1 + v * ((T)1 - gate));
        store(g + t * W, slope);
      }
      bias += slope;
    }
    store(sums + c.taps * W, bias);
    for (int64_t i = 0; i < c.taps; ++i) {
      Vec<T> found = load(sums + i * W);
      for (int64_t t = 0; t < at.steps; ++t) found += load(g + t * W) * load(x + (t + i) * W);
      store(sums + i * W, found);
    }
    for (int64_t t = 0; t < at.steps; ++t) {
      Vec<T> found{};
      for (int64_t i = 0; i < c.taps; ++i) found += load(strip.weights + i * W) * load(g + (t + strip.before - i) * W);
      store(dx + t * W, found);
    }
    memcpy(later, g, sizeof(T) * strip.before * W);
    unstage(c.dx, at, dx);
  }
  T *part = (T *)c.part + strip.row * (c.taps + 1) * c.channels + strip.first;
  for (int64_t i = 0; i <= c.taps; ++i)
    for (int64_t lane = 0; lane < strip.width; ++lane) part[i * c.channels + lane] = sums[i * W + lane];
}

}  // namespace
