// SPDX-License-Identifier: Apache-2.0
//
// What a device pays for an IOTLB miss in a domain of a thousand mappings and of a million:
// printed; asserted is only that the answers are right. Runs in the long run only (WEIR_LONG=1).
//
// The guest maps pages through its rings; then a device translates random bytes of them in bursts
// of 64, through a DmaPort and an IOTLB of 64 entries, so that hardly any hits. Independent: a
// loop; dependent: every address waits for the last answer. The thread's processor time, median of
// nine.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

constexpr std::size_t kLookups = std::size_t{1} << 16;
constexpr std::uint64_t kBase = std::uint64_t{1} << 32;

[[nodiscard]] double now_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

struct Figures {
  double independent = 0;
  double dependent = 0;
};

// Where the pages of a domain lie.
struct Pattern {
  const char* name;
  std::uint64_t stride;  // 0: anywhere in 2^47 above kBase, each at a place of its own
};
constexpr std::array kPatterns = {Pattern{"adjacent 4 KiB pages", kPageSize},
                                  Pattern{"every 16th page", 16 * kPageSize},
                                  Pattern{"pages anywhere", 0}};

[[nodiscard]] std::uint64_t place_of(std::uint64_t page, const Pattern& pattern) {
  // An odd multiplier takes no two numbers to one place.
  constexpr std::uint64_t kPlaces = std::uint64_t{1} << 35, kOdd = 0x9e3779b97f4a7c15;
  return kBase + (pattern.stride != 0 ? page * pattern.stride : page * kOdd % kPlaces * kPageSize);
}

Figures measure(std::uint64_t mappings, const Pattern& pattern) {
  const auto words = std::make_unique<std::uint64_t[]>(kRamBytes / 8);
  const auto memory = std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words.get(), kRamBytes / 8))));
  const pagetables::PhysicalMemory physical(memory);
  Iommu iommu({.memory = memory, .caches = {.entries = 64}});
  constexpr std::array kTable = {std::byte{1}};
  (void)iommu.use_tables(AllOfTheSegment{}, kTable);
  Unit& unit = iommu.add_unit<Unit>(kUnitName, options_with_endpoints());
  const auto driver =
      ViommuDriver::create(unit.device(), physical, kDriverArea,
                           {.ring = {.size = 256, .indirect = true, .event_index = true}})
          .value();
  const auto port = iommu.attach({.function = Requester::from_sid(kNvme)}).value();
  EXPECT_EQ(driver->attach(1, kNvme), guest::kOk);
  constexpr std::uint64_t kBatch = 128;
  for (std::uint64_t page = 0; page < mappings; page += kBatch) {
    for (std::uint64_t i = page; i < page + kBatch; ++i)
      (void)driver->post(ViommuDriver::map_bytes(
          1, place_of(i, pattern), place_of(i, pattern) + kPageSize - 1, i % 1024 * kPageSize));
    driver->kick();
    EXPECT_TRUE(driver->collect());
    for (const auto& reply : driver->replies()) EXPECT_EQ(reply.status, guest::kOk);
    driver->forget_replies();
  }

  std::mt19937_64 random(11);
  std::vector<std::uint64_t> at(kLookups);
  for (std::uint64_t& a : at) a = place_of(random() % mappings, pattern) + random() % 4000;
  std::uint64_t wrong = 0;
  const auto batch = [&](std::uint64_t depends) {
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < kLookups;) {
      DmaPort::Burst burst(*port);
      for (const std::size_t end = i + 64; i < end; ++i) {
        const auto answer = burst.translate(Iova(at[i] + carry), 4, Access::kRead);
        wrong += answer ? 0 : 1;
        // Never past the end of memory: 0, in a way that the compiler cannot see.
        if (answer) carry = answer->hpa.value() >> 40 & depends;
      }
    }
    return carry;
  };
  const auto median = [&](std::uint64_t depends) {
    std::array<double, 9> ns{};
    for (double& one : ns) {
      const double start = now_ns();
      wrong += batch(depends);
      one = (now_ns() - start) / kLookups;
    }
    std::ranges::sort(ns);
    return ns[ns.size() / 2];
  };
  const Figures f{.independent = median(0), .dependent = median(~std::uint64_t{0})};
  EXPECT_EQ(wrong, 0U);
  return f;
}

TEST(MissFigures, PrintedInTheLongRun) {
  if (std::getenv("WEIR_LONG") == nullptr) GTEST_SKIP() << "WEIR_LONG=1 prints them";
  std::printf("an IOTLB miss through the unit, ratio to 1 k mappings, then ns\n");
  std::printf("%-22s %8s | %15s | %15s\n", "mappings", "", "independent", "dependent");
  for (const Pattern& pattern : kPatterns) {
    Figures base;
    for (const std::uint64_t n : {std::uint64_t{1} << 10, std::uint64_t{1} << 20}) {
      const Figures f = measure(n, pattern);
      if (n == 1 << 10) base = f;
      std::printf("%-22s %8llu | %7.2f %7.1f | %7.2f %7.1f\n", pattern.name,
                  static_cast<unsigned long long>(n), f.independent / base.independent,
                  f.independent, f.dependent / base.dependent, f.dependent);
    }
  }
}

}  // namespace
}  // namespace weir::virtio_iommu::test
