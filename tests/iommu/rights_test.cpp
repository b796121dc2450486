// SPDX-License-Identifier: Apache-2.0
//
// L10: an entry holds what the tables say, and each requester's own rights and modes are applied to
// it at every use. What they refuse is the vendor's fault, with its code and its record.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOther = 0x28;
constexpr Iova kPage{0x5000};
constexpr Permissions kSupervisor =
    Permissions::from_bits(Permissions::kAllBits & ~Permissions::kUserBit);
constexpr Permissions kNoExecute =
    Permissions::from_bits(Permissions::kAllBits & ~Permissions::kExecuteBit);

[[nodiscard]] constexpr std::uint16_t denied(Denial denial) {
  return static_cast<std::uint16_t>(FakeUnit::kDenied + static_cast<unsigned>(denial));
}

class Rights : public testing::Test {
 protected:
  void use(std::uint16_t sid, const iotlb::Context& context) {
    machine.unit->set_context(Requester::from_sid(sid), context);
    machine.unit->post({.scope = iotlb::Scope::kContextAll});
  }
  [[nodiscard]] std::uint64_t walks() const { return machine.iommu->stats().walks; }

  Machine machine;
  Tables tables{machine};
  FirstStageTables first{machine};
};

// The same entry for a lax function and a strict one.
TEST_F(Rights, AStrictFunctionIsRefusedAtTheHitWithTheVendorsFault) {
  tables.map(kPage, kData);
  iotlb::Context strict = FakeUnit::second_stage(1, tables.root());
  strict.rights = Permissions::read_only();
  use(kSid, FakeUnit::second_stage(1, tables.root()));
  use(kOther, strict);
  const auto lax_port = machine.attach(kSid);
  const auto strict_port = machine.attach(kOther);
  ASSERT_TRUE(lax_port->translate(kPage, 4, Access::kWrite));
  const std::uint64_t before = walks();
  for (const Access access : {Access::kWrite, Access::kReadWrite}) {
    const auto got = strict_port->translate(kPage, 4, access);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, denied(Denial::kWrite));
    EXPECT_EQ(got.error().reason, FaultReason::kNoWritePermission);
    EXPECT_EQ(got.error().stage, Stage::kNone) << "no host-map fault";
  }
  ASSERT_EQ(machine.unit->recorded().size(), 2u);
  EXPECT_EQ(machine.unit->recorded()[0].request.requester, Requester::from_sid(kOther));
  EXPECT_EQ(strict_port->translate(kPage, 4, Access::kRead)->outcome, Outcome::kHit);
  EXPECT_EQ(walks(), before) << "the right is missing before any table is read";
  strict.silence_faults = true;
  use(kOther, strict);
  EXPECT_FALSE(strict_port->translate(kPage, 4, Access::kWrite));
  EXPECT_EQ(machine.unit->recorded().size(), 2u) << "silenced";
}

// AMD: the rights of the device-table entry come before Mode 0 and before any table (settled.md).
TEST_F(Rights, AMissingRightBeatsWhatTheTablesSay) {
  iotlb::Context none = FakeUnit::second_stage(1, tables.root());
  none.rights = Permissions::none();
  use(kSid, none);
  const auto port = machine.attach(kSid);
  EXPECT_EQ(port->translate(kPage, 4, Access::kWrite).error().code, denied(Denial::kUser));
  none.rights = Permissions::of(false, false);
  use(kSid, none);
  EXPECT_EQ(port->translate(kPage, 4, Access::kWrite).error().code, denied(Denial::kWrite));
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead).error().code, denied(Denial::kRead));
  none.kind = iotlb::ContextKind::kPassThrough;
  use(kSid, none);
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead).error().code, denied(Denial::kRead));
  none.allow_translated = true;
  use(kSid, none);
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead, {.address_type = AddressType::kTranslated})
                .error()
                .code,
            denied(Denial::kRead));
  EXPECT_FALSE(port->peek(kPage, Access::kRead));
  EXPECT_EQ(walks(), 0u);
}

