// The selective scan's driver: picks the instruction set, shares the units of work among threads, adds up their sums.
//
// Which thread runs which unit changes nothing: every unit writes its own part, and parts are added up in fixed order.
#include <stddef.h>

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "scan.h"

extern const Kernels base_kernels;
#ifdef HAVE_X86
extern const Kernels avx2_kernels, avx512_kernels;
#endif

namespace {

const Kernels *at_level(int64_t level) {
#ifdef HAVE_X86
  if (level == 2) return __builtin_cpu_supports("avx512f") ? &avx512_kernels : nullptr;
  if (level == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2_kernels : nullptr;
#endif
  return level == 0 ? &base_kernels : nullptr;
}

const int64_t WORTH_A_THREAD = 1 << 18;  // states, or taps; fewer take less time than starting a thread

template <class Work> bool in_threads(int64_t threads, int64_t size, int64_t units, Work work) {
  int64_t count = threads < units ? threads : units;
  int64_t worth = size / WORTH_A_THREAD + 1;
  if (worth < count) count = worth;
  std::atomic<int64_t> next(0);
  std::atomic<bool> failed(false);
  auto loop = [&] {
    try {
      for (int64_t unit = next++; unit < units; unit = next++) work(unit);
    } catch (const std::bad_alloc &) {
      failed = true;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < count; ++i) others.emplace_back(loop);
  } catch (const std::system_error &) {  // no more threads to be had: those there are do the work
  }
  loop();
  for (auto &thread : others) thread.join();
  return !failed;
}

template <class T> void add_up(const void *parts, int64_t count, int64_t stride, int64_t size, void *sum) {
  if (!sum) return;
  const T *from = (const T *)parts;
  T *to = (T *)sum;
  for (int64_t i = 0; i < size; ++i) to[i] = from[i];
  for (int64_t k = 1; k < count; ++k)
    for (int64_t i = 0; i < size; ++i) to[i] += from[k * stride + i];
}

// Sums of B or C: over the batch where they do not change, else over the units and ranges of a group.
template <class T> void add_groups(const Scan &s, const Cut &c, int64_t groups, const void *parts, void *sum) {
  if (!groups) return add_up<T>(parts, s.batch, s.channels * s.states, s.channels * s.states, sum);
  const int64_t size = s.length * s.states, together = c.ranges / groups * c.units;
  for (int64_t i = 0; sum && i < s.batch * groups; ++i)
    add_up<T>((const T *)parts + i * together * size, together, size, size, (T *)sum + i * size);
}

// Room for `count` elements that this thread keeps from unit to unit.
template <class T> void *space(int64_t count) {
  thread_local std::vector<T> kept;
  if ((int64_t)kept.size() < count + 16) kept.resize((size_t)count + 16);
  return (void *)(((uintptr_t)kept.data() + 63) & ~(uintptr_t)63);
}

template <class T> int run(const Scan &s, bool back) {
  const Kernels *k = at_level(s.level);
  if (!k) return 1;
  const int64_t lanes = s.double_ ? k->lanes_double : k->lanes;
  const Cut c = cut(s, lanes);
  auto work = s.double_ ? (back ? k->backward_double : k->forward_double) : (back ? k->backward : k->forward);
  const int64_t size = s.batch * s.channels * s.length * s.states;
  const bool done = in_threads(s.threads, size, s.batch * c.ranges * c.units,
                               [&](int64_t unit) { work(s, unit, space<T>(room(s, lanes))); });
  if (!done) return 2;
  if (back) {
    add_up<T>(s.part_a, s.batch, s.channels * s.states, s.channels * s.states, s.da);
    add_up<T>(s.part_skip, s.batch, s.channels, s.channels, s.dskip);
    add_up<T>(s.part_bias, s.batch, s.channels, s.channels, s.dbias);
    add_groups<T>(s, c, s.groups_b, s.part_b, s.db);
    add_groups<T>(s, c, s.groups_c, s.part_c, s.dc);
  }
  return 0;
}

template <class T> int run(const Conv &c, bool back) {
  const Kernels *k = at_level(c.level);
  if (!k) return 1;
  const int64_t lanes = c.double_ ? k->lanes_double : k->lanes, size = c.batch * c.channels * c.length * c.taps;
  auto work = c.double_ ? (back ? k->conv_backward_double : k->conv_forward_double)
                        : (back ? k->conv_backward : k->conv_forward);
  const bool done = in_threads(c.threads, size, c.batch * up(c.channels, lanes),
                               [&](int64_t unit) { work(c, unit, space<T>(room(c, lanes))); });
  if (!done) return 2;
  const int64_t each = (c.taps + 1) * c.channels;
  if (back) add_up<T>(c.part, c.batch, each, each, c.sums);
  return 0;
}

}  // namespace

extern "C" {

// 0 done, 1 this machine lacks the instruction set, 2 out of memory.
int memescope_scan(const Scan *s, int back) { return s->double_ ? run<double>(*s, back) : run<float>(*s, back); }

int memescope_conv(const Conv *c, int back) { return c->double_ ? run<double>(*c, back) : run<float>(*c, back); }

// Whether this machine has instruction set 0 (any), 1 (AVX2), 2 (AVX-512).
int memescope_has(int64_t level) { return at_level(level) != nullptr; }

// Elements of `kept`, `part_b` and `part_c`, in that order.
void memescope_sizes(const Scan *s, int64_t *sizes) {
  const Kernels *k = at_level(s->level);
  const Cut c = cut(*s, s->double_ ? k->lanes_double : k->lanes);
  sizes[0] = s->batch * c.ranges * c.blocks * c.tiles * s->states * c.lanes;
  const int64_t each = s->batch * c.ranges * c.units * s->length * s->states;
  const int64_t fixed = s->batch * s->channels * s->states;
  sizes[1] = s->groups_b ? each : fixed;
  sizes[2] = s->groups_c ? each : fixed;
}

// e^x of `count` floats as the kernels take it.
void memescope_exp(int64_t level, const float *x, float *y, int64_t count) { at_level(level)->exponential(x, y, count); }
}
