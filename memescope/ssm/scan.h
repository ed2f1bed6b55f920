// What the driver (scan.cpp) and the kernels (kernel.cpp, once for each instruction set) share; native.py and
// conv_native.py mirror `Tensor3`, `Scan` and `Conv` field by field.
#pragma once
#include <stdint.h>

enum Kind : int64_t { ABSENT = 0, FLOAT32 = 1, BFLOAT16 = 2, FLOAT64 = 3 };

// A tensor (batch, channel, time) in any strides, counted in elements.
struct Tensor3 {
  void *data;
  int64_t batch, channel, time, kind;
};

// One selective scan. `double_` says whether pointers without a kind are double or float; nullptr where absent.
struct Scan {
  int64_t batch, channels, length, states;
  int64_t groups_b, groups_c;  // 0: the same at every step, (channels, states); else (batch, groups, length, states)
  int64_t double_, softplus, threads, level;
  Tensor3 u, delta, z, y, dy, du, ddelta, dz;
  const void *a, *b, *c, *skip, *bias;   // (channels, states), see above, (channels), (channels)
  const void *first;                     // state before the first step (batch, channels, states), or nullptr
  const uint8_t *mask;                   // (batch, length), 0 where there is no token, or nullptr
  void *last;                            // state after the last step
  void *kept;                            // states at the start of every tile, written forward, read backward
  const void *dlast;                     // gradient of `last`, or nullptr
  void *da, *db, *dc, *dskip, *dbias, *dfirst;  // gradients in the layout of what they belong to
  void *part_a, *part_b, *part_c, *part_skip, *part_bias;  // sums of each unit of work, added up in fixed order
};

// One short causal convolution, conv_native.py's `_Conv`; pointers as in `Scan`.
struct Conv {
  int64_t batch, channels, length, taps;
  int64_t double_, silu, threads, level;
  Tensor3 x, y, dy, dx;
  const void *weight, *bias;  // (channels, taps), (channels) or nullptr
  const uint8_t *mask;        // (batch, length), 0 where there is no token, or nullptr
  void *part, *sums;          // gradients of the taps, then of the bias: (batch, taps + 1, channels), (taps + 1, channels)
};

constexpr int64_t TILE = 32;            // steps worked on at a time
constexpr int64_t UNIT_CHANNELS = 128;  // channels of a unit of work; fixed, so that sums do not depend on threads

// How the channels are cut: into ranges that share B and C, those into units, those into vectors of `lanes`.
struct Cut {
  int64_t ranges, per_range, units, blocks, lanes, tiles;
};

inline int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t common(int64_t a, int64_t b) {  // least common multiple
  int64_t x = a, y = b;
  while (y) {
    int64_t rest = x % y;
    x = y;
    y = rest;
  }
  return a / x * b;
}

inline Cut cut(const Scan &s, int64_t lanes) {
  Cut c;
  c.ranges = common(s.groups_b ? s.groups_b : 1, s.groups_c ? s.groups_c : 1);
  c.per_range = s.channels / c.ranges;
  c.units = up(c.per_range, UNIT_CHANNELS);
  c.blocks = up(c.per_range, lanes);
  c.lanes = lanes;
  c.tiles = up(s.length, TILE);
  return c;
}

// The kernels of one instruction set: one unit of work forward and backward, room they need in elements, exp for tests.
struct Kernels {
  int64_t lanes, lanes_double;
  void (*forward)(const Scan &, int64_t unit, void *room);
  void (*backward)(const Scan &, int64_t unit, void *room);
  void (*forward_double)(const Scan &, int64_t unit, void *room);
  void (*backward_double)(const Scan &, int64_t unit, void *room);
  void (*conv_forward)(const Conv &, int64_t unit, void *room);
  void (*conv_backward)(const Conv &, int64_t unit, void *room);
  void (*conv_forward_double)(const Conv &, int64_t unit, void *room);
  void (*conv_backward_double)(const Conv &, int64_t unit, void *room);
  void (*exponential)(const float *x, float *y, int64_t count);
};

inline int64_t room(const Scan &s, int64_t lanes) {
  int64_t blocks = up(UNIT_CHANNELS, lanes);
  return lanes * (16 * TILE                                // staged inputs and outputs
                  + 12 * TILE                              // decays and states of one set
                  + blocks * s.states * 5                  // A, carried gradient, gradients of A, fixed B and C
                  + 2 * TILE * s.states                    // gradients of B and C over the tile
                  + 4 * blocks + s.states * 4 + 64);
}

inline int64_t room(const Conv &c, int64_t lanes) { return lanes * (4 * TILE + 6 * (c.taps + 1)); }
