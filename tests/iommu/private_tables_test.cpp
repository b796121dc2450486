// SPDX-License-Identifier: Apache-2.0
//
// Private pages behind a unit: what a translation leads to, the tables it is read from, what the
// unit itself reads and writes, and what listeners are told.
#include <gtest/gtest.h>

#include <map>

#include "iommu/map_listener.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Iova kPage{0x5000};

AddressRange<Gpa> page_of(Gpa at) { return {at, at + (kPageSize - 1)}; }

class PrivateTables : public testing::Test {
 protected:
  PrivateTables() {
    machine.unit->set_context(Requester::from_sid(kSid),
                              FakeUnit::second_stage(1, tables.root()));
    tables.map(kPage, kData);
    port = machine.attach(kSid);
  }
  bool turn(Transition transition) {
    const auto change = machine.iommu->apply(transition);
    return change && change->complete();
  }
  std::optional<FaultReason> why_not(Iova iova = kPage) {
    const auto t = port->translate(iova, 8, Access::kRead);
    return t ? std::nullopt : std::optional(t.error().reason);
  }

  Machine machine;
  Tables tables{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(PrivateTables, WhatATranslationLeadsTo) {
  EXPECT_EQ(why_not(), std::nullopt);
  ASSERT_TRUE(turn({.made_private = {page_of(kData)}}));
  EXPECT_EQ(why_not(), FaultReason::kPrivatePage) << "a hit";
  EXPECT_EQ(machine.iommu->stats().fills, 1u) << "no guest flush: what was cached still is (L7)";
  tables.map(kPage + kPageSize, kData + kPageSize);
  ASSERT_TRUE(turn({.made_private = {page_of(kData + kPageSize)}}));
  EXPECT_EQ(why_not(kPage + kPageSize), FaultReason::kPrivatePage) << "a walk";
  ASSERT_TRUE(turn({.made_shared = {page_of(kData)}}));
  EXPECT_EQ(why_not(), std::nullopt);
}

// A table that the guest keeps private cannot be read: the unit's own fault for that.
TEST_F(PrivateTables, TheTablesThemselves) {
  ASSERT_TRUE(turn({.made_private = {page_of(tables.root())}}));
  const auto t = port->translate(kPage, 8, Access::kRead);
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().reason, FaultReason::kRootTableUnreadable);
  EXPECT_EQ(t.error().code, FakeUnit::kWalkFault);
  ASSERT_EQ(machine.unit->recorded().size(), 1u) << "and the guest can read of it";
  ASSERT_TRUE(turn({.made_shared = {page_of(tables.root())}}));
  EXPECT_EQ(why_not(), std::nullopt);
}

TEST_F(PrivateTables, WhatTheUnitReadsAndWrites) {
  ASSERT_TRUE(turn({.made_private = {page_of(kData)}}));
  std::uint64_t word = 0;
  const auto bytes = std::as_writable_bytes(std::span(&word, 1));
  UnitHost& host = machine.unit->host();
  EXPECT_EQ(host.read_memory(kData, bytes).error(), FaultReason::kPrivatePage);
  EXPECT_EQ(host.write_memory(kData, bytes).error(), FaultReason::kPrivatePage);
  EXPECT_TRUE(host.read_memory(kData + kPageSize, bytes));
}

// A translated request carries a guest-physical address: its page is asked about where it lands.
TEST_F(PrivateTables, TranslatedRequests) {
  auto context = FakeUnit::second_stage(1, tables.root());
  context.allow_translated = true;
  machine.unit->set_context(Requester::from_sid(kSid), context);
  const DmaAttributes translated{.address_type = AddressType::kTranslated};
  EXPECT_TRUE(port->translate(Iova(kData.value()), 8, Access::kRead, translated));
  ASSERT_TRUE(turn({.made_private = {page_of(kData)}}));
  EXPECT_EQ(port->translate(Iova(kData.value()), 8, Access::kRead, translated).error().reason,
            FaultReason::kPrivatePage);
}

// ---- Listeners hear of what is shared, in pieces.

class Mirror final : public MapListener {
 public:
  void on_map(const Mapping& mapping) override { held[mapping.range.first.value()] = mapping; }
  void on_unmap(const Mapping& mapping) override {
    EXPECT_EQ(held[mapping.range.first.value()], mapping);
    held.erase(mapping.range.first.value());
  }
  void on_lost() override { ADD_FAILURE(); }
  std::map<std::uint64_t, Mapping> held;
};

TEST(PrivatePagesAndListeners, ALargePageInPieces) {
  Machine machine;
  machine.unit->announces = true;
  Tables tables(machine);
  auto context = FakeUnit::second_stage(1, tables.root());
  context.coherence = iotlb::Coherence::kCaching;
  machine.unit->set_context(Requester::from_sid(kSid), context);
  tables.map(Iova(0x40000000), Gpa(0), 0x200000);
  const auto port = machine.attach(kSid);
  Mirror mirror;
  const auto listening = port->listen(mirror);
  ASSERT_TRUE(listening) << listening.error();
  ASSERT_EQ(mirror.held.size(), 1u);
  ASSERT_TRUE(machine.iommu->apply({.made_private = {page_of(kData)}}));
  ASSERT_EQ(mirror.held.size(), 2u);
  EXPECT_EQ(mirror.held.at(0x40000000).range.last, Iova(0x40000000 + kData.value() - 1));
  const Mapping& after = mirror.held.at(0x40000000 + kData.value() + kPageSize);
  EXPECT_EQ(after.gpa, kData + kPageSize);
  EXPECT_EQ(after.range.last, Iova(0x401fffff));
  ASSERT_TRUE(machine.iommu->apply({.made_shared = {page_of(kData)}}));
  ASSERT_EQ(mirror.held.size(), 1u) << "one again";
}

TEST(PrivatePagesAndListeners, ABypassingFunctionGetsAWindow) {
  Machine machine{{.coverage = {}}};
  const auto port = machine.attach(kSid);
  Mirror mirror;
  const auto listening = port->listen(mirror);
  ASSERT_TRUE(listening);
  EXPECT_EQ(mirror.held.size(), 2u) << "all but the interrupt range";
  ASSERT_TRUE(machine.iommu->apply({.made_private = {whole_space<Gpa>()},
                                    .made_shared = {{kData, kData + 0xffff}}}));
  EXPECT_TRUE(mirror.held.contains(kData.value()));
  EXPECT_EQ(mirror.held.at(kData.value()).range.last, Iova(kData.value() + 0xffff));
  const Window window = Window::identity({kData + 0x8000, kData + 0x17fff});
  ASSERT_TRUE(machine.iommu->apply(
      {.pools = {{.pool = {1}, .window = window}}, .confinements = {{.pool = {1}}}}));
  ASSERT_EQ(mirror.held.size(), 1u);
  EXPECT_EQ(mirror.held.at(kData.value() + 0x8000).range.last, Iova(kData.value() + 0xffff))
      << "the half of it that is shared";
}

}  // namespace
}  // namespace weir::testing_iommu