// A supervisor page, in the cache because somebody with privilege used it.
TEST_F(Rights, PrivilegeIsJudgedAtTheHit) {
  first.map(kPage, kData, kPageSize, kSupervisor);
  use(kSid, FakeUnit::first_stage(1, first.root()));
  const auto port = machine.attach(kSid);
  ASSERT_TRUE(port->translate(kPage, 4, Access::kWrite, {.privileged = true}));
  EXPECT_EQ(port->translate(kPage, 4, Access::kWrite, {.privileged = true})->outcome,
            Outcome::kHit);
  const auto got = port->translate(kPage, 4, Access::kRead);
  ASSERT_FALSE(got) << "a plain request on the way of plain requests";
  EXPECT_EQ(got.error().reason, FaultReason::kNotUser);
  EXPECT_EQ(got.error().code, FakeUnit::kWalkFault) << "the walk's own words";
  EXPECT_FALSE(port->peek(kPage, Access::kRead));
  EXPECT_TRUE(port->peek(kPage, Access::kRead, {.privileged = true}));
}

// VT-d RID_PRIV: without a PASID the function counts as privileged, with one it does not.
TEST_F(Rights, RequestsWithoutAPasidMayCountAsPrivileged) {
  first.map(kPage, kData, kPageSize, kSupervisor);
  iotlb::Context context = FakeUnit::first_stage(1, first.root());
  context.privileged = true;
  use(kSid, context);
  const auto port = machine.attach(kSid);
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead)->outcome, Outcome::kHit);
  const auto got = port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{1}});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kNotUser);
}

// VT-d WPE: one function's supervisor writes go to read-only pages, another's do not, over one tag.
TEST_F(Rights, WriteProtectionIsTheRequesters) {
  first.map(kPage, kData, kPageSize,
            Permissions::from_bits(Permissions::kReadBit | Permissions::kExecuteBit));
  iotlb::Context lax = FakeUnit::first_stage(1, first.root());
  lax.write_protect = false;
  use(kSid, lax);
  use(kOther, FakeUnit::first_stage(1, first.root()));
  const auto lax_port = machine.attach(kSid);
  const auto strict_port = machine.attach(kOther);
  const DmaAttributes privileged{.privileged = true};
  ASSERT_TRUE(lax_port->translate(kPage, 4, Access::kRead, privileged));
  const auto written = lax_port->translate(kPage, 4, Access::kWrite, privileged);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->outcome, Outcome::kWalked) << "the walk has a dirty bit to set";
  EXPECT_TRUE(written->permissions.can_write());
  const auto refused = strict_port->translate(kPage, 4, Access::kWrite, privileged);
  ASSERT_FALSE(refused) << "the lax function's right leaked through the shared domain";
  EXPECT_EQ(refused.error().reason, FaultReason::kNoWritePermission);
}

// VT-d NXE: whose execute-disable bits mean nothing may execute, the other may not.
TEST_F(Rights, ExecuteDisableIsTheRequesters) {
  first.map(kPage, kData, kPageSize, kNoExecute);
  iotlb::Context lax = FakeUnit::first_stage(1, first.root());
  lax.no_execute = false;
  use(kSid, lax);
  use(kOther, FakeUnit::first_stage(1, first.root()));
  const auto lax_port = machine.attach(kSid);
  const auto strict_port = machine.attach(kOther);
  const DmaAttributes execute{.execute = true};
  ASSERT_TRUE(lax_port->translate(kPage, 4, Access::kRead, execute));
  EXPECT_EQ(lax_port->translate(kPage, 4, Access::kRead, execute)->outcome, Outcome::kHit);
  const auto refused = strict_port->translate(kPage, 4, Access::kRead, execute);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, FaultReason::kNoExecutePermission);
  EXPECT_TRUE(strict_port->translate(kPage, 4, Access::kRead)) << "reading is another matter";
}

