// The selective scan on vectors of channels, compiled once for each instruction set (-DLANES=, -DTABLE=).
//
// A vector holds one state of LANES channels, so that B and C of a step are broadcast, sums over states need no
// shuffles and any number of states will do. Time runs in tiles of TILE steps: the inputs of a tile are staged as
// [step][lane], whatever their strides and type, then sets of states run through the tile with their state and decay
// rate in registers. Backward keeps nothing but the state at the start of every tile: it walks the tiles from the last
// to the first, computes each tile's decays and states again and runs the recurrence of the gradient back through
// them. Gradients of B and C are summed over the unit's channels lane by lane, over lanes once a tile.
//
// Everything here has internal linkage, so that no code built for one instruction set is ever run for another.
#include "conv.h"
#include "scan.h"
#include "tiles.h"
#include "vectors.h"

namespace {

// Which part of the scan a unit of work is: some channels of one row of the batch, all time.
template <class T> struct Unit {
  static constexpr int64_t W = Lanes<T>::W;
  int64_t row, range, number, first, channels, blocks, block;
  const T *b, *c;  // of this row and group, [step][state]; nullptr where they do not change

  Unit(const Scan &s, const Cut &cut, int64_t unit) {
    number = unit % cut.units;
    range = unit / cut.units % cut.ranges;
    row = unit / cut.units / cut.ranges;
    first = range * cut.per_range + number * UNIT_CHANNELS;
    channels = cut.per_range - number * UNIT_CHANNELS;
    if (channels > UNIT_CHANNELS) channels = UNIT_CHANNELS;
    blocks = up(channels, W);
    block = (row * cut.ranges + range) * cut.blocks + number * UNIT_CHANNELS / W;
    b = shared((const T *)s.b, s.groups_b, cut, s);
    c = shared((const T *)s.c, s.groups_c, cut, s);
  }
  const T *shared(const T *x, int64_t groups, const Cut &cut, const Scan &s) const {
    return groups ? x + ((row * groups + range * groups / cut.ranges) * s.length) * s.states : nullptr;
  }
  Place place(const Scan &s, int64_t k, int64_t tile) const {
    int64_t width = channels - k * W, steps = s.length - tile * TILE;
    return {row, first + k * W, width < W ? width : W, tile * TILE, steps < TILE ? steps : TILE,
            s.mask ? s.mask + row * s.length + tile * TILE : nullptr};
  }
  // (channels, states) of block k as [state][lane], times `scale`; or back.
  void turn(const T *x, int64_t states, int64_t k, T scale, T *to) const {
    memset(to, 0, sizeof(T) * W * states);
    for (int64_t i = 0; i < W && k * W + i < channels; ++i)
      for (int64_t n = 0; n < states; ++n) to[n * W + i] = x[(first + k * W + i) * states + n] * scale;
  }
  void turn_back(const T *from, int64_t states, int64_t k, T *x) const {
    for (int64_t i = 0; i < W && k * W + i < channels; ++i)
      for (int64_t n = 0; n < states; ++n) x[(first + k * W + i) * states + n] = from[n * W + i];
  }
  Vec<T> some(const T *x, int64_t k) const {  // (channels,) of block k
    Vec<T> v{};
    for (int64_t i = 0; x && i < W && k * W + i < channels; ++i) v[i] = x[first + k * W + i];
    return v;
  }
};

// Step sizes of a tile, in place, and the slope of softplus where it is asked for.
template <class T> INLINE void step_sizes(const Scan &s, const Place &at, Vec<T> bias, T *dt, T *slope) {
  constexpr int64_t W = Lanes<T>::W;
  for (int64_t t = 0; t < at.steps; ++t) {
    Vec<T> x = load(dt + t * W) + bias, keep = all((T)1);
    if (at.mask && !at.mask[t]) keep = Vec<T>{};
    if (slope) store(slope + t * W, (s.softplus ? sigmoid<T>(x) : all((T)1)) * keep);
    store(dt + t * W, (s.softplus ? softplus<T>(x) : x) * keep);
  }
}

// B or C of a step and state as a vector: broadcast, or a channel's own where they do not change.
template <bool VARY, class T> INLINE Vec<T> weight(const T *x, int64_t t, int64_t n, int64_t states) {
  return VARY ? all(x[t * states + n]) : load(x + n * Lanes<T>::W);
}

// SET states from `n` through one tile forward: y gains their part, h becomes the state at the end.
template <int SET, bool VB, bool VC, class T>
INLINE void run(int64_t steps, int64_t states, int64_t n, const T *a, const T *b, const T *c, const T *dt, const T *x,
                T *h, T *y) {
  constexpr int64_t W = Lanes<T>::W;
  Vec<T> rate[SET], state[SET];
  for (int i = 0; i < SET; ++i) {
    rate[i] = load(a + (n + i) * W);
    state[i] = load(h + (n + i) * W);
  }
  for (int64_t t = 0; t < steps; ++t) {
    Vec<T> step = load(dt + t * W), in = load(x + t * W), out = load(y + t * W);
#pragma GCC unroll 8
    for (int i = 0; i < SET; ++i) {
      state[i] = power(step * rate[i]) * state[i] + in * weight<VB, T>(b, t, n + i, states);
      out += state[i] * weight<VC, T>(c, t, n + i, states);
    }
    store(y + t * W, out);
  }
  for (int i = 0; i < SET; ++i) store(h + (n + i) * W, state[i]);
}

template <bool VB, bool VC, class T> void forward_unit(const Scan &s, int64_t unit, T *room) {
  constexpr int64_t W = Lanes<T>::W;
  const Cut c = cut(s, W);
  const Unit<T> part(s, c, unit);
  const int64_t n = s.states;
  T *u = room, *dt = u + TILE * W, *x = dt + TILE * W, *z = x + TILE * W, *y = z + TILE * W;
  T *a = y + TILE * W, *h = a + n * W, *fixed_b = h + n * W, *fixed_c = fixed_b + n * W;
  for (int64_t k = 0; k < part.blocks; ++k) {
    part.turn((const T *)s.a, n, k, (T)1.4426950408889634, a);  // 2^(dt a log2 e) = e^(dt a)
    if (!VB) part.turn((const T *)s.b, n, k, 1, fixed_b);
    if (!VC) part.turn((const T *)s.c, n, k, 1, fixed_c);
    if (s.first) part.turn((const T *)s.first + part.row * s.channels * n, n, k, 1, h);
    else memset(h, 0, sizeof(T) * n * W);
    const Vec<T> skip = part.some((const T *)s.skip, k), bias = part.some((const T *)s.bias, k);
    for (int64_t tile = 0; tile < c.tiles; ++tile) {
      const Place at = part.place(s, k, tile);
      if (s.kept) memcpy((T *)s.kept + ((part.block + k) * c.tiles + tile) * n * W, h, sizeof(T) * n * W);
      memset(y, 0, sizeof(T) * at.steps * W);
      if (!nothing(at)) {
        stage(s.u, at, u);
        stage(s.delta, at, dt);
        step_sizes<T>(s, at, bias, dt, (T *)nullptr);
        for (int64_t t = 0; t < at.steps; ++t) store(x + t * W, load(dt + t * W) * load(u + t * W));
        const T *tb = VB ? part.b + at.start * n : fixed_b, *tc = VC ? part.c + at.start * n : fixed_c;
        int64_t i = 0;
        for (; i + 8 <= n; i += 8) run<8, VB, VC>(at.steps, n, i, a, tb, tc, dt, x, h, y);
        for (; i + 4 <= n; i += 4) run<4, VB, VC>(at.steps, n, i, a, tb, tc, dt, x, h, y);
        for (; i < n; ++i) run<1, VB, VC>(at.steps, n, i, a, tb, tc, dt, x, h, y);
        if (s.z.kind) stage(s.z, at, z);
        for (int64_t t = 0; t < at.steps; ++t) {
          Vec<T> out = load(y + t * W) + skip * load(u + t * W);
          if (s.z.kind) out *= load(z + t * W) * sigmoid<T>(load(z + t * W));
          store(y + t * W, out);
        }
      }
      unstage(s.y, at, y);
    }
    if (s.last) part.turn_back(h, n, k, (T *)s.last + part.row * s.channels * n);
  }
}

// One tile of one block, backward, and what it adds to.
template <class T> struct Tile {
  T *u, *dt, *x, *gy, *y, *into, *through;  // [step][lane]; into: sum over states of g B, through: of g a h A
  T *decay, *state;                         // of a set, [step][i][lane]
  const T *a, *b, *c, *h;                   // h: the state at the tile's start
  T *carry, *da, *db, *dc;                  // carry: gradient of the state after the tile, then before it
};

// Decays and states of SET states through the tile again; y gains their part where the gate needs it.
template <int SET, bool VB, bool VC, class T>
INLINE void again(int64_t steps, int64_t states, int64_t n, const Tile<T> &o, bool gated) {
  constexpr int64_t W = Lanes<T>::W;
  Vec<T> rate[SET], state[SET];
  for (int i = 0; i < SET; ++i) {
    rate[i] = load(o.a + (n + i) * W);
    state[i] = load(o.h + (n + i) * W);
    store(o.state + i * W, state[i]);
  }
  for (int64_t t = 0; t < steps; ++t) {
    Vec<T> step = load(o.dt + t * W), in = load(o.x + t * W), out{};
#pragma GCC unroll 8
    for (int i = 0; i < SET; ++i) {
      Vec<T> decay = power(step * rate[i]);
      state[i] = decay * state[i] + in * weight<VB, T>(o.b, t, n + i, states);
      store(o.decay + (t * SET + i) * W, decay);
      store(o.state + ((t + 1) * SET + i) * W, state[i]);
      if (gated) out += state[i] * weight<VC, T>(o.c, t, n + i, states);
    }
    if (gated) store(o.y + t * W, load(o.y + t * W) + out);
  }
}

// The gradient back through SET states of the tile.
template <int SET, bool VB, bool VC, class T>
INLINE void back(int64_t steps, int64_t states, int64_t n, const Tile<T> &o) {
  constexpr int64_t W = Lanes<T>::W;
  Vec<T> rate[SET], carry[SET], da[SET], later[SET], db[SET], dc[SET];
  for (int i = 0; i < SET; ++i) {
    rate[i] = load(o.a + (n + i) * W);
    carry[i] = load(o.carry + (n + i) * W);
    da[i] = load(o.da + (n + i) * W);
    later[i] = load(o.state + (steps * SET + i) * W);
    db[i] = VB ? Vec<T>{} : load(o.db + (n + i) * W);
    dc[i] = VC ? Vec<T>{} : load(o.dc + (n + i) * W);
  }
  for (int64_t t = steps - 1; t >= 0; --t) {
    Vec<T> gy = load(o.gy + t * W), in = load(o.x + t * W), step = load(o.dt + t * W);
    Vec<T> into = load(o.into + t * W), through = load(o.through + t * W);
#pragma GCC unroll 8
    for (int i = 0; i < SET; ++i) {
      const int64_t place = (t * states + n + i) * W;
      Vec<T> g = carry[i] + gy * weight<VC, T>(o.c, t, n + i, states);
      if (VC) store(o.dc + place, load(o.dc + place) + gy * later[i]);
      else dc[i] += gy * later[i];
      if (VB) store(o.db + place, load(o.db + place) + g * in);
      else db[i] += g * in;
      into += g * weight<VB, T>(o.b, t, n + i, states);
      carry[i] = g * load(o.decay + (t * SET + i) * W);
      later[i] = load(o.state + (t * SET + i) * W);
      Vec<T> w = carry[i] * later[i];
      through += w * rate[i];
      da[i] += w * step;
    }
    store(o.into + t * W, into);
    store(o.through + t * W, through);
  }
  for (int i = 0; i < SET; ++i) {
    store(o.carry + (n + i) * W, carry[i]);
    store(o.da + (n + i) * W, da[i]);
    if (!VB) store(o.db + (n + i) * W, db[i]);
    if (!VC) store(o.dc + (n + i) * W, dc[i]);
  }
}

template <class T> INLINE T over_lanes(const T *x) {
  T sum = 0;
  for (int64_t i = 0; i < Lanes<T>::W; ++i) sum += x[i];
  return sum;
}

template <bool VB, bool VC, class T> void backward_unit(const Scan &s, int64_t unit, T *room) {
  constexpr int64_t W = Lanes<T>::W;
  constexpr int SET = 4;
  const Cut c = cut(s, W);
  const Unit<T> part(s, c, unit);
  const int64_t n = s.states, all_n = part.blocks * n * W;
  T *p = room;
  auto take = [&p](int64_t count) { T *q = p; p += count; return q; };
  Tile<T> o;
  o.u = take(TILE * W), o.dt = take(TILE * W), o.x = take(TILE * W), o.gy = take(TILE * W), o.y = take(TILE * W);
  o.into = take(TILE * W), o.through = take(TILE * W);
  T *slope = take(TILE * W), *z = take(TILE * W), *du = take(TILE * W), *ddt = take(TILE * W), *dz = take(TILE * W);
  o.decay = take(TILE * SET * W), o.state = take((TILE + 1) * SET * W);
  T *rates = take(all_n), *carry = take(all_n), *da = take(all_n), *fixed = take(2 * n * W);
  T *db = take(VB ? TILE * n * W : all_n), *dc = take(VC ? TILE * n * W : all_n);
  T *dskip = take(part.blocks * W), *dbias = take(part.blocks * W);
  memset(da, 0, sizeof(T) * all_n);
  if (!VB) memset(db, 0, sizeof(T) * all_n);
  if (!VC) memset(dc, 0, sizeof(T) * all_n);
  memset(dskip, 0, sizeof(T) * 2 * part.blocks * W);
  for (int64_t k = 0; k < part.blocks; ++k) {
    part.turn((const T *)s.a, n, k, (T)1.4426950408889634, rates + k * n * W);
    if (s.dlast) part.turn((const T *)s.dlast + part.row * s.channels * n, n, k, 1, carry + k * n * W);
    else memset(carry + k * n * W, 0, sizeof(T) * n * W);
  }
  T *sum_b = (T *)s.part_b + ((part.row * c.ranges + part.range) * c.units + part.number) * s.length * n;
  T *sum_c = (T *)s.part_c + ((part.row * c.ranges + part.range) * c.units + part.number) * s.length * n;
  for (int64_t tile = c.tiles - 1; tile >= 0; --tile) {
    const int64_t steps = part.place(s, 0, tile).steps;
    if (VB) memset(db, 0, sizeof(T) * steps * n * W);
    if (VC) memset(dc, 0, sizeof(T) * steps * n * W);
    for (int64_t k = 0; k < part.blocks; ++k) {
      const Place at = part.place(s, k, tile);
      const bool gated = s.z.kind;
      if (nothing(at)) {
        memset(du, 0, sizeof(T) * steps * W);
        unstage(s.du, at, du);
        unstage(s.ddelta, at, du);
        if (gated) unstage(s.dz, at, du);
        continue;
      }
      const Vec<T> skip = part.some((const T *)s.skip, k), bias = part.some((const T *)s.bias, k);
      stage(s.u, at, o.u);
      stage(s.delta, at, o.dt);
      stage(s.dy, at, o.gy);
      if (gated) stage(s.z, at, z);
      step_sizes<T>(s, at, bias, o.dt, slope);
      for (int64_t t = 0; t < steps; ++t) {
        Vec<T> uv = load(o.u + t * W), gy = load(o.gy + t * W);
        store(o.x + t * W, load(o.dt + t * W) * uv);
        store(o.y + t * W, skip * uv);
        store(o.into + t * W, Vec<T>{});
        store(o.through + t * W, Vec<T>{});
        if (gated) {
          Vec<T> zv = load(z + t * W), gate = sigmoid<T>(zv);
          store(dz + t * W, gy * gate * ((T)1 + zv * ((T)1 - gate)));  // times the output before the gate, below
          store(o.gy + t * W, gy * gate * zv);
        }
      }
      o.a = rates + k * n * W, o.carry = carry + k * n * W, o.da = da + k * n * W;
      o.h = (const T *)s.kept + ((part.block + k) * c.tiles + tile) * n * W;
      if (!VB) part.turn((const T *)s.b, n, k, 1, fixed);
      if (!VC) part.turn((const T *)s.c, n, k, 1, fixed + n * W);
      o.b = VB ? part.b + at.start * n : fixed, o.c = VC ? part.c + at.start * n : fixed + n * W;
      o.db = VB ? db : db + k * n * W, o.dc = VC ? dc : dc + k * n * W;
      int64_t i = 0;
      for (; i + SET <= n; i += SET) {
        again<SET, VB, VC, T>(steps, n, i, o, gated);
        back<SET, VB, VC, T>(steps, n, i, o);
      }
      for (; i < n; ++i) {
        again<1, VB, VC, T>(steps, n, i, o, gated);
        back<1, VB, VC, T>(steps, n, i, o);
      }
      Vec<T> ds = load(dskip + k * W), dbi = load(dbias + k * W);
      for (int64_t t = 0; t < steps; ++t) {
        Vec<T> uv = load(o.u + t * W), gy = load(o.gy + t * W), into = load(o.into + t * W);
        ds += gy * uv;
        store(du + t * W, skip * gy + load(o.dt + t * W) * into);
        Vec<T> dd = (uv * into + load(o.through + t * W) * (T)0.6931471805599453) * load(slope + t * W);
        dbi += dd;
        store(ddt + t * W, dd);
        if (gated) store(dz + t * W, load(dz + t * W) * load(o.y + t * W));
      }
      store(dskip + k * W, ds);
      store(dbias + k * W, dbi);
      unstage(s.du, at, du);
      unstage(s.ddelta, at, ddt);
      if (gated) unstage(s.dz, at, dz);
    }
    if (VB)
      for (int64_t i = 0; i < steps * n; ++i) sum_b[tile * TILE * n + i] = over_lanes(db + i * W);
    if (VC)
      for (int64_t i = 0; i < steps * n; ++i) sum_c[tile * TILE * n + i] = over_lanes(dc + i * W);
  }
  const int64_t row = part.row * s.channels;
  for (int64_t k = 0; k < part.blocks; ++k) {
    part.turn_back(da + k * n * W, n, k, (T *)s.part_a + row * n);
    if (!VB) part.turn_back(db + k * n * W, n, k, (T *)s.part_b + row * n);
    if (!VC) part.turn_back(dc + k * n * W, n, k, (T *)s.part_c + row * n);
    if (s.dfirst) part.turn_back(carry + k * n * W, n, k, (T *)s.dfirst + row * n);
    part.turn_back(dskip + k * W, 1, k, (T *)s.part_skip + row);
    part.turn_back(dbias + k * W, 1, k, (T *)s.part_bias + row);
  }
}

template <class T> void forward(const Scan &s, int64_t unit, void *room) {
  if (s.groups_b && s.groups_c) forward_unit<true, true, T>(s, unit, (T *)room);
  else if (s.groups_b) forward_unit<true, false, T>(s, unit, (T *)room);
  else if (s.groups_c) forward_unit<false, true, T>(s, unit, (T *)room);
  else forward_unit<false, false, T>(s, unit, (T *)room);
}

template <class T> void backward(const Scan &s, int64_t unit, void *room) {
  if (s.groups_b && s.groups_c) backward_unit<true, true, T>(s, unit, (T *)room);
  else if (s.groups_b) backward_unit<true, false, T>(s, unit, (T *)room);
  else if (s.groups_c) backward_unit<false, true, T>(s, unit, (T *)room);
  else backward_unit<false, false, T>(s, unit, (T *)room);
}

void exponential(const float *x, float *y, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(y + i, natural(load(x + i)));
  for (; i < count; ++i) y[i] = natural(all(x[i]))[0];
}

}  // namespace

extern const Kernels TABLE;
const Kernels TABLE = {LANES, LANES / 2, forward<float>, backward<float>, forward<double>, backward<double>,
                       conv_forward<float>, conv_backward<float>, conv_forward<double>, conv_backward<double>,
                       exponential};
