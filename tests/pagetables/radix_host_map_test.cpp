// SPDX-License-Identifier: Apache-2.0
//
// Page tables of any format as a host map, and guest memory on top of one: slots and tables that
// go away under a walk included.
#include "pagetables/radix_host_map.h"

#include <gtest/gtest.h>

#include <functional>

#include "pagetables/table_builder.h"
#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"
#include "tests/pagetables/formats/table_ram.h"

namespace weir::pagetables::facts {
namespace {

template <typename Facts>
class RadixMap : public testing::Test {
 protected:
  using Format = typename Facts::Format;
  static constexpr unsigned kLevels = Facts::kLevelCounts.back();
  // In 4 KiB pages, in a 2 MiB page of its own.
  static constexpr std::uint64_t kSmall = 0x5000;
  static constexpr std::uint64_t kLarge = 0x200000;

  void SetUp() override {
    ASSERT_TRUE(tables.map(kSmall, 0x2000, Gpa(0x30000), Permissions::all(), 12).ok());
    ASSERT_TRUE(tables.map(kLarge, 0x200000, Gpa(0x10000000), Permissions::read_only(), 21).ok());
  }
  RadixHostMap<Format> map() const {
    return {ram.memory(), Facts::rules(), Hpa(tables.root().value()), kLevels};
  }

