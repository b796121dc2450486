// SPDX-License-Identifier: Apache-2.0
//
// Regions, borders between them, and what creation refuses. Words: guest_memory_words_test.cpp.
#include "base/guest_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace weir {
namespace {

// A callback region over bytes of its own, which notes what it was asked.
class Device final : public MemoryTarget {
 public:
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    last_offset = offset;
    last_size = to.size();
    if (refuse) return false;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
    return true;
  }
  bool write(std::uint64_t offset, std::span<const std::byte> from) override {
    last_offset = offset;
    last_size = from.size();
    if (refuse) return false;
    std::copy(from.begin(), from.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    return true;
  }

  std::array<std::byte, 64> bytes{};
  std::uint64_t last_offset = 0;
  std::size_t last_size = 0;
  bool refuse = false;
};

// ROM at 0x1000, RAM right behind it at 0x1100, a device right behind that at 0x1200, a hole, and
// RAM up to the last byte of the address space.
class GuestMemoryTest : public testing::Test {
 protected:
  GuestMemoryTest() {
    for (std::size_t i = 0; i < kSize; ++i) {
      rom[i] = std::byte(i);
      ram[i] = std::byte(0x80);
      top[i] = std::byte(0x40);
    }
    auto made =
        GuestMemory::create({{.first = Hpa(0xffffffffffffff00), .size = kSize, .host = top.data()},
                             {.first = Hpa(0x1200), .size = 64, .target = &device},
                             {.first = Hpa(0x1000),
                              .size = kSize,
                              .host = rom.data(),
                              .permissions = Permissions::read_only()},
                             {.first = Hpa(0x1100), .size = kSize, .host = ram.data()}});
    EXPECT_TRUE(made.ok()) << made.error();
    if (made) memory.emplace(std::move(made).value());
  }
  [[nodiscard]] std::vector<std::byte> bytes(std::size_t n, int first = 1) const {
    std::vector<std::byte> out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = std::byte(first + static_cast<int>(i));
    return out;
  }

  static constexpr std::size_t kSize = 0x100;
  alignas(8) std::array<std::byte, kSize> rom{};
  alignas(8) std::array<std::byte, kSize> ram{};
  alignas(8) std::array<std::byte, kSize> top{};
  Device device;
  std::optional<GuestMemory> memory;
};

TEST_F(GuestMemoryTest, FindsTheRegionAndNothingBeside) {
  EXPECT_EQ(memory->find(Hpa(0xfff)), nullptr);
  ASSERT_NE(memory->find(Hpa(0x1000)), nullptr);
  EXPECT_EQ(memory->find(Hpa(0x10ff))->host, rom.data());
  EXPECT_EQ(memory->find(Hpa(0x1100))->host, ram.data());
  EXPECT_EQ(memory->find(Hpa(0x1200))->target, &device);
  EXPECT_EQ(memory->find(Hpa(0x123f))->target, &device);
  EXPECT_EQ(memory->find(Hpa(0x1240)), nullptr);
  EXPECT_EQ(memory->find(Hpa(0)), nullptr);
  EXPECT_EQ(memory->find(Hpa(0xfffffffffffffeff)), nullptr);
  EXPECT_EQ(memory->find(Hpa(0xffffffffffffffff))->host, top.data());
}

TEST_F(GuestMemoryTest, ReadsAcrossThreeRegions) {
  std::vector<std::byte> got(2 + kSize + 3);
  ASSERT_TRUE(memory->read(Hpa(0x10fe), got));
  EXPECT_EQ(got[0], std::byte(0xfe));
  EXPECT_EQ(got[1], std::byte(0xff));
  EXPECT_EQ(got[2], std::byte(0x80));
  EXPECT_EQ(got[1 + kSize], std::byte(0x80));
  EXPECT_EQ(got[2 + kSize], device.bytes[0]);
  EXPECT_EQ(device.last_offset, 0u);
  EXPECT_EQ(device.last_size, 3u) << "a callback is never asked beyond its region";
}

TEST_F(GuestMemoryTest, WritesAcrossRamIntoTheDevice) {
  const auto data = bytes(6);
  ASSERT_TRUE(memory->write(Hpa(0x11fc), data));
  EXPECT_TRUE(std::equal(data.begin(), data.begin() + 4, ram.begin() + 0xfc));
  EXPECT_EQ(device.bytes[0], data[4]);
  EXPECT_EQ(device.bytes[1], data[5]);
}

TEST_F(GuestMemoryTest, RomRefusesWritesAndKeepsItsBytes) {
  const auto result = memory->write(Hpa(0x1010), bytes(4, 0x70));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), MemoryFailure::kNotAllowed);
  EXPECT_EQ(rom[0x10], std::byte(0x10));
  EXPECT_FALSE(memory->store64(Hpa(0x1010), 1));
  std::uint64_t expected = 0x1716151413121110;
  EXPECT_EQ(memory->compare_exchange64(Hpa(0x1010), expected, 1).error(),
            MemoryFailure::kNotAllowed);
  EXPECT_EQ(rom[0x10], std::byte(0x10));
}

TEST_F(GuestMemoryTest, WhatCameBeforeTheFailureHasLanded) {
  const auto data = bytes(8);
  auto result = memory->write(Hpa(0x123c), data);  // four bytes of the device, then the hole
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), MemoryFailure::kAbsent);
  EXPECT_EQ(device.bytes[0x3f], data[3]);

  device.refuse = true;
  result = memory->write(Hpa(0x11fe), bytes(4, 0x21));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), MemoryFailure::kRefused);
  EXPECT_EQ(ram[0xff], std::byte(0x22));
  std::array<std::byte, 4> got{};
  EXPECT_EQ(memory->read(Hpa(0x1200), got).error(), MemoryFailure::kRefused);
}

