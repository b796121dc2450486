// SPDX-License-Identifier: Apache-2.0
//
// Page tables that a real Linux driver wrote, walked by weir: every leaf as an independent walker
// found it, and nothing between the leaves.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"
#include "replay/table_dump.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

using pagetables::VtdSecondStage;

// The dumped pages as guest memory.
class Dump {
 public:
  explicit Dump(const std::string& run) {
    auto pages = read_tables(capture(run + "/tables.bin.xz"));
    EXPECT_TRUE(pages.ok()) << pages.error().to_string();
    std::vector<MemoryRegion> regions;
    pages_ = std::move(*pages);
    for (TablePage& page : pages_)
      regions.push_back(
          {.first = Hpa(page.gpa.value()), .size = kPageSize, .host = page.bytes.data()});
    auto memory = GuestMemory::create(std::move(regions));
    EXPECT_TRUE(memory.ok()) << memory.error();
    memory_ = std::make_unique<pagetables::PhysicalMemory>(
        std::make_shared<const GuestMemory>(std::move(*memory)));
  }

  [[nodiscard]] const pagetables::PhysicalMemory& memory() const { return *memory_; }

  // What the device's context entry names. The dump does not say which page is the context table:
  // it is the one that has a present entry of that domain in the device's place.
  struct Root {
    Gpa table;
    unsigned levels = 0;
    std::uint64_t domain = 0;
  };
  [[nodiscard]] std::optional<Root> root_of(Requester device, DomainId domain) const {
    for (const TablePage& page : pages_) {
      const auto low = memory_->load64(page.gpa + device.devfn() * 16U);
      const auto high = memory_->load64(page.gpa + device.devfn() * 16U + 8);
      if (!low || !high || (*low & 0xf) != 1) continue;
      const Root root{Gpa(*low & ~std::uint64_t{0xfff}), static_cast<unsigned>(*high & 7) + 2,
                      *high >> 8 & 0xffff};
      if (root.domain == domain.value && *high >> 24 == 0 && root.levels >= 3 && root.levels <= 5)
        if (memory_->load64(root.table)) return root;
    }
    return std::nullopt;
  }

 private:
  std::vector<TablePage> pages_;
  std::unique_ptr<pagetables::PhysicalMemory> memory_;
};

class DriverTables : public testing::TestWithParam<const char*> {};

TEST_P(DriverTables, EveryLeafIsFoundAndNothingBetween) {
  const std::string run = GetParam();
  const Dump dump(run);
  auto leaves = read_walk(capture(run + "/walk.tsv.xz"));
  ASSERT_TRUE(leaves.ok()) << leaves.error().to_string();
  const VtdSecondStage::Rules rules = VtdSecondStage::rules({.host_address_bits = 48});
  pagetables::DirectReader reader(dump.memory());

  std::map<std::uint16_t, std::vector<WalkLeaf>> by_device;
  for (const WalkLeaf& leaf : *leaves) by_device[leaf.requester.bdf].push_back(leaf);
  ASSERT_FALSE(by_device.empty());
  for (auto& [bdf, of_device] : by_device) {
    SCOPED_TRACE(bdf);
    const auto root = dump.root_of(Requester::from_sid(bdf), of_device.front().domain);
    ASSERT_TRUE(root.has_value());
    const auto walk = [&](std::uint64_t iova, Access access) {
      return pagetables::walk<VtdSecondStage>(rules, reader, root->table, root->levels, iova,
                                              access);
    };
    std::sort(of_device.begin(), of_device.end(),
              [](const WalkLeaf& a, const WalkLeaf& b) { return a.iova < b.iova; });
    std::uint64_t gaps = 0;
    Iova free(0);  // first address behind the leaf before
    for (const WalkLeaf& leaf : of_device) {
      const Access access = (leaf.entry & 1) != 0 ? Access::kRead : Access::kWrite;
      for (const std::uint64_t inside : {std::uint64_t{0}, leaf.size / 2 + 1, leaf.size - 1}) {
        const auto found = walk((leaf.iova + inside).value(), access);
        ASSERT_TRUE(found.ok()) << std::hex << leaf.iova.value() + inside;
        ASSERT_EQ(found->translate(leaf.iova.value() + inside), leaf.gpa + inside);
        ASSERT_EQ(std::uint64_t{1} << found->page_lg2, leaf.size);
        ASSERT_EQ(found->level, leaf.level);
        ASSERT_EQ(found->entry, leaf.entry);
        ASSERT_EQ(found->permissions, Permissions::from_bits(leaf.entry));
        ASSERT_EQ(found->references, root->levels - leaf.level + 1);
      }
      // Each access that the leaf does not permit is refused at it.
      for (const Access refused : {Access::kRead, Access::kWrite}) {
        if (Permissions::from_bits(leaf.entry).allows(refused)) continue;
        ASSERT_FALSE(walk(leaf.iova.value(), refused).ok());
      }
      if (free < leaf.iova) {
        ++gaps;
        for (const Iova at : {free, leaf.iova - 1}) {
          const auto between = walk(at.value(), Access::kRead);
          ASSERT_FALSE(between.ok()) << std::hex << at.value();
          ASSERT_EQ(between.error().reason, FaultReason::kNoReadPermission);
        }
      }
      free = leaf.iova + leaf.size;
    }
    EXPECT_FALSE(walk(free.value(), Access::kWrite).ok());
    EXPECT_GT(gaps, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Captures, DriverTables,
                         testing::Values("vtd_leg_lazy_612", "vtd_leg_vfio_612",
                                         "vtd_bypass_pxb_612"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace weir::replay
