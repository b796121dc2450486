// SPDX-License-Identifier: Apache-2.0
//
// Copies, atomics and interrupt messages: what lands, what is reported, what is booked when it ends
// in the middle.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Iova kMessages{0xfee00000};

// Any number of bytes that take every write.
class Endless final : public MemoryTarget {
  bool read(std::uint64_t, std::span<std::byte>) override { return true; }
  bool write(std::uint64_t, std::span<const std::byte>) override { return true; }
};

class Transfers : public testing::Test {
 protected:
  Transfers() {
    machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, tables.root()));
    port = machine.attach(kSid);
  }
  // Equal books: every piece one outcome, every fault one reason, every sink call one fault.
  void expect_books() {
    const Stats stats = machine.iommu->stats();
    EXPECT_EQ(faults_by_reason(stats), stats.of(Outcome::kFaulted));
    EXPECT_EQ(machine.seen.faults.size(), stats.of(Outcome::kFaulted));
  }
  [[nodiscard]] std::uint64_t count(Outcome outcome) const {
    return machine.iommu->stats().of(outcome);
  }
  static std::vector<std::byte> bytes(std::size_t n, int first = 1) {
    std::vector<std::byte> out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = std::byte(static_cast<std::size_t>(first) + i);
    return out;
  }

  Endless endless;
  Machine machine;
  Tables tables{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Transfers, ScatteredPagesAreOneTransfer) {
  tables.map(Iova(0x5000), kData + 0x3000);
  tables.map(Iova(0x6000), kData + 0x1000);
  tables.map(Iova(0x7000), kData + 0x8000);
  const auto data = bytes(2 * kPageSize);
  ASSERT_TRUE(port->write(Iova(0x5800), data));
  EXPECT_EQ(*machine.host(kData + 0x3800), data[0]);
  EXPECT_EQ(*machine.host(kData + 0x1000), data[0x800]);
  EXPECT_EQ(*machine.host(kData + 0x87ff), data[0x1fff]);
  std::vector<std::byte> got(data.size());
  ASSERT_TRUE(port->read(Iova(0x5800), got));
  EXPECT_EQ(got, data);
  EXPECT_EQ(count(Outcome::kWalked), 3u);
  EXPECT_EQ(count(Outcome::kHit), 3u);
  const std::vector<std::pair<Gpa, std::uint64_t>> dirty{
      {kData + 0x3800, 0x800}, {kData + 0x1000, 0x1000}, {kData + 0x8000, 0x800}};
  EXPECT_EQ(machine.seen.dirty, dirty) << "reads dirty nothing";
}

TEST_F(Transfers, WhatLandedBeforeTheFaultStays) {
  tables.map(Iova(0x5000), kData);
  const auto result = port->write(Iova(0x5ff0), bytes(64));
  ASSERT_FALSE(result);
  const Fault& fault = result.error();
  EXPECT_EQ(fault.completed, 16u);
  EXPECT_EQ(fault.request.iova, Iova(0x6000)) << "the first byte that did not land";
  EXPECT_EQ(fault.request.size, 48u);
  EXPECT_EQ(fault.reason, FaultReason::kNoWritePermission);
  EXPECT_EQ(*machine.host(kData + 0xfff), std::byte(16));
  ASSERT_EQ(machine.seen.faults.size(), 1u);
  EXPECT_EQ(machine.seen.faults[0].completed, 16u) << "the sink hears the whole of it too";
  EXPECT_EQ(machine.unit->recorded().at(0).completed, 16u);
  ASSERT_EQ(machine.seen.dirty.size(), 1u);
  EXPECT_EQ(machine.seen.dirty[0].second, 16u);
  // The next transfer starts from nothing.
  const auto next = port->read(Iova(0x9000), {});
  EXPECT_TRUE(next);
  std::array<std::byte, 4> four{};
  EXPECT_EQ(port->read(Iova(0x9000), four).error().completed, 0u);
  expect_books();
}

TEST_F(Transfers, AroundTheEndOfTheAddressSpace) {
  const auto result = port->write(Iova(~0ull - 3), bytes(8));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FaultReason::kAddressWraps);
  EXPECT_EQ(result.error().completed, 0u);
  EXPECT_EQ(count(Outcome::kFaulted), 1u);
  EXPECT_EQ(port->read(Iova(~0ull - 7), std::span(machine.registers.bytes).first(8)).error().reason,
            FaultReason::kBeyondInputWidth)
      << "up to the last byte is no wrap";
  expect_books();
}

