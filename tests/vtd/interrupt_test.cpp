// SPDX-License-Identifier: Apache-2.0
//
// Interrupt remapping: I1 to I12, with entries and messages written as numbers (compare Linux
// drivers/iommu/intel/irq_remapping.c and include/linux/dmar.h).
//
// Clauses of the manual: 5.1.2.2 (I1, I3), 9.10 (I2, I4 to I7, I9), 9.11 and 9.12 (I12), 7.1.3 and
// 7.2.3 (I8), 3.14 (I11), 10.4.30 (I9), 6.5.2 (I10), 10.4.13 (R6).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint64_t kIrta = 0xb8, kTable = 0x60000, kDescriptor = 0x70000;
constexpr std::uint32_t kIre = 1U << 25, kSirtp = 1U << 24, kCfi = 1U << 23;
constexpr std::uint64_t kRemappableFormat = 0xfee00010;

class InterruptTest : public UnitTest {
 protected:
  explicit InterruptTest(Options options = {.interrupt_remapping = true,
                                            .extended_interrupts = true})
      : UnitTest(options) {
    set_table(0);
  }
  // 2^(size + 1) entries.
  void set_table(unsigned size, bool extended = false) {
    write64(kIrta, kTable | (extended ? 0x800U : 0) | size);
    command(kSirtp);
    turn_on(kIre);
  }
  void set_entry(std::uint64_t low, std::uint64_t high = 0, unsigned index = 0) {
    host_.store(kTable + index * 16, low);
    host_.store(kTable + index * 16 + 8, high);
  }
  [[nodiscard]] static std::uint64_t address_of(std::uint32_t handle, bool subhandle = false) {
    return kRemappableFormat | (handle & 0x7fff) << 5 | (handle & 0x8000) >> 13 |
           (subhandle ? 8U : 0);
  }
  [[nodiscard]] Result<RemappedInterrupt, Fault> send(std::uint64_t address, std::uint32_t data = 0,
                                                      std::uint16_t sid = kSid) {
    return unit_.remap_interrupt(request(address, Access::kWrite, sid), {address, data},
                                 host_.memory());
  }
  void expect_fault(const Result<RemappedInterrupt, Fault>& result, unsigned code,
                    bool recorded = true) {
    ASSERT_FALSE(result) << std::hex << code;
    EXPECT_EQ(result.error().code, code);
    EXPECT_EQ(result.error().recorded, recorded) << std::hex << code;
  }
  // Vector 55h to APIC 3, fixed, edge, physical.
  static constexpr std::uint64_t kSimple = 0x0000030000550001;
};

TEST_F(InterruptTest, RemapsWhatTheEntrySays) {
  set_entry(kSimple);
  const auto result = send(address_of(0));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->kind, RemappedInterrupt::Kind::kRemapped);
  EXPECT_EQ(result->msi, (Msi{0xfee03000, 0x4055}));
  EXPECT_EQ(result->index, 0U);
  // Logical, redirection hint, level, lowest priority.
  set_entry(0x000003000055003d);
  EXPECT_EQ(send(address_of(0))->msi, (Msi{0xfee0300c, 0xc155}));
}

// I1: compatibility format passes only with CFIS and without EIME.
TEST_F(InterruptTest, I1CompatibilityFormat) {
  expect_fault(send(0xfee01000, 0x41), 0x25);
  turn_on(kCfi);
  EXPECT_EQ(read32(kGsts) & kCfi, kCfi) << "R5: CFIS follows CFI";
  const auto passed = send(0xfee01000, 0x41);
  ASSERT_TRUE(passed);
  EXPECT_EQ(passed->kind, RemappedInterrupt::Kind::kAsItIs);
  EXPECT_EQ(passed->msi, (Msi{0xfee01000, 0x41}));
  set_table(0, true);
  expect_fault(send(0xfee01000, 0x41), 0x25);
  set_table(0, false);
  EXPECT_TRUE(send(0xfee01000, 0x41));
  turn_off(kCfi);
  EXPECT_EQ(read32(kGsts) & kCfi, 0U);
  expect_fault(send(0xfee01000, 0x41), 0x25);
}

