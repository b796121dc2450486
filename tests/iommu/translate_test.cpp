// SPDX-License-Identifier: Apache-2.0
//
// The way of a request: which outcome, which answer, and how it is booked (L9).
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint64_t k2M = 0x200000;
constexpr std::uint64_t k1G = 0x40000000;

class Translate : public testing::Test {
 protected:
  Translate() {
    machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, tables.root()));
    port = machine.attach(kSid);
  }
  Result<Translation, Fault> ask(Iova iova, Access access = Access::kRead, std::uint64_t size = 8,
                                 const DmaAttributes& attributes = {}) {
    return port->translate(iova, size, access, attributes);
  }
  [[nodiscard]] std::uint64_t count(Outcome outcome) const {
    return machine.iommu->stats().of(outcome);
  }
  void use(const iotlb::Context& context) {
    machine.unit->set_context(Requester::from_sid(kSid), context);
    machine.unit->post({.scope = iotlb::Scope::kContextAll});
  }

  Machine machine;
  Tables tables{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Translate, AWalkThenHits) {
  tables.map(Iova(0x5000), kData);
  auto got = ask(Iova(0x5ff0), Access::kWrite, 16);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kWalked);
  EXPECT_EQ(got->gpa, kData + 0xff0);
  EXPECT_EQ(got->host, machine.host(kData + 0xff0));
  EXPECT_EQ(got->length, 16u);
  EXPECT_EQ(got->page_lg2, 12);
  got = ask(Iova(0x5000));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kHit);
  EXPECT_EQ(got->host, machine.host(kData));
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kHit), 1u);
  EXPECT_EQ(stats.of(Outcome::kWalked), 1u);
  EXPECT_EQ(stats.walks, 1u);
  EXPECT_EQ(stats.references, 4u);
  EXPECT_EQ(stats.fills, 1u);
  EXPECT_EQ(stats.context_reads, 1u);
  EXPECT_EQ(stats.pieces(), 2u);
}

TEST_F(Translate, TheAnswerEndsWithItsPage) {
  tables.map(Iova(0x5000), kData, 2 * kPageSize);
  EXPECT_EQ(ask(Iova(0x5ffe), Access::kRead, 100)->length, 2u);
  EXPECT_EQ(ask(Iova(0x5000), Access::kRead, 100)->length, 100u);
  EXPECT_EQ(ask(Iova(0x5000), Access::kRead, 0)->length, 0u) << "a zero-length read";
  EXPECT_EQ(ask(Iova(0x5fff), Access::kRead, ~0ull)->length, 1u);
}

TEST_F(Translate, OffPassesEverything) {
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kOff));
  const auto got = ask(Iova(kData.value()), Access::kWrite, 0x10000);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kPassedThrough);
  EXPECT_EQ(got->gpa, kData);
  EXPECT_EQ(got->length, 0x10000u);
  EXPECT_EQ(machine.iommu->stats().context_reads, 0u);
}

TEST_F(Translate, PassThroughReachesNoFurtherThanItsWidth) {
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kPassThrough;
  context.input_bits = 21;  // the first 2 MiB of the 4 MiB there are
  use(context);
  const auto got = ask(Iova(k2M - 16), Access::kRead, 64);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kPassedThrough);
  EXPECT_EQ(got->length, 16u) << "what lies beyond the width is another piece";
  const auto beyond = ask(Iova(k2M));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().reason, FaultReason::kBeyondInputWidth);
  std::array<std::byte, 64> bytes{};
  const auto read = port->read(Iova(k2M - 16), bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().completed, 16u);
}

TEST_F(Translate, PassThroughKeepsTheRequestersRights) {
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kPassThrough;
  context.input_bits = 48;
  context.rights = Permissions::read_only();
  use(context);
  EXPECT_TRUE(ask(Iova(kData.value())));
  EXPECT_FALSE(ask(Iova(kData.value()), Access::kWrite));
}