TEST_F(Transfers, DeviceRegistersAreCalled) {
  tables.map(Iova(0x5000), Gpa(kRegisters.value()));
  ASSERT_TRUE(port->write(Iova(0x5010), bytes(4)));
  EXPECT_EQ(machine.registers.bytes[0x13], std::byte(4));
  std::array<std::byte, 4> four{};
  ASSERT_TRUE(port->read(Iova(0x5010), four));
  EXPECT_EQ(four[3], std::byte(4));
  const auto where = port->translate(Iova(0x5010), 4, Access::kRead);
  ASSERT_TRUE(where);
  EXPECT_EQ(where->host, nullptr);
  EXPECT_EQ(where->target, &machine.registers);
  EXPECT_EQ(where->target_offset, 0x10u);
}

// L9: a piece that its target refused ended as a fault, not as the hit it was looked up by.
TEST_F(Transfers, ARefusedPieceIsBookedAsAFault) {
  tables.map(Iova(0x5000), Gpa(kRegisters.value()));
  machine.registers.refuse = true;
  std::array<std::byte, 4> four{};
  const auto read = port->read(Iova(0x5000), four);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().reason, FaultReason::kHostMapPermission);
  EXPECT_EQ(read.error().stage, Stage::kHostMap);
  EXPECT_FALSE(port->write(Iova(0x5000), four));
  EXPECT_FALSE(port->map(Iova(0x5000), 4, Access::kRead)) << "a callback is not pinned";
  machine.registers.refuse = false;
  machine.registers.atomics = false;
  EXPECT_FALSE(port->fetch_add(Iova(0x5000), 1));
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kFaulted), 4u);
  EXPECT_EQ(stats.of(Outcome::kHit), 0u);
  EXPECT_EQ(stats.of(Outcome::kWalked), 0u);
  EXPECT_EQ(stats.faults.at(FaultReason::kHostMapPermission), 3u);
  EXPECT_EQ(stats.faults.at(FaultReason::kNotPinnable), 1u);
  EXPECT_EQ(stats.pieces(), 4u);
  expect_books();
}

TEST_F(Transfers, Atomics) {
  tables.map(Iova(0x5000), kData);
  machine.word(kData + 8) = 40;
  EXPECT_EQ(*port->fetch_add(Iova(0x5008), 2), 40u);
  EXPECT_EQ(machine.word(kData + 8), 42u);
  EXPECT_EQ(*port->compare_exchange(Iova(0x5008), 41, 7), 42u);
  EXPECT_EQ(machine.word(kData + 8), 42u) << "no match, no store";
  EXPECT_EQ(machine.seen.dirty.size(), 1u) << "and nothing dirty";
  EXPECT_EQ(*port->compare_exchange(Iova(0x5008), 42, 7), 42u);
  EXPECT_EQ(machine.word(kData + 8), 7u);
  EXPECT_EQ(*port->fetch_add(Iova(0x5008), ~0ull), 7u);
  EXPECT_EQ(machine.word(kData + 8), 6u);
  EXPECT_EQ(machine.seen.dirty.size(), 3u);
  EXPECT_EQ(machine.seen.dirty.back(), (std::pair{kData + 8, std::uint64_t{8}}));
  expect_books();
}

TEST_F(Transfers, AtomicsThatFault) {
  tables.map(Iova(0x5000), kData, kPageSize, Permissions::read_only());
  tables.map(Iova(0x6000), Gpa(kRom.value()));
  EXPECT_EQ(port->fetch_add(Iova(0x5004), 1).error().reason, FaultReason::kMisaligned);
  EXPECT_EQ(port->fetch_add(Iova(0x5008), 1).error().reason, FaultReason::kNoWritePermission);
  EXPECT_EQ(port->compare_exchange(Iova(0x6000), 0, 1).error().reason,
            FaultReason::kHostMapPermission);
  EXPECT_EQ(port->fetch_add(kMessages, 1).error().reason, FaultReason::kInterruptMalformed);
  EXPECT_EQ(count(Outcome::kFaulted), 4u);
  EXPECT_EQ(machine.iommu->stats().pieces(), 4u);
  EXPECT_TRUE(machine.seen.dirty.empty());
  expect_books();
}

TEST_F(Transfers, AtomicsOnRegisters) {
  tables.map(Iova(0x5000), Gpa(kRegisters.value()));
  EXPECT_EQ(*port->fetch_add(Iova(0x5020), 5), 0u);
  EXPECT_EQ(*port->compare_exchange(Iova(0x5020), 5, 9), 5u);
  EXPECT_EQ(machine.registers.bytes[0x20], std::byte(9));
}

