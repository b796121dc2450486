// SPDX-License-Identifier: Apache-2.0
//
// What the interval map costs: printed, never asserted. Runs in the long run only (WEIR_LONG=1); in
// pagetables/README.md is what it printed last and what that means.
//
// One loop is one batch: addresses are drawn beforehand, the thread's processor time for the whole
// batch is divided, the median of nine batches is given. Together: 32 addresses to a lookup. A
// second thread exists and sleeps. The last lines are a std::map in the same loops.

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "pagetables/interval_map.h"

namespace weir::pagetables {
namespace {

// The calling thread's processor time: other programs of a shared machine do not count, but what
// they do to its caches does.
double now_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

constexpr std::size_t kLookups = std::size_t{1} << 18;

enum class Shape {
  kAdjacentPages,
  kFallingPages,
  kEverySixteenth,
  kScattered,
  kFourPages,
  kByteOdd
};

struct ShapeName {
  Shape shape;
  const char* name;
};
constexpr std::array kShapes = {ShapeName{Shape::kAdjacentPages, "adjacent 4K pages"},
                                ShapeName{Shape::kFallingPages, "4K pages, falling order"},
                                ShapeName{Shape::kEverySixteenth, "every 16th 4K page"},
                                ShapeName{Shape::kScattered, "4K pages over 2^48, any order"},
                                ShapeName{Shape::kFourPages, "adjacent 16K, pages 4K"},
                                ShapeName{Shape::kByteOdd, "byte-odd, adjacent"}};

std::vector<Mapping> mappings_of(Shape shape, std::size_t n) {
  std::mt19937_64 random(7);
  std::vector<Mapping> all(n);
  std::uint64_t at = std::uint64_t{1} << 32;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t size = kPageSize;
    std::uint64_t gap = 0;
    switch (shape) {
      case Shape::kAdjacentPages:
      case Shape::kFallingPages:
        break;
      case Shape::kEverySixteenth:
        gap = 15 * kPageSize;
        break;
      case Shape::kScattered:
        at = (random() & 0xffff'ffff'ffffU) >> kPageLg2 << kPageLg2;
        break;
      case Shape::kFourPages:
        size = 4 * kPageSize;
        break;
      case Shape::kByteOdd:
        size = 1 + random() % 6000;
        gap = random() % 3;
        break;
    }
    const std::uint64_t output =
        shape == Shape::kByteOdd ? random() >> 16 : random() >> 24 << kPageLg2;
    all[i] = {{Iova(at), Iova(at + size - 1)}, Gpa(output), Permissions::read_write()};
    at += size + gap;
  }
  if (shape == Shape::kFallingPages) std::reverse(all.begin(), all.end());
  return all;
}

template <typename Batch>
double median_ns(std::size_t operations, Batch batch) {
  std::array<double, 9> ns{};
  for (double& one : ns) {
    const double start = now_ns();
    batch();
    one = (now_ns() - start) / static_cast<double>(operations);
  }
  std::sort(ns.begin(), ns.end());
  return ns[ns.size() / 2];
}

struct Figures {
  double together = 0, independent = 0, dependent = 0, map = 0, unmap_map = 0, tree_bytes = 0,
         index_bytes = 0;
};

volatile std::uint64_t sink = 0;

Figures measure(Shape shape, std::size_t n, const IntervalMapOptions& options) {
  FreeAtOnce retirer;
  IntervalMap map(options, retirer);
  std::vector<Mapping> wanted = mappings_of(shape, n);
  Figures f;
  const double start = now_ns();
  std::erase_if(wanted, [&](const Mapping& m) { return map.map(m) != MapStatus::kMapped; });
  f.map = (now_ns() - start) / static_cast<double>(n);
  const auto size = static_cast<double>(map.size());
  f.tree_bytes = static_cast<double>(map.node_bytes()) / size;
  f.index_bytes = static_cast<double>(map.index_bytes()) / size;

  std::mt19937_64 random(11);
  std::vector<Iova> at(kLookups);
  for (Iova& a : at) {
    const Mapping& m = wanted[random() % wanted.size()];
    a = m.range.first + random() % (m.range.last - m.range.first + 1);
  }
  f.independent = median_ns(kLookups, [&] {
    std::uint64_t sum = 0;
    for (const Iova a : at) sum += map.lookup(a)->output.value();
    sink = sink + sum;
  });
  f.together = median_ns(kLookups, [&] {
    std::uint64_t sum = 0;
    std::array<std::optional<Mapping>, 32> found;
    for (std::size_t i = 0; i < kLookups; i += found.size()) {
      map.lookup(std::span(at).subspan(i, found.size()), found);
      for (const auto& one : found) sum += one->output.value();
    }
    sink = sink + sum;
  });
  f.dependent = median_ns(kLookups, [&] {
    std::uint64_t carry = 0;
    // The answer is folded to 0 in a way the compiler cannot see: outputs stay below 2^52.
    for (const Iova a : at) carry = map.lookup(a + carry)->output.value() >> 63;
    sink = sink + carry;
  });
  const std::size_t pairs = kLookups / 8;
  f.unmap_map = median_ns(pairs, [&] {
    for (std::size_t i = 0; i < pairs; ++i) {
      const Mapping& m = wanted[i * 7919 % wanted.size()];
      if (map.unmap(m.range).removed != 1 || map.map(m) != MapStatus::kMapped) std::abort();
    }
  });
  return f;
}

// What a plain balanced tree does with the same addresses: lookups only.
Figures measure_plain_tree(std::size_t n) {
  std::map<std::uint64_t, Mapping> tree;  // by last byte
  const std::vector<Mapping> wanted = mappings_of(Shape::kAdjacentPages, n);
  for (const Mapping& m : wanted) tree.emplace(m.range.last.value(), m);
  std::mt19937_64 random(11);
  std::vector<std::uint64_t> at(kLookups);
  for (auto& a : at) a = wanted[random() % n].range.first.value() + random() % kPageSize;
  Figures f;
  const auto batch = [&](auto next) {
    std::uint64_t carry = 0;
    for (const std::uint64_t a : at)
      carry = next(carry, tree.lower_bound(a + (carry >> 63))->second.output.value());
    sink = sink + carry;
  };
  f.independent = median_ns(kLookups, [&] {
    batch([](std::uint64_t sum, std::uint64_t output) {
      return (sum + output) & ~std::uint64_t{0} >> 1;
    });
  });
  f.dependent = median_ns(
      kLookups, [&] { batch([](std::uint64_t, std::uint64_t output) { return output; }); });
  return f;
}

TEST(IntervalMapFigures, Printed) {
  if (std::getenv("WEIR_LONG") == nullptr) GTEST_SKIP() << "figures are printed in the long run";
  // glibc leaves lock prefixes out of a process with one thread.
  std::mutex mutex;
  std::condition_variable condition;
  bool done = false;
  std::thread idle([&] {
    std::unique_lock lock(mutex);
    condition.wait(lock, [&] { return done; });
  });
  std::printf("%-30s %8s | %15s | %15s | %15s | %6s %10s | %10s\n", "", "", "32 together",
              "independent", "dependent", "map", "unmap+map", "bytes/map.");
  std::printf("%-30s %8s | %7s %7s | %7s %7s | %7s %7s | %6s %10s | %5s %5s\n", "mappings", "",
              "/ 1k", "ns", "/ 1k", "ns", "/ 1k", "ns", "ns", "ns", "tree", "index");
  for (const bool index : {true, false}) {
    IntervalMapOptions options;
    if (!index) options.index_bytes_per_mapping = options.index_bytes_at_start = 0;
    std::printf("%s\n", index ? "-- with the page index" : "-- the tree alone");
    for (const auto& [shape, name] : kShapes) {
      Figures base;
      for (const std::size_t n :
           {std::size_t{1} << 10, std::size_t{1} << 16, std::size_t{1} << 20}) {
        const Figures f = measure(shape, n, options);
        if (n == 1 << 10) base = f;
        std::printf(
            "%-30s %8zu | %7.2f %7.1f | %7.2f %7.1f | %7.2f %7.1f | %6.0f %10.0f | %5.1f %5.1f\n",
            name, n, f.together / base.together, f.together, f.independent / base.independent,
            f.independent, f.dependent / base.dependent, f.dependent, f.map, f.unmap_map,
            f.tree_bytes, f.index_bytes);
        std::fflush(stdout);
      }
    }
  }
  std::printf("-- std::map, lookups only\n");
  Figures base;
  for (const std::size_t n : {std::size_t{1} << 10, std::size_t{1} << 16, std::size_t{1} << 20}) {
    const Figures f = measure_plain_tree(n);
    if (n == 1 << 10) base = f;
    std::printf("%-30s %8zu | %15s | %7.2f %7.1f | %7.2f %7.1f |\n", "adjacent 4K pages", n, "",
                f.independent / base.independent, f.independent, f.dependent / base.dependent,
                f.dependent);
  }
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  condition.notify_one();
  idle.join();
}

}  // namespace
}  // namespace weir::pagetables
