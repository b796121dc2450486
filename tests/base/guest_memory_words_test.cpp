// SPDX-License-Identifier: Apache-2.0
//
// Aligned 64-bit accesses: what table entries and status words go through.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/guest_memory.h"

namespace weir {
namespace {

class Registers final : public MemoryTarget {
 public:
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    std::memcpy(to.data(), &words[offset / 8], to.size());
    return true;
  }
  bool write(std::uint64_t offset, std::span<const std::byte> from) override {
    ++writes;
    std::memcpy(&words[offset / 8], from.data(), from.size());
    return true;
  }
  std::optional<bool> compare_exchange(std::uint64_t offset, std::uint64_t& expected,
                                       std::uint64_t desired) override {
    if (!atomics) return std::nullopt;
    std::uint64_t& word = words[offset / 8];
    const bool match = word == expected;
    expected = word;
    if (match) word = desired;
    return match;
  }
  std::array<std::uint64_t, 4> words{};
  int writes = 0;
  bool atomics = true;
};

class Words : public testing::Test {
 protected:
  Words() {
    auto made = GuestMemory::create(
        {{.first = Hpa(0x1000), .size = 32, .host = bytes()},
         {.first = Hpa(0x1020), .size = 12, .host = bytes() + 32},  // ends inside a word
         {.first = Hpa(0x2004), .size = 20, .host = bytes() + 68},  // begins inside a word
         {.first = Hpa(0x3000), .size = 32, .target = &registers},
         {.first = Hpa(0x4000),
          .size = 8,
          .host = bytes(),
          .permissions = Permissions::write_only()}});
    EXPECT_TRUE(made.ok()) << made.error();
    if (made) memory.emplace(std::move(made).value());
  }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words.data()); }

  std::array<std::uint64_t, 16> words{};
  Registers registers;
  std::optional<GuestMemory> memory;
};

TEST_F(Words, LoadAndStoreWhereTheySay) {
  words[3] = 0x0123456789abcdef;
  EXPECT_EQ(*memory->load64(Hpa(0x1018)), 0x0123456789abcdefu);
  EXPECT_TRUE(memory->store64(Hpa(0x1010), 0xfeedfacecafebeef));
  EXPECT_EQ(words[2], 0xfeedfacecafebeefu);
  EXPECT_EQ(words[1], 0u);
}

TEST_F(Words, MisalignedIsRefusedEverywhere) {
  for (std::uint64_t off = 1; off < 8; ++off) {
    EXPECT_EQ(memory->load64(Hpa(0x1000 + off)).error(), MemoryFailure::kMisaligned);
    EXPECT_EQ(memory->store64(Hpa(0x1000 + off), 1).error(), MemoryFailure::kMisaligned);
    std::uint64_t expected = 0;
    EXPECT_EQ(memory->compare_exchange64(Hpa(0x1000 + off), expected, 1).error(),
              MemoryFailure::kMisaligned);
    EXPECT_EQ(memory->load64(Hpa(0x3000 + off)).error(), MemoryFailure::kMisaligned);
    EXPECT_EQ(memory->store64(Hpa(0x3000 + off), 1).error(), MemoryFailure::kMisaligned);
  }
  EXPECT_EQ(words, (std::array<std::uint64_t, 16>{}));
}

TEST_F(Words, AWordMustLieInOneRegion) {
  EXPECT_TRUE(memory->load64(Hpa(0x1020)));
  EXPECT_EQ(memory->load64(Hpa(0x1028)).error(), MemoryFailure::kAbsent) << "four bytes too short";
  EXPECT_EQ(memory->store64(Hpa(0x1028), 1).error(), MemoryFailure::kAbsent);
  EXPECT_EQ(memory->load64(Hpa(0x5000)).error(), MemoryFailure::kAbsent);
  EXPECT_EQ(memory->store64(Hpa(0x5000), 1).error(), MemoryFailure::kAbsent);
}

// The address decides, not the distance from where the region begins.
TEST_F(Words, AlignmentIsOfTheAddressNotOfTheOffset) {
  words[9] = 0x99;  // at 0x2008: the region's byte 4
  ASSERT_TRUE(memory->load64(Hpa(0x2008)));
  EXPECT_EQ(*memory->load64(Hpa(0x2008)), 0x99u);
  std::uint64_t expected = 0x99;
  const auto exchanged = memory->compare_exchange64(Hpa(0x2008), expected, 0x77);
  ASSERT_TRUE(exchanged);
  EXPECT_TRUE(*exchanged);
  EXPECT_EQ(words[9], 0x77u);
  EXPECT_TRUE(memory->store64(Hpa(0x2010), 5));
  EXPECT_EQ(memory->load64(Hpa(0x2004)).error(), MemoryFailure::kMisaligned);
  EXPECT_EQ(memory->load64(Hpa(0x200c)).error(), MemoryFailure::kMisaligned);
}

TEST_F(Words, CompareExchange) {
  words[0] = 10;
  std::uint64_t expected = 9;
  auto result = memory->compare_exchange64(Hpa(0x1000), expected, 20);
  ASSERT_TRUE(result);
  EXPECT_FALSE(*result);
  EXPECT_EQ(expected, 10u) << "the caller is told what was there";
  EXPECT_EQ(words[0], 10u);
  result = memory->compare_exchange64(Hpa(0x1000), expected, 20);
  ASSERT_TRUE(result);
  EXPECT_TRUE(*result);
  EXPECT_EQ(words[0], 20u);
}

TEST_F(Words, Callbacks) {
  registers.words[1] = 0xabc;
  EXPECT_EQ(*memory->load64(Hpa(0x3008)), 0xabcu);
  EXPECT_TRUE(memory->store64(Hpa(0x3010), 3));
  EXPECT_EQ(registers.words[2], 3u);
  EXPECT_EQ(registers.writes, 1) << "a word goes to a device as one access";
  std::uint64_t expected = 0xabc;
  EXPECT_TRUE(*memory->compare_exchange64(Hpa(0x3008), expected, 0xdef));
  EXPECT_EQ(registers.words[1], 0xdefu);
  registers.atomics = false;
  EXPECT_EQ(memory->compare_exchange64(Hpa(0x3008), expected, 1).error(), MemoryFailure::kRefused);
  // A device that says nothing of atomics has none.
  class Plain final : public MemoryTarget {
    bool read(std::uint64_t, std::span<std::byte>) override { return true; }
    bool write(std::uint64_t, std::span<const std::byte>) override { return true; }
  } plain;
  std::uint64_t zero = 0;
  EXPECT_EQ(static_cast<MemoryTarget&>(plain).compare_exchange(0, zero, 1), std::nullopt);
}

TEST_F(Words, WriteOnlyMemoryIsNotRead) {
  EXPECT_EQ(memory->load64(Hpa(0x4000)).error(), MemoryFailure::kNotAllowed);
  EXPECT_TRUE(memory->store64(Hpa(0x4000), 6));
  EXPECT_EQ(words[0], 6u);
}

}  // namespace
}  // namespace weir
