// SPDX-License-Identifier: Apache-2.0
//
// L3 at the bottom: an aligned word of 4 or 8 bytes inside a longer copy is copied as one.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "base/guest_memory.h"

namespace weir {
namespace {

constexpr int kRounds = 100000;

// Every word holds one byte value eight (or four) times; a torn one shows two.
template <typename Word>
[[nodiscard]] Word filled_with(int value) {
  Word word = 0;
  std::memset(&word, value, sizeof word);
  return word;
}

template <typename Word>
void hammer(std::size_t start) {
  alignas(64) std::array<std::byte, 256> host{};
  const GuestMemory memory = GuestMemory::single(Hpa(0), host);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::array<std::byte, 64> data{};
    for (int i = 0; i < kRounds; ++i) {
      data.fill(std::byte(i));
      EXPECT_TRUE(memory.write(Hpa(start), data));
    }
    stop = true;
  });
  std::uint64_t torn = 0;
  while (!stop) {
    std::array<std::byte, 64> got{};
    ASSERT_TRUE(memory.read(Hpa(start), got));
    for (std::size_t i = 0; i + sizeof(Word) <= got.size(); i += sizeof(Word)) {
      Word word = 0;
      std::memcpy(&word, &got[i], sizeof word);
      torn += word != filled_with<Word>(static_cast<int>(got[i]));
    }
  }
  writer.join();
  EXPECT_EQ(torn, 0u);
}

TEST(TornCopiesStress, EightByteWords) { hammer<std::uint64_t>(0); }
// Starts in the middle of an 8-byte word: its halves are still whole.
TEST(TornCopiesStress, FourByteWords) { hammer<std::uint32_t>(4); }

TEST(TornCopiesStress, CompareExchangeLosesNoUpdate) {
  alignas(8) std::array<std::byte, 8> host{};
  const GuestMemory memory = GuestMemory::single(Hpa(0x1000), host);
  const auto add = [&] {
    for (int i = 0; i < kRounds / 4; ++i) {
      std::uint64_t seen = *memory.load64(Hpa(0x1000));
      while (!*memory.compare_exchange64(Hpa(0x1000), seen, seen + 1)) {
      }
    }
  };
  std::thread other(add);
  add();
  other.join();
  EXPECT_EQ(*memory.load64(Hpa(0x1000)), 2u * (kRounds / 4));
}

}  // namespace
}  // namespace weir