// I2: SVT 1 compares the requester of every message.
TEST_F(InterruptTest, I2SourceOfEveryMessage) {
  set_entry(kSimple, std::uint64_t{1} << 18 | kSid);
  EXPECT_TRUE(send(address_of(0)));
  expect_fault(send(address_of(0), 0, kSid + 1), 0x26);
  expect_fault(send(address_of(0), 0, 0xffff), 0x26);
}

// I3: handle and subhandle are added without wrapping.
TEST_F(InterruptTest, I3IndexBeyondTheTable) {
  set_table(3);
  for (unsigned i = 0; i < 16; ++i) set_entry(kSimple, 0, i);
  EXPECT_TRUE(send(address_of(15)));
  expect_fault(send(address_of(16)), 0x21);
  EXPECT_EQ(send(address_of(14, true), 1)->index, 15U);
  EXPECT_EQ(send(address_of(14), 1)->index, 14U) << "the data means nothing without SHV";
  expect_fault(send(address_of(14, true), 2), 0x21);
  const auto wrapped = send(address_of(0xffff, true), 2);
  expect_fault(wrapped, 0x21);
  set_table(15);
  set_entry(kSimple, 0, 0xffff);
  EXPECT_EQ(send(address_of(0xffff))->index, 0xffffU);
  // 20h: what must be zero beside a subhandle.
  expect_fault(send(address_of(0, true), 0x10000), 0x20);
}

// I4: IM is reserved without posted interrupts.
TEST_F(InterruptTest, I4PostedModeNeedsPi) {
  set_entry(kSimple | 0x8000);
  expect_fault(send(address_of(0)), 0x24);
}

// I5: destination bits outside 15:8 are reserved without EIME.
TEST_F(InterruptTest, I5ReservedBits) {
  for (unsigned bit = 32; bit < 64; ++bit) {
    set_entry(kSimple | std::uint64_t{1} << bit);
    if (bit >= 40 && bit < 48)
      EXPECT_TRUE(send(address_of(0))) << bit;
    else
      expect_fault(send(address_of(0)), 0x24);
  }
  for (const unsigned bit : {12U, 13U, 14U, 24U, 31U}) {
    set_entry(kSimple | std::uint64_t{1} << bit);
    expect_fault(send(address_of(0)), 0x24);
  }
  for (unsigned bit = 20; bit < 64; ++bit) {
    set_entry(kSimple, std::uint64_t{1} << bit);
    expect_fault(send(address_of(0)), 0x24);
  }
  // Delivery modes without a meaning.
  for (const std::uint64_t mode : {3U, 6U}) {
    set_entry(kSimple | mode << 5);
    expect_fault(send(address_of(0)), 0x24);
  }
}

// I6: SVT 3 is reserved.
TEST_F(InterruptTest, I6ReservedValidationType) {
  set_entry(kSimple, std::uint64_t{3} << 18);
  expect_fault(send(address_of(0)), 0x24);
}

// I7: SQ leaves out function bits; SVT 2 is start bus ≤ bus ≤ end bus.
TEST_F(InterruptTest, I7SourceQualifiersAndBuses) {
  const std::uint16_t ignored[] = {0, 4, 6, 7};
  for (std::uint64_t sq = 0; sq < 4; ++sq) {
    set_entry(kSimple, std::uint64_t{1} << 18 | sq << 16 | kSid);
    for (std::uint16_t function = 0; function < 8; ++function) {
      const auto sid = static_cast<std::uint16_t>(kSid + function);
      EXPECT_EQ(send(address_of(0), 0, sid).ok(), (function & ~ignored[sq]) == 0) << sq << function;
    }
    EXPECT_FALSE(send(address_of(0), 0, kSid + 8));
  }
  set_entry(kSimple, std::uint64_t{2} << 18 | 0x0205);  // buses 2 to 5
  for (std::uint16_t bus = 0; bus < 8; ++bus)
    EXPECT_EQ(send(address_of(0), 0, static_cast<std::uint16_t>(bus << 8 | 0x37)).ok(),
              bus >= 2 && bus <= 5)
        << bus;
  set_entry(kSimple, std::uint64_t{2} << 18 | 0x0502);
  expect_fault(send(address_of(0), 0, 0x0300), 0x26);
}

