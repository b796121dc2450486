// SPDX-License-Identifier: Apache-2.0
//
// Interrupt messages: what they become, who hears of it, and what a completion waits for.
#include "iommu/interrupts.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

using Kind = RemappedInterrupt::Kind;

constexpr std::uint16_t kSid = 0x20;
constexpr Requester kFunction = Requester::from_sid(kSid);
constexpr std::uint64_t kMessage = 0xfee05000;  // entry 5 of the fake unit
constexpr std::uint32_t kData32 = 0x4031;

// KVM api.rst, KVM_SIGNAL_MSI and KVM_X2APIC_API_USE_32BIT_IDS; Intel SDM 3 10.11.
TEST(InterruptMessages, AreEncodedAsKvmTakesThem) {
  EXPECT_EQ(to_msi({.destination = 3, .vector = 0x31}), (Msi{0xfee03000, 0x4031}));
  EXPECT_EQ(to_msi({.destination = 0x12345678,
                    .vector = 0xef,
                    .mode = DeliveryMode::kNmi,
                    .logical = true,
                    .redirection_hint = true,
                    .level = true}),
            (Msi{0x123456'00'fee7800c, 0xc4ef}));
}

class Interrupts : public testing::Test {
 protected:
  Interrupts() {
    port = machine.attach(kSid);
    machine.unit->set_interrupt(
        5, RemappedInterrupt::remapped({.destination = 0x101, .vector = 0x77}, 5));
  }
  Result<Done, Fault> send(std::uint64_t address = kMessage) {
    std::array<std::byte, 4> bytes;
    std::memcpy(bytes.data(), &kData32, sizeof kData32);
    return port->write(Iova(address), bytes);
  }
  void remap() { machine.unit->host().set_interrupt_mode(InterruptMode::kRemapping); }
  [[nodiscard]] std::uint64_t count(Outcome outcome) const {
    return machine.iommu->stats().of(outcome);
  }

  Machine machine;
  std::unique_ptr<DmaPort> port;
};

TEST_F(Interrupts, AreDeliveredAsTheyAreWhileRemappingIsOff) {
  ASSERT_TRUE(send());
  ASSERT_EQ(machine.seen.interrupts.size(), 1u);
  EXPECT_EQ(machine.seen.interrupts[0].kind, Kind::kAsItIs);
  EXPECT_EQ(machine.seen.device_msis[0], (std::pair{kFunction, Msi{kMessage, kData32}}));
}

// Whether memory requests are translated is another question.
TEST_F(Interrupts, RemappingDoesNotAskForTranslation) {
  remap();
  for (const UnitMode mode : {UnitMode::kTranslating, UnitMode::kOff}) {
    ASSERT_TRUE(machine.unit->set_mode(mode));
    machine.seen.interrupts.clear();
    ASSERT_TRUE(send());
    ASSERT_EQ(machine.seen.interrupts.size(), 1u);
    const RemappedInterrupt& got = machine.seen.interrupts[0];
    EXPECT_EQ(got.kind, Kind::kRemapped);
    EXPECT_EQ(got.interrupt.destination, 0x101u);
    EXPECT_EQ(got.msi, (Msi{0x1'00'fee01000, 0x4077}));
    EXPECT_EQ(got.index, 5u);
  }
}

TEST_F(Interrupts, WithoutAUnitTheyBypassRemapping) {
  Machine bare({.coverage = {{UnitCoverage{.register_base = kUnitBase}}}});
  bare.unit->host().set_interrupt_mode(InterruptMode::kRemapping);
  const auto free = bare.attach(kSid);
  ASSERT_TRUE(free->write(Iova(kMessage), std::array<std::byte, 4>{}));
  EXPECT_EQ(bare.seen.interrupts.at(0).kind, Kind::kAsItIs);
  EXPECT_EQ(bare.iommu->resolve_msi(kFunction, kMessage, 0)->kind, Kind::kAsItIs);
}

TEST_F(Interrupts, ARefusedMessageIsTheVendorsFaultAndNoInterrupt) {
  remap();
  const auto got = send(0xfee09000);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kInterruptNotPresent);
  EXPECT_EQ(got.error().request.requester, kFunction);
  EXPECT_EQ(got.error().request.size, 4u);
  ASSERT_EQ(machine.unit->recorded().size(), 1u);
  EXPECT_EQ(machine.unit->recorded()[0].vendor_detail, 9u);
  EXPECT_TRUE(machine.seen.interrupts.empty());
  EXPECT_EQ(count(Outcome::kInterrupt), 0u);
  EXPECT_EQ(count(Outcome::kFaulted), 1u);
  ASSERT_TRUE(send());
  EXPECT_EQ(count(Outcome::kInterrupt), 1u);
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.faults.at(FaultReason::kInterruptNotPresent), 1u);
  EXPECT_EQ(stats.pieces(), 2u);
}

TEST_F(Interrupts, OnlyAlignedDwordsAreMessages) {
  remap();
  EXPECT_FALSE(port->write(Iova(kMessage), std::array<std::byte, 8>{}));
  EXPECT_FALSE(port->write(Iova(kMessage + 2), std::array<std::byte, 4>{}));
  std::array<std::byte, 4> bytes{};
  EXPECT_FALSE(port->read(Iova(kMessage), bytes));
  EXPECT_TRUE(machine.seen.interrupts.empty());
  EXPECT_EQ(count(Outcome::kInterrupt), 0u);
}