// ---- Interrupt messages: 0xfee00000 … 0xfeefffff is never memory.

TEST_F(Transfers, AFourByteWriteIsAMessageOfTheTrueRequester) {
  const std::array<std::byte, 4> data{std::byte(0x31), std::byte(0x40), std::byte(0), std::byte(1)};
  ASSERT_TRUE(port->write(kMessages + 0x10c, data));
  ASSERT_EQ(machine.seen.device_msis.size(), 1u);
  EXPECT_EQ(machine.seen.device_msis[0].first, Requester::from_sid(kSid));
  EXPECT_EQ(machine.seen.device_msis[0].second, (Msi{.address = 0xfee0010c, .data = 0x01004031}));
  ASSERT_TRUE(port->write(Iova(0xfeeffffc), data));
  EXPECT_EQ(count(Outcome::kInterrupt), 2u);
  EXPECT_EQ(machine.iommu->stats().pieces(), 2u);
  EXPECT_EQ(machine.iommu->stats().context_reads, 0u);
  EXPECT_TRUE(machine.seen.dirty.empty());
}

TEST_F(Transfers, WhatIsNoMessageThereIsAFault) {
  struct Case {
    std::uint64_t offset;
    std::size_t size;
  };
  for (const Case c : {Case{0, 1}, Case{0, 2}, Case{0, 3}, Case{0, 5}, Case{0, 8}, Case{1, 4},
                       Case{2, 4}, Case{0xffffc, 8}}) {
    const auto result = port->write(kMessages + c.offset, bytes(c.size));
    ASSERT_FALSE(result) << c.offset << " " << c.size;
    EXPECT_EQ(result.error().reason, FaultReason::kInterruptMalformed);
  }
  std::array<std::byte, 4> four{};
  EXPECT_EQ(port->read(kMessages, four).error().reason, FaultReason::kInterruptMalformed);
  EXPECT_EQ(port->map(kMessages, 4, Access::kWrite).error().reason, FaultReason::kNotPinnable);
  EXPECT_TRUE(machine.seen.device_msis.empty());
  EXPECT_EQ(count(Outcome::kFaulted), 10u);
  EXPECT_EQ(count(Outcome::kInterrupt), 0u) << "a malformed one is not also an interrupt (L9)";
  expect_books();
}

// A 1 GiB page around the range must not make memory of it.
TEST_F(Transfers, ALargePageDoesNotSwallowTheRange) {
  auto memory = GuestMemory::create(
      {{.first = Hpa(0x80000000), .size = 0x40000000, .target = &endless},
       {.first = Hpa(0), .size = kRamPages * kPageSize, .host = machine.host(Gpa(0))}});
  ASSERT_TRUE(memory);
  ASSERT_TRUE(
      machine.iommu->change_memory(std::make_shared<const GuestMemory>(std::move(memory).value()))
          .complete());
  tables.map(Iova(0xc0000000), Gpa(0x80000000), 0x40000000);
  for (const Outcome how : {Outcome::kWalked, Outcome::kHit}) {
    const auto before = port->translate(Iova(0xfedffff0), 64, Access::kWrite);
    ASSERT_TRUE(before);
    EXPECT_EQ(before->outcome, how);
    EXPECT_EQ(before->length, 16u) << "the rest is an interrupt request";
  }
  ASSERT_TRUE(port->write(Iova(0xfedffffc), bytes(8)));
  EXPECT_EQ(machine.seen.device_msis.size(), 1u) << "the second half of it";
}

TEST_F(Transfers, BypassAndOffSplitAtTheRangeToo) {
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kOff));
  auto memory = GuestMemory::create({{.first = Hpa(0), .size = 0x100000000, .target = &endless}});
  ASSERT_TRUE(memory);
  ASSERT_TRUE(
      machine.iommu->change_memory(std::make_shared<const GuestMemory>(std::move(memory).value()))
          .complete());
  EXPECT_EQ(port->translate(Iova(0xfedffff0), 64, Access::kWrite)->length, 16u);
  EXPECT_EQ(port->translate(Iova(0xfef00000), 64, Access::kWrite)->length, 64u);
  ASSERT_TRUE(port->write(Iova(0xfedffffc), bytes(8)));
  EXPECT_EQ(machine.seen.device_msis.size(), 1u);
}

}  // namespace
}  // namespace weir::testing_iommu