TEST_F(Translate, WithoutAContextTheVendorsFaultIsRecorded) {
  use(FakeUnit::second_stage(1, tables.root()));
  machine.unit->drop_context(Requester::from_sid(kSid));
  machine.unit->post({.scope = iotlb::Scope::kContextAll});
  const auto got = ask(Iova(0x123000), Access::kWrite, 5);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kContextNotPresent);
  EXPECT_EQ(got.error().code, FakeUnit::kNoContext);
  EXPECT_EQ(got.error().request.size, 5u);
  EXPECT_EQ(got.error().request.requester, Requester::from_sid(kSid));
  ASSERT_EQ(machine.unit->recorded().size(), 1u);
  EXPECT_EQ(machine.unit->recorded()[0].request.iova, Iova(0x123000));
  ASSERT_EQ(machine.seen.faults.size(), 1u);
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kFaulted), 1u);
  EXPECT_EQ(stats.faults.at(FaultReason::kContextNotPresent), 1u);
  EXPECT_EQ(stats.fault_codes.at(FakeUnit::kNoContext), 1u);
  EXPECT_EQ(stats.walks, 0u);
}

// A blocked context carries a domain by accident. An entry of that domain is another function's.
TEST_F(Translate, ABlockedContextIsNeverAnsweredFromTheCache) {
  constexpr std::uint16_t kOther = 0x28;
  iotlb::Context zero = FakeUnit::second_stage(0, tables.root());
  machine.unit->set_context(Requester::from_sid(kOther), zero);
  tables.map(Iova(0x5000), kData);
  const auto other = machine.attach(kOther);
  ASSERT_TRUE(other->translate(Iova(0x5000), 4, Access::kWrite));
  iotlb::Context blocked;  // and its domain zero
  blocked.input_bits = 48;
  use(blocked);
  const auto got = ask(Iova(0x5000), Access::kWrite);
  ASSERT_FALSE(got) << "reached memory through somebody else's mapping (L10)";
  EXPECT_EQ(got.error().code, FakeUnit::kBlocked);
}

TEST_F(Translate, FaultsSayWhereTheWalkStopped) {
  tables.map(Iova(0x5000), kData);
  const auto got = ask(Iova(0x6000));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kNoReadPermission);
  EXPECT_EQ(got.error().stage, Stage::kStage2);
  EXPECT_EQ(got.error().level, 1);
  EXPECT_EQ(got.error().references, 4u);
  EXPECT_EQ(machine.iommu->stats().references, 4u);
  EXPECT_EQ(machine.iommu->stats().walks, 1u);
  const auto beyond = ask(Iova(0x1000000000000));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().reason, FaultReason::kBeyondInputWidth);
}

TEST_F(Translate, SilencedFaultsAreToldButNotRecorded) {
  iotlb::Context context = FakeUnit::second_stage(1, tables.root());
  context.silence_faults = true;
  use(context);
  const auto got = ask(Iova(0x5000));
  ASSERT_FALSE(got);
  EXPECT_FALSE(got.error().recorded);
  EXPECT_TRUE(machine.unit->recorded().empty());
  EXPECT_EQ(machine.seen.faults.size(), 1u);
}

// An entry that a read filled does not answer a write: the tables decide, and a fault is recorded.
TEST_F(Translate, AWriteAfterAReadOnlyFillWalksAgain) {
  tables.map(Iova(0x5000), kData, kPageSize, Permissions::read_only());
  ASSERT_TRUE(ask(Iova(0x5000)));
  const auto refused = ask(Iova(0x5000), Access::kWrite);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, FaultReason::kNoWritePermission);
  EXPECT_EQ(machine.unit->recorded().size(), 1u);
  // The guest grants the write; no flush is needed for more rights.
  tables.map(Iova(0x5000), kData);
  const auto granted = ask(Iova(0x5000), Access::kWrite);
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->outcome, Outcome::kWalked);
  EXPECT_EQ(ask(Iova(0x5000), Access::kWrite)->outcome, Outcome::kHit);
  EXPECT_EQ(ask(Iova(0x5000), Access::kReadWrite)->outcome, Outcome::kHit);
  EXPECT_EQ(machine.iommu->stats().walks, 3u);
}

