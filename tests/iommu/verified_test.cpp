// SPDX-License-Identifier: Apache-2.0
//
// Verified mode: the guest never flushes, and no answer is older than the comparison that let it
// through. Contexts and table words alike.
#include <gtest/gtest.h>

#include "iotlb/verified_tlb.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Iova kPage{0x5000};

class Verified : public testing::Test {
 protected:
  Verified() {
    machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, tables.root()));
    port = machine.attach(kSid);
    tables.map(kPage, kData);
  }
  [[nodiscard]] Result<Translation, Fault> ask(Access access = Access::kRead, Iova iova = kPage) {
    return port->translate(iova, 4, access);
  }

  Machine machine{{.caches = {.verified = true}}};
  Tables tables{machine};
  FirstStageTables first{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Verified, ARemapIsSeenWithoutAFlush) {
  EXPECT_EQ(ask()->outcome, Outcome::kWalked);
  EXPECT_EQ(ask()->outcome, Outcome::kHit);
  tables.map(kPage, kData + kPageSize);
  EXPECT_EQ(ask()->gpa, kData + kPageSize);
  EXPECT_EQ(ask()->outcome, Outcome::kHit);
  tables.unmap(kPage);
  EXPECT_FALSE(ask());
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.exposed, 4u) << "every access that reached memory";
  EXPECT_EQ(stats.pieces(), 5u);
  EXPECT_EQ(stats.fills, 0u) << "in a cache of their own";
}

// Every word of the way, not the last one alone.
TEST_F(Verified, EveryLevelIsCompared) {
  for (std::uint64_t page = 0; page < 4; ++page) {
    Tables other(machine);
    other.map(kPage, kData + (8 + page) * kPageSize);
    tables.map(kPage, kData);
    ASSERT_EQ(ask()->gpa, kData);
    ASSERT_EQ(ask()->outcome, Outcome::kHit);
    // The root's first entry now leads to the other tables.
    const std::uint64_t mine = machine.word(tables.root());
    machine.word(tables.root()) = machine.word(other.root());
    EXPECT_EQ(ask()->gpa, kData + (8 + page) * kPageSize);
    machine.word(tables.root()) = mine;
    EXPECT_EQ(ask()->gpa, kData);
  }
}

TEST_F(Verified, AContextIsComparedToo) {
  ASSERT_TRUE(ask(Access::kWrite));
  Tables other(machine);
  other.map(kPage, kData + kPageSize);
  machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, other.root()));
  EXPECT_EQ(ask()->gpa, kData + kPageSize) << "the same domain, another root";
  iotlb::Context strict = FakeUnit::second_stage(1, other.root());
  strict.rights = Permissions::read_only();
  machine.unit->set_context(Requester::from_sid(kSid), strict);
  EXPECT_FALSE(ask(Access::kWrite));
  iotlb::Context pass;
  pass.kind = iotlb::ContextKind::kPassThrough;
  pass.input_bits = 48;
  machine.unit->set_context(Requester::from_sid(kSid), pass);
  EXPECT_EQ(ask()->outcome, Outcome::kPassedThrough);
  machine.unit->drop_context(Requester::from_sid(kSid));
  EXPECT_FALSE(ask());
}

TEST_F(Verified, AccessedAndDirtyBitsAreSetAsByAnyWalk) {
  first.map(kPage, kData);
  machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::first_stage(1, first.root()));
  EXPECT_EQ(ask(Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(ask(Access::kRead)->outcome, Outcome::kHit) << "what the walk has set is no change";
  EXPECT_EQ(ask(Access::kWrite)->outcome, Outcome::kWalked) << "a dirty bit is owed";
  EXPECT_EQ(ask(Access::kWrite)->outcome, Outcome::kHit);
}

TEST_F(Verified, NothingCanBePinned) {
  const auto pin = port->map(kPage, 4, Access::kRead);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().reason, FaultReason::kNotPinnable);
  std::array<std::byte, 8> bytes{};
  EXPECT_TRUE(port->read(kPage, bytes)) << "copies go on";
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.pieces(), 2u);
}

TEST_F(Verified, LargePagesAnswerForEachOfTheirPages) {
  tables.map(Iova(0x40000000), Gpa(0), 0x200000);
  EXPECT_EQ(ask(Access::kRead, Iova(0x40001234))->gpa, Gpa(0x1234));
  EXPECT_EQ(ask(Access::kRead, Iova(0x40001238))->outcome, Outcome::kHit);
  EXPECT_EQ(ask(Access::kRead, Iova(0x40001238))->page_lg2, 21);
  EXPECT_EQ(ask(Access::kRead, Iova(0x40101000))->gpa, Gpa(0x101000));
}