TEST_F(Interrupts, PostedOnesAreRecordedAndNotifyOnce) {
  remap();
  RemappedInterrupt posted{.kind = Kind::kPosted,
                           .msi = {0xfee00000, 0xf2},
                           .interrupt = {.vector = 0x21},
                           .index = 6,
                           .descriptor = kData};
  machine.unit->set_interrupt(6, posted);
  ASSERT_EQ(machine.iommu->resolve_msi(kFunction, 0xfee06000, 0)->kind, Kind::kPosted);
  EXPECT_EQ(machine.word(kData), 0u) << "asking posts nothing";
  ASSERT_TRUE(send(0xfee06000));
  ASSERT_TRUE(send(0xfee06000));
  EXPECT_EQ(machine.word(kData), std::uint64_t{1} << 0x21);
  ASSERT_EQ(machine.seen.interrupts.size(), 1u);
  EXPECT_EQ(machine.seen.interrupts[0].msi, (Msi{0xfee00000, 0xf2}));
  EXPECT_EQ(count(Outcome::kInterrupt), 2u);
  posted.descriptor = Gpa(0x7000'0000'0000);
  machine.unit->set_interrupt(6, posted);
  EXPECT_EQ(send(0xfee06000).error().code, FakeUnit::kInterrupt);
  EXPECT_EQ(count(Outcome::kInterrupt), 2u);
}

TEST_F(Interrupts, ResolvingLeavesNoTrace) {
  remap();
  const auto got = machine.iommu->resolve_msi(kFunction, kMessage, kData32);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->interrupt.vector, 0x77);
  const auto refused = machine.iommu->resolve_msi(kFunction, 0xfee09000, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, FakeUnit::kInterrupt);
  EXPECT_TRUE(machine.unit->recorded().empty());
  EXPECT_TRUE(machine.seen.faults.empty());
  EXPECT_TRUE(machine.seen.interrupts.empty());
  EXPECT_EQ(machine.iommu->stats().pieces(), 0u);
  EXPECT_EQ(machine.iommu->resolve_msi(kFunction, 0x1000, 0).error().reason,
            FaultReason::kInterruptMalformed);
  EXPECT_EQ(machine.iommu->resolve_msi(Requester::from_sid(0x99), kMessage, 0).error().reason,
            FaultReason::kDetached);
}

// What an interrupt controller sends, which has no port at hand.
TEST_F(Interrupts, MessagesCanBeSentForAFunction) {
  remap();
  ASSERT_TRUE(machine.iommu->send_msi(kFunction, {kMessage, kData32}));
  EXPECT_EQ(machine.seen.interrupts.at(0).interrupt.vector, 0x77);
  EXPECT_FALSE(machine.iommu->send_msi(kFunction, {0xfee09000, 0}));
  EXPECT_EQ(machine.unit->recorded().size(), 1u);
  EXPECT_FALSE(machine.iommu->send_msi(kFunction, {0x1000, 0}));
  EXPECT_FALSE(machine.iommu->send_msi(Requester::from_sid(0x99), {kMessage, 0}));
  (void)machine.iommu->set_bus_master(kFunction, false);
  EXPECT_EQ(machine.iommu->send_msi(kFunction, {kMessage, 0}).error().reason,
            FaultReason::kBusMasterOff);
  EXPECT_EQ(machine.iommu->stats().pieces(), 4u);
}

TEST_F(Interrupts, WhoKeepsRoutesIsToldWhatChanged) {
  auto& changes = machine.seen.interrupt_changes;
  remap();
  EXPECT_EQ(changes, (std::vector<InterruptChange>{{}}));
  changes.clear();
  remap();
  EXPECT_TRUE(changes.empty()) << "nothing changed";
  machine.unit->post({.scope = iotlb::Scope::kInterruptAll});
  machine.unit->post(
      {.scope = iotlb::Scope::kInterruptRange, .first_interrupt = 4, .last_interrupt = 7});
  machine.unit->post({.scope = iotlb::Scope::kInterruptDevice, .requester = kFunction});
  machine.unit->post({.scope = iotlb::Scope::kAll});
  EXPECT_EQ(changes, (std::vector<InterruptChange>{{},
                                                   {.unit = {}, .first_index = 4, .last_index = 7},
                                                   {.unit = {}, .requester = kFunction}}));
  changes.clear();
  (void)machine.iommu->reset();
  EXPECT_EQ(changes, (std::vector<InterruptChange>{{}}));
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.invalidations[static_cast<std::size_t>(iotlb::Scope::kInterruptRange)].commands,
            1u);
}

// L1: the completion of an entry's invalidation waits for the message that rests on the old one.
TEST_F(Interrupts, ACompletionWaitsForTheMessageInFlight) {
  remap();
  std::uint64_t number = 0;
  bool early = true;
  machine.unit->after_interrupt = [&](const Request&) {
    if (number != 0) return;
    machine.unit->set_interrupt(5, RemappedInterrupt::remapped({.vector = 0x99}, 5));
    number = machine.unit->post(
        {.scope = iotlb::Scope::kInterruptRange, .first_interrupt = 5, .last_interrupt = 5});
    early = machine.unit->completed() >= number;
  };
  ASSERT_TRUE(send());
  EXPECT_FALSE(early);
  EXPECT_EQ(machine.seen.interrupts.at(0).interrupt.vector, 0x77) << "began before";
  EXPECT_GE(machine.unit->completed(), number) << "resumed by its end";
  ASSERT_TRUE(send());
  EXPECT_EQ(machine.seen.interrupts.at(1).interrupt.vector, 0x99);
}

}  // namespace
}  // namespace weir::testing_iommu
