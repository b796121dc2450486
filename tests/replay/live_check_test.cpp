// SPDX-License-Identifier: Apache-2.0
//
// The check beside the normal path: a guest that forgets to invalidate is legal-stale, a cache that
// forgets what it was told is stale, and books that miss a piece do not agree.

#include "replay/live_check.h"

#include <gtest/gtest.h>

#include "iommu/iommu.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kRegisters = 0xfed90000;

class LiveCheckTest : public testing::Test {
 protected:
  LiveCheckTest() {
    const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
    EXPECT_TRUE(iommu.use_tables(vtd::dmar_parser(), vtd::build_dmar(everything)));
    unit = &iommu.add_unit<vtd::Unit>(kRegisters, vtd::Options{});
    check.watch(*unit, [this] { return (unit->read_register(0x1c, 4) >> 31 & 1) != 0; });
    port = iommu.attach({.function = Requester::from_bdf(0, 4, 0)}).value();
    put(0x1000, 0x2001);
    put(0x2200, 0x3001), put(0x2208, 0x102);  // 00:04.0: domain 1
    put(0x3000, 0x4003), put(0x4000, 0x5003), put(0x5000, 0x6003);
    put(0x6080, 0x80003);  // 10000h -> 80000h
    unit->write_register(0x20, 8, 0x1000);
    unit->write_register(0x18, 4, 1u << 30);
    unit->write_register(0x18, 4, 1u << 31);
  }

  void put(std::uint64_t at, std::uint64_t word) { EXPECT_TRUE(memory->store64(Hpa(at), word)); }
  bool access(std::uint64_t iova) {
    std::uint32_t word = 0;
    return port->read(Iova(iova), std::as_writable_bytes(std::span(&word, 1))).ok();
  }
  // What a page-selective IOTLB invalidation of the unit's own register does (10.4.8).
  void invalidate_page(std::uint64_t iova) {
    const std::uint64_t iva = (unit->read_register(0x10, 8) >> 8 & 0x3ff) * 16;
    unit->write_register(iva, 8, iova);
    unit->write_register(iva + 8, 8,
                         1ull << 63 | 3ull << 60 | 1ull << 32);  // IVT, page, domain 1
  }
  static iotlb::Invalidation of_page(std::uint64_t iova) {
    return {
        .scope = iotlb::Scope::kRange, .domain = {1}, .range = {Iova(iova), Iova(iova + 0xfff)}};
  }

  alignas(4096) std::byte ram[1 << 20]{};
  std::shared_ptr<GuestMemory> memory =
      std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram));
  LiveCheck check;
  Iommu iommu{{.memory = memory, .recorder = &check}};
  vtd::Unit* unit = nullptr;
  std::unique_ptr<DmaPort> port;
};

TEST_F(LiveCheckTest, AnAnswerThatTheTablesGiveIsCurrent) {
  EXPECT_TRUE(access(0x10000));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().judged, 5u);
  EXPECT_EQ(check.findings().legal_stale, 0u);
  EXPECT_EQ(check.findings().stale, 0u);
  EXPECT_TRUE(check.agrees(iommu.stats()));
}

TEST_F(LiveCheckTest, AGuestThatHasNotInvalidatedYetIsLegallyStale) {
  EXPECT_TRUE(access(0x10000));
  put(0x6080, 0);
  EXPECT_TRUE(access(0x10000));  // from the cache
  EXPECT_EQ(check.findings().legal_stale, 1u);
  put(0x6080, 0x90003);  // something else, still without a word
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().legal_stale, 2u);
  invalidate_page(0x10000);
  EXPECT_TRUE(access(0x10000));
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().legal_stale, 2u);
  EXPECT_EQ(check.findings().stale, 0u);
}

TEST_F(LiveCheckTest, ACacheThatForgetsWhatItWasToldIsStale) {
  EXPECT_TRUE(access(0x10000));
  put(0x6080, 0x90003);
  // The unit is told, and does nothing.
  check.on_invalidation(UnitId{0}, of_page(0x10000), {});
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().stale, 1u);
  EXPECT_EQ(check.findings().legal_stale, 0u);
  ASSERT_TRUE(check.findings().first);
  EXPECT_EQ(check.findings().first->requester, Requester::from_bdf(0, 4, 0));
  EXPECT_EQ(check.findings().first->answered, Gpa(0x80000));
  EXPECT_EQ(check.findings().first->tables, Gpa(0x90000));
}

TEST_F(LiveCheckTest, AnInvalidationOfOtherPagesOrDomainsExcusesStill) {
  EXPECT_TRUE(access(0x10000));
  put(0x6080, 0);
  check.on_invalidation(UnitId{0}, of_page(0x11000), {});
  auto other = of_page(0x10000);
  other.domain = {2};
  check.on_invalidation(UnitId{0}, other, {});
  check.on_invalidation(UnitId{0}, {.scope = iotlb::Scope::kDomain, .domain = {2}}, {});
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().legal_stale, 1u);
  EXPECT_EQ(check.findings().stale, 0u);
  check.on_invalidation(UnitId{0}, {.scope = iotlb::Scope::kDomain, .domain = {1}}, {});
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().stale, 1u);
}

TEST_F(LiveCheckTest, AContextThatIsKeptTooLongIsStaleToo) {
  EXPECT_TRUE(access(0x10000));
  put(0x2200, 0x7001), put(0x2208, 0x202);  // another domain, over other tables
  put(0x7000, 0);
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().legal_stale, 1u);
  check.on_invalidation(
      UnitId{0}, {.scope = iotlb::Scope::kContextDevice, .requester = Requester::from_bdf(0, 4, 0)},
      {});
  EXPECT_TRUE(access(0x10000));
  EXPECT_EQ(check.findings().stale, 1u);
}

TEST_F(LiveCheckTest, PassThroughIsJudgedByItsContext) {
  put(0x2200, 0x3009);  // pass-through, not looked at before
  EXPECT_TRUE(access(0x80000));
  EXPECT_EQ(check.findings().judged, 1u);
  put(0x2200, 0x3001);
  EXPECT_TRUE(access(0x80000));
  EXPECT_EQ(check.findings().legal_stale, 1u);
  unit->write_register(0x18, 4, 0);  // off: there is nothing to be stale
  EXPECT_TRUE(access(0x80000));
  EXPECT_EQ(check.findings().judged, 2u);
  EXPECT_EQ(check.findings().stale, 0u);
}

TEST_F(LiveCheckTest, BooksThatMissAPieceDoNotAgree) {
  EXPECT_TRUE(access(0x10000));
  EXPECT_FALSE(access(0x20000));
  EXPECT_TRUE(check.agrees(iommu.stats()));
  Stats cooked = iommu.stats();
  ++cooked.outcomes[static_cast<std::size_t>(Outcome::kHit)];
  EXPECT_FALSE(check.agrees(cooked));
}

}  // namespace
}  // namespace weir::replay