TEST_F(GuestMemoryTest, TheLastByteIsReachedAndNotPassed) {
  std::vector<std::byte> got(kSize);
  ASSERT_TRUE(memory->read(Hpa(0xffffffffffffff00), got));
  EXPECT_EQ(got.back(), std::byte(0x40));
  std::vector<std::byte> more(kSize + 1);
  const auto result = memory->read(Hpa(0xffffffffffffff00), more);
  ASSERT_FALSE(result) << "must not wrap round to address 0";
  EXPECT_EQ(result.error(), MemoryFailure::kAbsent);
}

TEST(GuestMemoryWrap, EvenWhereSomethingLiesAtZero) {
  alignas(8) std::array<std::byte, 8> low{};
  alignas(8) std::array<std::byte, 8> high{};
  const auto made =
      GuestMemory::create({{.first = Hpa(0), .size = 8, .host = low.data()},
                           {.first = Hpa(0xfffffffffffffff8), .size = 8, .host = high.data()}});
  ASSERT_TRUE(made);
  std::array<std::byte, 9> data;
  data.fill(std::byte(1));
  EXPECT_FALSE(made->write(Hpa(0xfffffffffffffff8), data));
  EXPECT_EQ(high[7], std::byte(1));
  EXPECT_EQ(low[0], std::byte(0)) << "a transfer ran round the end of the address space";
}

TEST_F(GuestMemoryTest, NothingToTransferIsDoneAnywhere) {
  EXPECT_TRUE(memory->read(Hpa(0x5000), {}));
  EXPECT_TRUE(memory->write(Hpa(0x1000), {}));
}

TEST_F(GuestMemoryTest, EveryOffsetAndSizeArrivesWhole) {
  // Copies go in units of 8, 4, 2 and 1 bytes; no start, size or border may lose or double a byte.
  for (std::size_t start = 0; start < 17; ++start) {
    for (std::size_t size = 0; size < 40; ++size) {
      ram.fill(std::byte(0xee));
      const auto data = bytes(size);
      ASSERT_TRUE(memory->write(Hpa(0x1100 + start), data));
      for (std::size_t i = 0; i < 64; ++i) {
        const bool inside = i >= start && i < start + size;
        ASSERT_EQ(ram[i], inside ? data[i - start] : std::byte(0xee)) << start << " " << size;
      }
      std::vector<std::byte> got(size);
      ASSERT_TRUE(memory->read(Hpa(0x1100 + start), got));
      ASSERT_EQ(got, data);
    }
  }
}

struct Refusal {
  std::vector<MemoryRegion> regions;
  const char* says;
};

TEST(GuestMemoryCreate, RefusesInOneSentence) {
  alignas(8) static std::array<std::byte, 64> host{};
  static Device device;
  const std::vector<Refusal> refusals{
      {{{.first = Hpa(0), .size = 0, .host = host.data()}}, "empty"},
      {{{.first = Hpa(0xfffffffffffffff8), .size = 9, .host = host.data()}}, "wraps"},
      {{{.first = Hpa(1), .size = ~0ull, .target = &device}}, ""},
      {{{.first = Hpa(2), .size = ~0ull, .target = &device}}, "wraps"},
      {{{.first = Hpa(0), .size = 8}}, "host memory or a target"},
      {{{.first = Hpa(0), .size = 8, .host = host.data(), .target = &device}},
       "host memory or a target"},
      {{{.first = Hpa(0x1000), .size = 8, .host = host.data() + 1}}, "alignment"},
      {{{.first = Hpa(0x1001), .size = 8, .host = host.data()}}, "alignment"},
      {{{.first = Hpa(0x1001), .size = 8, .host = host.data() + 1}}, ""},
      {{{.first = Hpa(0x1000), .size = 16, .host = host.data()},
        {.first = Hpa(0x100f), .size = 16, .target = &device}},
       "overlap"},
      {{{.first = Hpa(0x1008), .size = 8, .host = host.data()},
        {.first = Hpa(0x1000), .size = 64, .target = &device}},
       "overlap"},
      {{{.first = Hpa(0x1010), .size = 8, .host = host.data()},
        {.first = Hpa(0x1000), .size = 16, .target = &device}},
       ""},
      {{}, ""}};
  for (const Refusal& refusal : refusals) {
    const auto made = GuestMemory::create(refusal.regions);
    EXPECT_EQ(made.ok(), *refusal.says == '\0') << refusal.says;
    if (!made) {
      EXPECT_NE(made.error().find(refusal.says), std::string::npos) << made.error();
    }
  }
}

TEST(GuestMemoryCreate, SingleIsOneRegion) {
  alignas(8) std::array<std::byte, 16> host{};
  const GuestMemory memory = GuestMemory::single(Hpa(0x4000), host);
  ASSERT_EQ(memory.regions().size(), 1u);
  EXPECT_TRUE(memory.store64(Hpa(0x4008), 0x1122334455667788));
  EXPECT_EQ(host[8], std::byte(0x88));
  EXPECT_EQ(host[15], std::byte(0x11));
}

}  // namespace
}  // namespace weir