// I8: FPD silences 22h, 24h and 26h; what is found before the entry is always recorded.
TEST_F(InterruptTest, I8FaultProcessingDisable) {
  for (const std::uint64_t fpd : {0U, 2U}) {
    const bool recorded = fpd == 0;
    set_entry(fpd);
    expect_fault(send(address_of(0)), 0x22, recorded);
    set_entry(kSimple | fpd | 0x1000);
    expect_fault(send(address_of(0)), 0x24, recorded);
    set_entry(kSimple | fpd, std::uint64_t{1} << 18 | 0x1234);
    expect_fault(send(address_of(0)), 0x26, recorded);
  }
  write64(kIrta, kOutsideRam);
  command(kSirtp);
  expect_fault(send(address_of(0)), 0x23);
}

// The record: the index where an address would be.
TEST_F(InterruptTest, I8RecordHoldsTheIndex) {
  set_table(15);
  const auto result = send(address_of(0x1234));
  ASSERT_FALSE(result);
  unit_.record(result.error());
  EXPECT_EQ(read64(kFrcd), std::uint64_t{0x1234} << 48);
  EXPECT_EQ(read64(kFrcd + 8), std::uint64_t{0x80000022} << 32 | kSid);
}

// I9: 32-bit destinations with EIME.
TEST_F(InterruptTest, I9ExtendedDestinations) {
  set_table(0, true);
  set_entry(std::uint64_t{0x12345678} << 32 | 0x550001);
  const auto result = send(address_of(0));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->interrupt.destination, 0x12345678U);
  EXPECT_EQ(result->msi, (Msi{0x12345600fee78000, 0x4055}));
}
class ShortInterruptTest : public InterruptTest {
 protected:
  ShortInterruptTest() : InterruptTest({.interrupt_remapping = true}) {}
};
TEST_F(ShortInterruptTest, I9ExtendedModeNeedsEim) {
  set_table(0, true);
  EXPECT_EQ(read64(kIrta) & 0x800, 0U) << "R6 with EIM only";
  write32(kFeuaddrAt, 0xffffffff);
  write32(kIeuaddrAt, 0xffffffff);
  EXPECT_EQ(read32(kFeuaddrAt) | read32(kIeuaddrAt), 0U);
  set_entry(kSimple);
  EXPECT_TRUE(send(address_of(0)));
}
// R6: upper addresses of the unit's own messages, with EIM.
TEST_F(InterruptTest, R6UpperMessageAddresses) {
  write32(kFeuaddrAt, 0x12345600);
  write32(kIeuaddrAt, 0x00abcd00);
  EXPECT_EQ(read32(kFeuaddrAt), 0x12345600U);
  EXPECT_EQ(read32(kIeuaddrAt), 0x00abcd00U);
  write32(kFeaddrAt, 0xfee78000);
  write32(kFedataAt, 0x31);
  write32(kFectlAt, 0);
  unit_.record(fault_from(kSid, 0x1000));
  ASSERT_EQ(host_.messages().size(), 1U);
  EXPECT_EQ(host_.messages()[0], (Msi{0x12345600fee78000, 0x31}));
}

