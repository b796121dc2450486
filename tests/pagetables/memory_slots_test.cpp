// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "pagetables/host_map.h"

namespace weir::pagetables {
namespace {

MemorySlots slots(std::vector<MemorySlot> list) {
  auto made = MemorySlots::create(std::move(list));
  EXPECT_TRUE(made.ok()) << made.error();
  return std::move(made).value();
}

TEST(MemorySlots, FindsTheSlotAndItsWindow) {
  const MemorySlots map = slots({{Gpa(0x8000), 0x1000, Hpa(0x100000), Permissions::read_only()},
                                 {Gpa(0x1000), 0x3000, Hpa(0x7000)},
                                 {Gpa(0x4000), 0x1000, Hpa(0x2000)}});
  const auto got = map.lookup(Gpa(0x3fff));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->hpa, Hpa(0x9fff));
  EXPECT_EQ(got->window, (AddressRange<Gpa>{Gpa(0x1000), Gpa(0x3fff)}));
  EXPECT_EQ(got->references, 0u);
  EXPECT_EQ(map.lookup(Gpa(0x4000))->hpa, Hpa(0x2000)) << "the neighbour begins here";
  EXPECT_EQ(map.lookup(Gpa(0x8fff))->permissions, Permissions::read_only());
  for (const std::uint64_t hole : {0x0ull, 0xfffull, 0x5000ull, 0x7fffull, 0x9000ull, ~0ull}) {
    const auto missing = map.lookup(Gpa(hole));
    ASSERT_FALSE(missing) << hole;
    EXPECT_EQ(missing.error().stage, Stage::kHostMap);
    EXPECT_EQ(missing.error().reason, FaultReason::kHostMapAbsent);
  }
}

TEST(MemorySlots, TheEndsOfTheAddressSpace) {
  const MemorySlots map = slots({{Gpa(0), 1, Hpa(5)}, {Gpa(1), ~0ull, Hpa(0)}});
  EXPECT_EQ(map.lookup(Gpa(0))->hpa, Hpa(5));
  EXPECT_EQ(map.lookup(Gpa(~0ull))->hpa, Hpa(0xfffffffffffffffe));
  EXPECT_EQ(map.lookup(Gpa(~0ull))->window.last, Gpa(~0ull));
}

TEST(MemorySlots, RefusesInOneSentence) {
  const auto says = [](std::vector<MemorySlot> list) {
    const auto made = MemorySlots::create(std::move(list));
    return made ? std::string() : made.error();
  };
  EXPECT_NE(says({{Gpa(0), 0, Hpa(0)}}).find("empty"), std::string::npos);
  EXPECT_NE(says({{Gpa(~0ull), 2, Hpa(0)}}).find("wraps"), std::string::npos);
  EXPECT_NE(says({{Gpa(0), 2, Hpa(~0ull)}}).find("wraps"), std::string::npos);
  EXPECT_EQ(says({{Gpa(~0ull), 1, Hpa(~0ull)}}), "");
  EXPECT_NE(says({{Gpa(0x1000), 0x1001, Hpa(0)}, {Gpa(0x2000), 1, Hpa(0)}}).find("overlap"),
            std::string::npos);
  EXPECT_NE(says({{Gpa(0x1000), 1, Hpa(0)}, {Gpa(0x1000), 1, Hpa(0)}}).find("overlap"),
            std::string::npos);
  EXPECT_EQ(says({{Gpa(0x2000), 1, Hpa(0)}, {Gpa(0x1000), 0x1000, Hpa(0)}}), "")
      << "one host page may back two guest pages";
  EXPECT_EQ(says({}), "");
}

TEST(MemorySlots, IdentityCoversEveryRegion) {
  alignas(8) std::array<std::byte, 32> host{};
  const auto memory = GuestMemory::create({{.first = Hpa(0x2000), .size = 16, .host = host.data()},
                                           {.first = Hpa(0x1000),
                                            .size = 16,
                                            .host = host.data(),
                                            .permissions = Permissions::read_only()}});
  ASSERT_TRUE(memory);
  const MemorySlots map = MemorySlots::identity(*memory);
  EXPECT_EQ(map.slots().size(), 2u);
  EXPECT_EQ(map.lookup(Gpa(0x100f))->hpa, Hpa(0x100f));
  EXPECT_EQ(map.lookup(Gpa(0x100f))->permissions, Permissions::read_only());
  EXPECT_FALSE(map.lookup(Gpa(0x1010)));
  EXPECT_TRUE(map.lookup(Gpa(0x2000)));
}

}  // namespace
}  // namespace weir::pagetables