// ---- Caching mode: what is not there may be remembered, and is until the guest says otherwise.

class CachingMode : public testing::Test {
 protected:
  CachingMode() {
    context.coherence = iotlb::Coherence::kCaching;
    machine.unit->set_context(Requester::from_sid(kSid), context);
    port = machine.attach(kSid);
  }
  [[nodiscard]] Result<Translation, Fault> ask(Access access = Access::kRead) {
    return port->translate(kPage, 4, access);
  }
  [[nodiscard]] std::uint64_t walks() const { return machine.iommu->stats().walks; }

  Machine machine;
  Tables tables{machine};
  iotlb::Context context = FakeUnit::second_stage(1, tables.root());
  std::unique_ptr<DmaPort> port;
};

TEST_F(CachingMode, AbsenceIsKeptUntilTheMappingIsAnnounced) {
  const auto first = ask();
  ASSERT_FALSE(first);
  const std::uint64_t before = walks();
  const auto again = ask();
  ASSERT_FALSE(again);
  EXPECT_EQ(walks(), before) << "answered from the cache";
  EXPECT_EQ(again.error().reason, first.error().reason);
  EXPECT_EQ(again.error().code, first.error().code);
  EXPECT_EQ(again.error().level, first.error().level);
  EXPECT_EQ(again.error().stage, first.error().stage);
  EXPECT_EQ(machine.unit->recorded().size(), 2u) << "each is recorded";
  const auto write = ask(Access::kWrite);
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().reason, FaultReason::kNoWritePermission) << "not the read's reason";
  tables.map(kPage, kData);
  EXPECT_FALSE(ask(Access::kWrite)) << "the guest has not said so yet";
  machine.unit->post(flush_page(2, kPage));
  EXPECT_FALSE(ask(Access::kWrite)) << "nor has it for this domain";
  machine.unit->post(flush_page(1, kPage));
  EXPECT_TRUE(ask(Access::kWrite));
  EXPECT_EQ(faults_by_reason(machine.iommu->stats()), machine.iommu->stats().of(Outcome::kFaulted));
}

TEST_F(CachingMode, APageThatAllowsOneAccessIsNotAbsent) {
  tables.map(kPage, kData, kPageSize, Permissions::read_only());
  EXPECT_FALSE(ask(Access::kWrite));
  EXPECT_TRUE(ask(Access::kRead));
}

TEST_F(CachingMode, ElsewhereNothingIsKept) {
  context.coherence = iotlb::Coherence::kArchitectural;
  machine.unit->set_context(Requester::from_sid(kSid), context);
  machine.unit->post({.scope = iotlb::Scope::kContextAll});
  EXPECT_FALSE(ask());
  tables.map(kPage, kData);
  EXPECT_TRUE(ask()) << "what was not present is cached nowhere (CAP.CM = 0)";
  FirstStageTables first(machine);
  iotlb::Context upper = FakeUnit::first_stage(1, first.root());
  upper.coherence = iotlb::Coherence::kCaching;
  machine.unit->set_context(Requester::from_sid(kSid), upper);
  machine.unit->post({.scope = iotlb::Scope::kContextAll});
  EXPECT_FALSE(ask());
  first.map(kPage, kData);
  EXPECT_TRUE(ask()) << "first-stage tables are exempt";
}

// A context that is not present, kept as a blocked one under domain 0.
TEST_F(CachingMode, AbsentContextsGoWithDomainZero) {
  iotlb::Context absent;
  absent.coherence = iotlb::Coherence::kCaching;
  machine.unit->set_context(Requester::from_sid(kSid), absent);
  machine.unit->post({.scope = iotlb::Scope::kContextAll});
  EXPECT_FALSE(ask());
  tables.map(kPage, kData);
  machine.unit->set_context(Requester::from_sid(kSid), context);
  EXPECT_FALSE(ask());
  machine.unit->post({.scope = iotlb::Scope::kContextDomain, .domain = DomainId{1}});
  EXPECT_FALSE(ask());
  machine.unit->post({.scope = iotlb::Scope::kContextDomain, .domain = DomainId{0}});
  EXPECT_TRUE(ask());
}

}  // namespace
}  // namespace weir::testing_iommu