// L10: equal entries, different rights.
TEST_F(Translate, RightsBelongToTheRequesterNotToTheEntry) {
  constexpr std::uint16_t kStrict = 0x28;
  iotlb::Context strict = FakeUnit::second_stage(1, tables.root());
  strict.rights = Permissions::read_only();
  machine.unit->set_context(Requester::from_sid(kStrict), strict);
  const auto other = machine.attach(kStrict);
  tables.map(Iova(0x5000), kData);
  ASSERT_TRUE(ask(Iova(0x5000), Access::kWrite));
  EXPECT_FALSE(other->translate(Iova(0x5000), 4, Access::kWrite));
  const auto read = other->translate(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->outcome, Outcome::kHit);
  EXPECT_EQ(read->permissions, Permissions::read_only());
  EXPECT_EQ(ask(Iova(0x5000), Access::kWrite)->outcome, Outcome::kHit) << "the lax one keeps its";
}

TEST_F(Translate, LargePagesAreOnePieceEach) {
  tables.map(Iova(k1G), Gpa(0), k2M);
  const auto got = ask(Iova(k1G + 0x100123), Access::kRead, 0x80000);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->page_lg2, 21);
  EXPECT_EQ(got->gpa, Gpa(0x100123));
  EXPECT_EQ(got->length, 0x80000u);
  EXPECT_EQ(ask(Iova(k1G + k2M - 1), Access::kRead, 9)->length, 1u);
}

TEST_F(Translate, MemoryThatIsNotThereIsTheEmbeddersFault) {
  tables.map(Iova(0x5000), Gpa(0x70000000));
  for (const Outcome how : {Outcome::kWalked, Outcome::kHit}) {
    const auto got = ask(Iova(0x5000));
    ASSERT_FALSE(got) << to_string(how);
    EXPECT_EQ(got.error().reason, FaultReason::kHostMapAbsent);
    EXPECT_EQ(got.error().stage, Stage::kHostMap);
    EXPECT_FALSE(got.error().recorded);
  }
  EXPECT_TRUE(machine.unit->recorded().empty());
  EXPECT_EQ(count(Outcome::kFaulted), 2u);
  EXPECT_EQ(machine.iommu->stats().walks, 1u);
}

TEST_F(Translate, RomIsReadAndNotWritten) {
  tables.map(Iova(0x5000), kRom);
  EXPECT_TRUE(ask(Iova(0x5000)));
  const auto got = ask(Iova(0x5000), Access::kWrite);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kHostMapPermission);
  EXPECT_EQ(got.error().stage, Stage::kHostMap);
}

TEST_F(Translate, RequestsThatAreNotPlainAreChecked) {
  tables.map(Iova(0x5000), kData);
  const auto refused =
      ask(Iova(kData.value()), Access::kRead, 4, {.address_type = AddressType::kTranslated});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, FakeUnit::kBlocked);
  iotlb::Context trusting = FakeUnit::second_stage(1, tables.root());
  trusting.allow_translated = true;
  use(trusting);
  const auto got =
      ask(Iova(kData.value()), Access::kRead, 4, {.address_type = AddressType::kTranslated});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kTranslated);
  EXPECT_EQ(got->gpa, kData);
}

TEST_F(Translate, ACacheOfNothingWalksEveryTimeAndRefusesNoFill) {
  Machine bare({.caches = {.entries = 0}});
  Tables own{bare};
  own.map(Iova(0x5000), kData);
  bare.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, own.root()));
  const auto device = bare.attach(kSid);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(device->translate(Iova(0x5000), 4, Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(bare.iommu->stats().fills, 0u);
  EXPECT_EQ(bare.iommu->stats().refused_fills, 0u) << "nothing overtook them";
}

TEST_F(Translate, TheReferenceOrganisationAnswersTheSame) {
  Machine other({.caches = {.organisation = CacheOptions::Organisation::kReference, .entries = 1}});
  Tables own{other};
  own.map(Iova(0x5000), kData, 2 * kPageSize);
  other.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, own.root()));
  const auto device = other.attach(kSid);
  EXPECT_EQ(device->translate(Iova(0x5000), 4, Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(device->translate(Iova(0x5000), 4, Access::kRead)->outcome, Outcome::kHit);
  EXPECT_EQ(device->translate(Iova(0x6000), 4, Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(other.iommu->stats().evictions, 1u);
}

}  // namespace
}  // namespace weir::testing_iommu
