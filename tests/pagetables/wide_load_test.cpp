// SPDX-License-Identifier: Apache-2.0
//
// Two words as memory held them at one time (L3), where the host loads them at once and where it
// does not: behind a callback, the test can change memory between two loads.
#include "pagetables/wide_load.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

namespace weir::pagetables {
namespace {

using Pair = std::array<std::uint64_t, 2>;

PhysicalMemory memory_of(std::vector<MemoryRegion> regions) {
  return PhysicalMemory(
      std::make_shared<GuestMemory>(GuestMemory::create(std::move(regions)).value()));
}

// Words behind a callback; `before_read` is told how many reads there were.
struct Words final : MemoryTarget {
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    before_read(reads++);
    std::memcpy(to.data(), reinterpret_cast<const std::byte*>(words.data()) + offset, to.size());
    return true;
  }
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }

  Pair words{1, 2};
  unsigned reads = 0;
  std::function<void(unsigned)> before_read = [](unsigned) {};
};

TEST(WideLoad, BothWordsOfHostMemory) {
  alignas(16) std::array<std::uint64_t, 4> words{1, 2, 3, 4};
  const PhysicalMemory memory = memory_of({{.first = Hpa(0x1000),
                                            .size = sizeof words,
                                            .host = reinterpret_cast<std::byte*>(words.data())}});
  EXPECT_EQ(load_pair(memory, Gpa(0x1000)).value(), (Pair{1, 2}));
  EXPECT_EQ(load_pair(memory, Gpa(0x1010)).value(), (Pair{3, 4}));
}

TEST(WideLoad, AbsentHalfAbsentAndUnreadable) {
  alignas(16) std::array<std::uint64_t, 3> words{1, 2, 3};
  auto* host = reinterpret_cast<std::byte*>(words.data());
  const PhysicalMemory memory =
      memory_of({{.first = Hpa(0x1000), .size = sizeof words, .host = host}});
  EXPECT_FALSE(load_pair(memory, Gpa(0x2000)));
  EXPECT_FALSE(load_pair(memory, Gpa(0x1010))) << "the second word lies outside";
  const PhysicalMemory closed = memory_of({{.first = Hpa(0x1000),
                                            .size = sizeof words,
                                            .host = host,
                                            .permissions = Permissions::write_only()}});
  EXPECT_FALSE(load_pair(closed, Gpa(0x1000)));
}

// The words lie in two regions, so no single load can have them.
TEST(WideLoad, WordsThatAreNotTogether) {
  alignas(16) std::array<std::uint64_t, 4> words{1, 0, 0, 4};
  auto* host = reinterpret_cast<std::byte*>(words.data());
  const PhysicalMemory memory = memory_of({{.first = Hpa(0x1000), .size = 8, .host = host},
                                           {.first = Hpa(0x1008), .size = 8, .host = host + 24}});
  EXPECT_EQ(load_pair(memory, Gpa(0x1000)).value(), (Pair{1, 4}));
}

TEST(WideLoad, ARewriteBetweenTheWordsIsReadAgain) {
  Words words;
  words.before_read = [&](unsigned reads) {
    if (reads == 1) words.words = {5, 6};  // after the first word, before the second
  };
  const PhysicalMemory memory = memory_of({{.first = Hpa(0), .size = 16, .target = &words}});
  EXPECT_EQ(load_pair(memory, Gpa(0)).value(), (Pair{5, 6})) << "never 1 with 6";
}

TEST(WideLoad, AnEntryThatKeepsChangingIsUnreadableInBoundedTime) {
  Words words;
  words.before_read = [&](unsigned) { ++words.words[0]; };
  const PhysicalMemory memory = memory_of({{.first = Hpa(0), .size = 16, .target = &words}});
  EXPECT_FALSE(load_pair(memory, Gpa(0)));
  EXPECT_LT(words.reads, 32U);
}

}  // namespace
}  // namespace weir::pagetables