  TableRam ram{64};
  TableBuilder<Format> tables{ram.physical(), Facts::rules(), *ram.allocate(), kLevels,
                              [this] { return ram.allocate(); }};
};
TYPED_TEST_SUITE(RadixMap, AllFormats, FormatName);

TYPED_TEST(RadixMap, AnswersWithTheWholePage) {
  const auto map = this->map();
  EXPECT_TRUE(map.is_radix());
  const auto small = map.lookup(Gpa(this->kSmall + 0x1abc));
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->hpa, Hpa(0x31abc));
  EXPECT_EQ(small->window,
            (AddressRange<Gpa>{Gpa(this->kSmall + 0x1000), Gpa(this->kSmall + 0x1fff)}));
  EXPECT_EQ(small->permissions, Permissions::all());
  EXPECT_EQ(small->references, this->kLevels);
  const auto large = map.lookup(Gpa(this->kLarge + 0x12345));
  ASSERT_TRUE(large.ok());
  EXPECT_EQ(large->hpa, Hpa(0x10012345));
  EXPECT_EQ(large->window, (AddressRange<Gpa>{Gpa(this->kLarge), Gpa(this->kLarge + 0x1fffff)}));
  EXPECT_EQ(large->permissions, Permissions::read_only());
  EXPECT_EQ(large->references, this->kLevels - 1);
}

// What can be written and not read is mapped too.
TYPED_TEST(RadixMap, WriteOnlyPages) {
  using Facts = TypeParam;
  std::uint64_t& leaf = this->ram.at(this->tables.entry_at(this->kSmall, 1)->value());
  const auto write_only = Facts::deny(leaf, Access::kRead);
  if (!write_only) GTEST_SKIP() << "the format has no such pages";
  leaf = *write_only;
  const auto mapping = this->map().lookup(Gpa(this->kSmall));
  ASSERT_TRUE(mapping.ok());
  EXPECT_EQ(mapping->permissions, Permissions::write_only());
  EXPECT_EQ(mapping->references, 2 * this->kLevels) << "asked twice";
}

// At every level: where it stopped, and everything that was read to find that out.
TYPED_TEST(RadixMap, WhatIsNotMapped) {
  using Facts = TypeParam;
  for (unsigned level = 1; level <= this->kLevels; ++level) {
    const std::uint64_t at = this->tables.entry_at(this->kSmall, level)->value();
    std::uint64_t& word = this->ram.at(at);
    const std::uint64_t was = word;
    word = 0;
    const auto nothing = this->map().lookup(Gpa(this->kSmall));
    EXPECT_STOPPED(nothing, Facts::kNothing[0], level, at);
    EXPECT_EQ(nothing.error().stage, Stage::kHostMap);
    const unsigned asked = Facts::kNothing[0] == FaultReason::kNoReadPermission ? 2 : 1;
    EXPECT_EQ(nothing.error().references, asked * (this->kLevels - level + 1));
    word = was;
  }
  const std::uint64_t nowhere = 0x7000000000;
  const RadixHostMap<typename Facts::Format> lost(this->ram.memory(), Facts::rules(), Hpa(nowhere),
                                                  this->kLevels);
  const auto nothing = lost.lookup(Gpa(0));
  EXPECT_STOPPED(nothing, FaultReason::kRootTableUnreadable, this->kLevels, nowhere);
  EXPECT_EQ(nothing.error().stage, Stage::kHostMap);
}

TYPED_TEST(RadixMap, RightsHoldWhereMemoryLands) {
  const PhysicalMemory guest(
      this->ram.memory(), std::make_shared<RadixHostMap<typename TypeParam::Format>>(this->map()));
  ASSERT_TRUE(guest.store64(Gpa(this->kSmall + 8), 0x1234).ok());
  EXPECT_EQ(this->ram.at(0x30008), 0x1234U);
  std::uint32_t references = 0;
  EXPECT_EQ(*guest.load64(Gpa(this->kSmall + 8), &references), 0x1234U);
  EXPECT_EQ(references, this->kLevels);
  // Mapped to where there is no memory.
  EXPECT_EQ(guest.load64(Gpa(this->kLarge)).error(), FaultReason::kHostMapAbsent);
  std::uint64_t& leaf = this->ram.at(this->tables.entry_at(this->kSmall, 1)->value());
  leaf = *TypeParam::deny(leaf, Access::kWrite);
  EXPECT_EQ(guest.store64(Gpa(this->kSmall + 8), 1).error(), FaultReason::kHostMapPermission);
  EXPECT_TRUE(guest.load64(Gpa(this->kSmall + 8)).ok());
}

// --- memory that goes away under a guest's walk
// ----------------------------------------------------

class VanishingMap final : public HostMap {
 public:
  explicit VanishingMap(unsigned lookups) : left(lookups) {}
  Result<HostMapping, WalkFailure> lookup(Gpa at) const override {
    if (on_lookup) on_lookup();
    if (left == 0)
      return Failure{WalkFailure{.reason = FaultReason::kHostMapAbsent, .stage = Stage::kHostMap}};
    --left;
    const Gpa page = at.page_base(kPageLg2);
    return HostMapping{.hpa = Hpa(at.value()),
                       .window = {page, page + 0xfff},
                       .permissions = Permissions::all(),
                       .references = 1};
  }
  mutable unsigned left;
  std::function<void()> on_lookup;
};

TYPED_TEST(RadixMap, GuestTablesThatVanishDuringTheWalk) {
  using Facts = TypeParam;
  for (unsigned reads = 0; reads <= this->kLevels; ++reads) {
    const PhysicalMemory memory(this->ram.memory(), std::make_shared<VanishingMap>(reads));
    DirectReader reader(memory);
    const auto leaf = walk<typename Facts::Format>(Facts::rules(), reader, this->tables.root(),
                                                   this->kLevels, this->kSmall, {});
    if (reads == this->kLevels) {
      ASSERT_TRUE(leaf.ok());
      continue;
    }
    const unsigned level = this->kLevels - reads;
    EXPECT_STOPPED(leaf,
                   reads == 0 ? FaultReason::kRootTableUnreadable : FaultReason::kTableUnreadable,
                   level, this->tables.entry_at(this->kSmall, level)->value());
  }
}

// What was read to find out that there is no memory is counted as well: in the host map's tables,
// under an entry of the guest's.
TYPED_TEST(RadixMap, WhatAFailedReadCost) {
  using Facts = TypeParam;
  const PhysicalMemory guest(this->ram.memory(),
                             std::make_shared<RadixHostMap<typename Facts::Format>>(this->map()));
  const auto expect_cost = [&](std::uint64_t at, std::uint32_t expected) {
    std::uint32_t references = 0;
    EXPECT_FALSE(guest.load64(Gpa(at), &references).ok());
    EXPECT_EQ(references, expected);
    DirectReader reader(guest);
    const auto leaf =
        walk<typename Facts::Format>(Facts::rules(), reader, Gpa(at), this->kLevels, 0, {});
    EXPECT_STOPPED(leaf, FaultReason::kRootTableUnreadable, this->kLevels, at);
    EXPECT_EQ(leaf.error().references, expected);
  };
  expect_cost(this->kLarge, this->kLevels - 1);  // mapped to where nothing is
  const unsigned asked = Facts::kNothing[0] == FaultReason::kNoReadPermission ? 2 : 1;
  expect_cost(this->kSmall + 0x2000, asked * this->kLevels);  // not mapped
}

// A walk keeps the snapshot that it began with, whatever takes its place meanwhile.
TYPED_TEST(RadixMap, AWalkKeepsItsSnapshot) {
  using Facts = TypeParam;
  auto map = std::make_shared<VanishingMap>(100);
  auto current = std::make_shared<const PhysicalMemory>(this->ram.memory(), map);
  std::weak_ptr<const PhysicalMemory> old = current;
  map->on_lookup = [&] {
    current = std::make_shared<const PhysicalMemory>(
        this->ram.memory(), std::make_shared<MemorySlots>(*MemorySlots::create({})));
  };
  map.reset();
  {
    const auto held = current;
    DirectReader reader(*held);
    const auto leaf = walk<typename Facts::Format>(Facts::rules(), reader, this->tables.root(),
                                                   this->kLevels, this->kSmall, {});
    ASSERT_TRUE(leaf.ok());
    EXPECT_EQ(leaf->page, Gpa(0x30000));
    EXPECT_FALSE(old.expired());
  }
  EXPECT_TRUE(old.expired()) << "nobody else keeps what was replaced";
  DirectReader reader(*current);
  EXPECT_STOPPED(walk<typename Facts::Format>(Facts::rules(), reader, this->tables.root(),
                                              this->kLevels, this->kSmall, {}),
                 FaultReason::kRootTableUnreadable, this->kLevels,
                 this->tables.entry_at(this->kSmall, this->kLevels)->value());
}

// Guest tables in ROM: readable, and in the way of accessed bits.
TYPED_TEST(RadixMap, GuestTablesInReadOnlyMemory) {
  using Facts = TypeParam;
  if (Facts::kAccessed == 0) GTEST_SKIP() << "the format has no such bits";
  const auto bytes = this->ram.bytes();
  const auto rom = std::make_shared<GuestMemory>(
      *GuestMemory::create({{.first = Hpa(0),
                             .size = bytes.size(),
                             .host = bytes.data(),
                             .permissions = Permissions::read_only()}}));
  const PhysicalMemory memory(rom);
  DirectReader reader(memory);
  const std::uint64_t root_entry = this->tables.entry_at(this->kSmall, this->kLevels)->value();
  const auto walk_with = [&](const typename Facts::Rules& rules) {
    return walk<typename Facts::Format>(rules, reader, this->tables.root(), this->kLevels,
                                        this->kSmall, {});
  };
  EXPECT_TRUE(walk_with(Facts::rules()).ok());
  EXPECT_STOPPED(walk_with(Facts::accessed_dirty_rules()), FaultReason::kUpdateFailed,
                 this->kLevels, root_entry);
  EXPECT_EQ(this->ram.at(root_entry) & Facts::kAccessed, 0U);
}

}  // namespace
}  // namespace weir::pagetables::facts