// I10: in strict mode an entry stays until it is flushed; others are left alone.
class StrictInterruptTest : public InterruptTest {
 protected:
  StrictInterruptTest()
      : InterruptTest({.interrupt_remapping = true, .strict_interrupt_entries = true}) {
    set_table(15);
    enable_queue();
  }
  [[nodiscard]] unsigned vector(unsigned index) {
    const auto result = send(address_of(index));
    return result ? result->interrupt.vector : 0U;
  }
};
TEST_F(StrictInterruptTest, I10EntriesStayUntilFlushed) {
  for (unsigned i = 0; i < 16; ++i) set_entry(kSimple, 0, i), (void)vector(i);
  for (unsigned i = 0; i < 16; ++i) set_entry(kSimple + 0x10000, 0, i);
  EXPECT_EQ(vector(5), 0x55U);
  post(0x14 | std::uint64_t{5} << 32);  // index 5
  EXPECT_EQ(vector(5), 0x56U);
  EXPECT_EQ(vector(4), 0x55U);
  post(0x14 | 2U << 27 | std::uint64_t{9} << 32);  // 2^2 from 8 on
  for (unsigned i = 0; i < 16; ++i)
    EXPECT_EQ(vector(i), i == 5 || (i >= 8 && i < 12) ? 0x56U : 0x55U);
  post(0x04);
  EXPECT_EQ(vector(0), 0x56U);
  // A new table drops them as well (ESIRTPS), and what is not present is not kept.
  set_entry(kSimple);
  command(kSirtp);
  EXPECT_EQ(vector(0), 0x55U);
  set_entry(0, 0, 20);
  EXPECT_EQ(vector(20), 0U);
  set_entry(kSimple, 0, 20);
  EXPECT_EQ(vector(20), 0x55U);
}
TEST_F(InterruptTest, I10FlushesAreToldToTheCore) {
  enable_queue();
  host_.forget();
  post(0x14 | 3U << 27 | std::uint64_t{0x1234} << 32);
  post(0x04);
  const auto told = host_.invalidations();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].scope, iotlb::Scope::kInterruptRange);
  EXPECT_EQ(told[0].first_interrupt, 0x1230U);
  EXPECT_EQ(told[0].last_interrupt, 0x1237U);
  EXPECT_EQ(told[1].scope, iotlb::Scope::kInterruptAll);
  // Masks beyond MHMV are no descriptor.
  post(0x14 | 16U << 27);
  EXPECT_EQ(read32(kFsts) & kIqe, kIqe);
}

// I12: posted interrupts.
class PostedTest : public InterruptTest {
 protected:
  PostedTest()
      : InterruptTest(
            {.interrupt_remapping = true, .extended_interrupts = true, .posted_interrupts = true}) {
    set_table(0, true);
    host_.store(kDescriptor + 32, std::uint64_t{0x107} << 32 | 0xf2 << 16);
  }
  // Vector 55h, or the one given; `bits` of the entry's low word.
  void set_posted(std::uint64_t bits = 0, std::uint64_t vector = 0x55) {
    set_entry((kDescriptor >> 6) << 38 | vector << 16 | 0x8001 | bits, 0);
  }
  [[nodiscard]] Result<std::optional<Msi>, Fault> post_it() {
    const auto remapped = send(address_of(0));
    EXPECT_TRUE(remapped);
    EXPECT_EQ(remapped->kind, RemappedInterrupt::Kind::kPosted);
    return unit_.post_interrupt(request(address_of(0), Access::kWrite), *remapped, host_.memory());
  }
};
TEST_F(PostedTest, I12RequestAndNotification) {
  set_posted();
  const auto first = post_it();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ(**first, to_msi({.destination = 0x107, .vector = 0xf2}));
  EXPECT_EQ(host_.load(kDescriptor + 8), std::uint64_t{1} << 0x15);
  EXPECT_EQ(host_.load(kDescriptor + 32) & 3, 1U) << "ON";
  // ON: no second notification.
  set_posted(0, 0xff);
  EXPECT_FALSE(*post_it());
  EXPECT_EQ(host_.load(kDescriptor + 24), std::uint64_t{1} << 63);
}
TEST_F(PostedTest, I12SuppressedUnlessUrgent) {
  host_.store(kDescriptor + 32, std::uint64_t{0x107} << 32 | 0xf2 << 16 | 2);
  set_posted();
  EXPECT_FALSE(*post_it());
  EXPECT_EQ(host_.load(kDescriptor + 32) & 1, 0U);
  set_posted(1 << 14);
  EXPECT_TRUE(*post_it());
}
TEST_F(PostedTest, I12Faults) {
  set_posted(1 << 12);
  expect_fault(send(address_of(0)), 0x24);
  set_entry(0x8001 | 0x550000 | (kOutsideRam >> 6) << 38);
  const auto absent = post_it();
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, 0x27U);
  set_posted(2);
  host_.store(kDescriptor + 32, 4);
  const auto reserved = post_it();
  ASSERT_FALSE(reserved);
  EXPECT_EQ(reserved.error().code, 0x28U);
  EXPECT_FALSE(reserved.error().recorded) << "FPD";
}

}  // namespace
}  // namespace weir::vtd::test