// PASIDs have contexts of their own, and each is dropped by its own invalidation.
TEST_F(Rights, EachPasidHasItsContext) {
  const auto function = Requester::from_sid(kSid);
  FirstStageTables second{machine};
  first.map(kPage, kData);
  second.map(kPage, kData + kPageSize);
  iotlb::Context one = FakeUnit::first_stage(1, first.root());
  iotlb::Context two = FakeUnit::first_stage(1, second.root());
  one.pasid = 7;
  two.pasid = 8;
  machine.unit->set_context(function, Pasid{7}, one);
  machine.unit->set_context(function, Pasid{8}, two);
  const auto port = machine.attach(kSid);
  EXPECT_FALSE(port->translate(kPage, 4, Access::kRead));
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{7}})->gpa, kData);
    EXPECT_EQ(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{8}})->gpa,
              kData + kPageSize);
  }
  EXPECT_EQ(machine.iommu->stats().context_reads, 3u) << "one each, and one that failed";
  machine.unit->post(
      {.scope = iotlb::Scope::kContextPasid, .domain = DomainId{1}, .pasid = Pasid{7}});
  EXPECT_TRUE(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{8}}));
  EXPECT_EQ(machine.iommu->stats().context_reads, 3u) << "the other PASID's stays";
  EXPECT_TRUE(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{7}}));
  EXPECT_EQ(machine.iommu->stats().context_reads, 4u);
  // And a PASID-selective flush of one leaves the other's pages.
  machine.unit->post({.scope = iotlb::Scope::kPasid, .domain = DomainId{1}, .pasid = Pasid{7}});
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{8}})->outcome, Outcome::kHit);
  EXPECT_EQ(port->translate(kPage, 4, Access::kRead, {.pasid = Pasid{7}})->outcome,
            Outcome::kWalked);
}

// L7: what stage 2 no longer says is in no answer that was made through it.
TEST_F(Rights, AStageTwoRangeTakesTheDomainsPasidsAlong) {
  first.map(kPage, kData);
  tables.map(kPage, kData, 2 * kPageSize);
  use(kSid, FakeUnit::first_stage(1, first.root()));
  use(kOther, FakeUnit::second_stage(1, tables.root()));
  const auto upper = machine.attach(kSid);
  const auto lower = machine.attach(kOther);
  for (DmaPort* port : {upper.get(), lower.get()})
    ASSERT_TRUE(port->translate(kPage, 4, Access::kRead));
  ASSERT_TRUE(lower->translate(kPage + kPageSize, 4, Access::kRead));
  machine.unit->post({.scope = iotlb::Scope::kStage2Range,
                      .domain = DomainId{1},
                      .range = {kPage + kPageSize, kPage + (2 * kPageSize - 1)}});
  EXPECT_EQ(upper->translate(kPage, 4, Access::kRead)->outcome, Outcome::kWalked);
  EXPECT_EQ(lower->translate(kPage, 4, Access::kRead)->outcome, Outcome::kHit) << "exact (L5)";
  EXPECT_EQ(lower->translate(kPage + kPageSize, 4, Access::kRead)->outcome, Outcome::kWalked);
}

// A look leaves no accessed or dirty bit behind, a request does.
TEST_F(Rights, PeekSetsNoBits) {
  first.map(kPage, kData);
  use(kSid, FakeUnit::first_stage(1, first.root()));
  const auto port = machine.attach(kSid);
  std::vector<std::uint64_t> before(512);
  const auto root = [&](std::size_t i) -> std::uint64_t& {
    return machine.word(first.root() + i * 8);
  };
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = root(i);
  ASSERT_TRUE(port->peek(kPage, Access::kWrite));
  for (std::size_t i = 0; i < before.size(); ++i) ASSERT_EQ(root(i), before[i]);
  EXPECT_TRUE(machine.seen.dirty.empty());
  ASSERT_TRUE(port->translate(kPage, 4, Access::kWrite));
  EXPECT_NE(root(0), before[0]) << "accessed";
  EXPECT_FALSE(machine.seen.dirty.empty());
}

}  // namespace
}  // namespace weir::testing_iommu
