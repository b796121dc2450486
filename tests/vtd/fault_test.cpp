// SPDX-License-Identifier: Apache-2.0
//
// Fault records, status, overflow and collapse (7.2, 10.4.9, 10.4.14), and the fault event.
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

constexpr unsigned kRecords = 4;

class FaultTest : public UnitTest {
 protected:
  FaultTest() : UnitTest(Options{.fault_records = kRecords}) {}
  explicit FaultTest(const Options& options) : UnitTest(options) {}

  [[nodiscard]] std::uint64_t low(unsigned i) { return read64(kFrcd + i * 16); }
  [[nodiscard]] std::uint64_t high(unsigned i) { return read64(kFrcd + i * 16 + 8); }
  void clear(unsigned i) { write32(kFrcd + i * 16 + 12, 1U << 31); }
  [[nodiscard]] unsigned first_record() { return read32(kFsts) >> 8 & 0xff; }
  void unmask() {
    write32(kFedataAt, 0x41);
    write32(kFeaddrAt, 0xfee01000);
    write32(kFectlAt, 0);
  }
  static constexpr std::uint64_t kF = std::uint64_t{1} << 63;
};

class DeviceTlbFaultTest : public FaultTest {
 protected:
  DeviceTlbFaultTest() : FaultTest(Options{.device_tlb = true, .fault_records = kRecords}) {}
};

// Records that another model made for the same faults, in recorded guests: the words before F is
// set.
TEST_F(FaultTest, RecordsOfRealRuns) {
  unit_.record(fault_from(0x30, 0xfff00000, Access::kRead, 6));
  unit_.record(fault_from(0x10, 0x10ab3f000, Access::kWrite, 5));
  unit_.record(fault_from(0x40, 0x202b97123, Access::kRead, 6));
  EXPECT_EQ(high(0), kF | 0x4000000600000030);
  EXPECT_EQ(low(0), 0xfff00000U);
  EXPECT_EQ(high(1), kF | 0x500000010);
  EXPECT_EQ(low(1), 0x10ab3f000U);
  EXPECT_EQ(high(2), kF | 0x4000000600000040);
  EXPECT_EQ(low(2), 0x202b97000U);
}

TEST_F(FaultTest, TypesAndAddressBits) {
  unit_.record(fault_from(0x30, 0xffff7fff00001fff, Access::kReadWrite));
  // T1 and T2 both set for an atomic; address bits from MGAW on are 0.
  EXPECT_EQ(high(0), kF | std::uint64_t{1} << 62 | 5ULL << 32 | 1U << 28 | 0x30);
  EXPECT_EQ(low(0), 0x7fff00001000U);
}

// AT is reserved unless device-TLBs are there; PASID fields while PASIDs are not.
TEST_F(FaultTest, FieldsOfAbsentFeaturesStayZero) {
  Fault fault = fault_from(0x30, 0x1000, Access::kWrite, 0x31);
  fault.request.pasid = Pasid{0xfffff};
  fault.request.privileged = true;
  fault.request.execute = true;
  fault.request.address_type = AddressType::kTranslated;
  unit_.record(fault);
  EXPECT_EQ(high(0), kF | 0x31ULL << 32 | 0x30);
}

TEST_F(DeviceTlbFaultTest, AddressTypes) {
  Fault fault = fault_from(0x30, 0x1000, Access::kRead, 0x0d);
  fault.request.address_type = AddressType::kTranslationRequest;
  unit_.record(fault);
  fault.request.requester.bdf = 0x31;
  fault.request.address_type = AddressType::kTranslated;
  unit_.record(fault);
  EXPECT_EQ(high(0) >> 60, 0xdU);  // F, T1, AT 01
  EXPECT_EQ(high(1) >> 60, 0xeU);  // F, T1, AT 10
}

// Silenced faults, and those the guest has no number for, leave nothing.
TEST_F(FaultTest, SilencedFaultsAreNotRecorded) {
  unmask();
  Fault fault = fault_from(0x30, 0x1000);
  fault.recorded = false;
  unit_.record(fault);
  fault.recorded = true;
  fault.code = 0;
  unit_.record(fault);
  EXPECT_EQ(read32(kFsts), 0U);
  EXPECT_EQ(high(0), 0U);
  EXPECT_TRUE(host_.messages().empty());
}

// Same source, record pending: collapsed, without overflow. Different address or code changes
// nothing.
TEST_F(FaultTest, SameSourceCollapses) {
  unit_.record(fault_from(0x30, 0x1000));
  unit_.record(fault_from(0x30, 0x2000, Access::kRead, 6));
  EXPECT_EQ(low(0), 0x1000U);
  EXPECT_EQ(high(1), 0U);
  EXPECT_EQ(read32(kFsts), kPpf);
  clear(0);
  unit_.record(fault_from(0x30, 0x2000));
  EXPECT_EQ(low(1), 0x2000U);
}

// All records taken: PFO, and nothing more is recorded until software has cleared it, even where
// records have become free.
TEST_F(FaultTest, Overflow) {
  for (std::uint16_t i = 0; i < kRecords; ++i) unit_.record(fault_from(i, 0x1000));
  EXPECT_EQ(read32(kFsts), kPpf);
  unit_.record(fault_from(2, 0x9000));  // collapses even now
  EXPECT_EQ(read32(kFsts), kPpf);
  unit_.record(fault_from(0x50, 0x9000));
  EXPECT_EQ(read32(kFsts), kPpf | kPfo);
  for (unsigned i = 0; i < kRecords; ++i) clear(i);
  EXPECT_EQ(read32(kFsts), kPfo);
  unit_.record(fault_from(0x51, 0x9000));
  EXPECT_EQ(read32(kFsts), kPfo);
  write32(kFsts, kPfo);
  EXPECT_EQ(read32(kFsts), 0U);
  unit_.record(fault_from(0x51, 0x9000));
  EXPECT_EQ(read32(kFsts) & 0xff, kPpf);
  EXPECT_EQ(high(0), kF | 5ULL << 32 | 0x51);
}

// The ring goes round, and FRI is the first record of the time since PPF was last clear.
TEST_F(FaultTest, IndexWrapsAndFriStays) {
  unit_.record(fault_from(1, 0x1000));
  unit_.record(fault_from(2, 0x1000));
  unit_.record(fault_from(3, 0x1000));
  EXPECT_EQ(first_record(), 0U);
  clear(0);
  EXPECT_EQ(first_record(), 0U);
  clear(1);
  clear(2);
  EXPECT_EQ(read32(kFsts) & kPpf, 0U);
  unit_.record(fault_from(4, 0x1000));
  EXPECT_EQ(first_record(), 3U);
  EXPECT_EQ(high(3) & 0xffff, 4U);
  unit_.record(fault_from(5, 0x1000));
  EXPECT_EQ(high(0), kF | 5ULL << 32 | 5);
  EXPECT_EQ(first_record(), 3U);
  // The next record is looked at where the ring stands, free ones elsewhere do not count.
  unit_.record(fault_from(6, 0x1000));
  unit_.record(fault_from(7, 0x1000));
  clear(0);
  unit_.record(fault_from(8, 0x1000));
  EXPECT_EQ(read32(kFsts) & kPfo, kPfo);
}

TEST_F(FaultTest, RecordClearsByEitherSize) {
  unit_.record(fault_from(1, 0x1000));
  unit_.record(fault_from(2, 0x1000));
  write64(kFrcd + 8, kF);
  EXPECT_EQ(read32(kFsts), kPpf);
  clear(1);
  EXPECT_EQ(read32(kFsts), 0U);
}

// 10.4.10: a masked event waits in IP; unmasking sends it, once.
TEST_F(FaultTest, MaskedEventIsSentWhenUnmasked) {
  write32(kFedataAt, 0x41);
  write32(kFeaddrAt, 0xfee01000);
  unit_.record(fault_from(1, 0x1000));
  EXPECT_TRUE(host_.messages().empty());
  EXPECT_EQ(read32(kFectlAt), kIm | kIp);
  write32(kFectlAt, kIm);
  EXPECT_EQ(read32(kFectlAt), kIm | kIp);
  write32(kFectlAt, 0);
  EXPECT_EQ(host_.messages(), (std::vector<Msi>{{.address = 0xfee01000, .data = 0x41}}));
  EXPECT_EQ(read32(kFectlAt), 0U);
  write32(kFectlAt, 0);
  EXPECT_EQ(host_.messages().size(), 1U);
}

// IP lapses when everything behind it has been serviced.
TEST_F(FaultTest, PendingEventLapsesWhenServiced) {
  unit_.record(fault_from(1, 0x1000));
  enable_queue();
  post(0xf);
  clear(0);
  EXPECT_EQ(read32(kFectlAt), kIm | kIp) << "IQE is not serviced yet";
  write32(kFsts, kIqe);
  // The queue goes on at once and stops at the same descriptor: a new event.
  EXPECT_EQ(read32(kFsts), kIqe);
  EXPECT_EQ(read32(kFectlAt), kIm | kIp);
  repair();
  EXPECT_EQ(read32(kFsts), 0U);
  EXPECT_EQ(read32(kFectlAt), kIm);
  write32(kFectlAt, 0);
  EXPECT_TRUE(host_.messages().empty());
}

// No new event while PPF, PFO or IQE from before is unserviced, whichever comes first.
TEST_F(FaultTest, OneEventUntilServiced) {
  unmask();
  enable_queue();
  unit_.record(fault_from(1, 0x1000));
  EXPECT_EQ(host_.messages().size(), 1U);
  for (std::uint16_t i = 2; i < 10; ++i) unit_.record(fault_from(i, 0x1000));
  post(0xf);
  EXPECT_EQ(read32(kFsts), kPpf | kPfo | kIqe);
  EXPECT_EQ(host_.messages().size(), 1U);
  for (unsigned i = 0; i < kRecords; ++i) clear(i);
  write32(kFsts, kPfo);
  unit_.record(fault_from(1, 0x1000));
  EXPECT_EQ(host_.messages().size(), 1U) << "IQE is still there";
  clear(0);
  repair();
  EXPECT_EQ(read32(kFsts), 0U);
  unit_.record(fault_from(1, 0x1000));
  EXPECT_EQ(host_.messages().size(), 2U);
}

TEST_F(FaultTest, QueueErrorAloneRaisesTheEvent) {
  unmask();
  enable_queue();
  post(0xf);
  EXPECT_EQ(host_.messages().size(), 1U);
}

// A storm costs one record per source and one event, and ends with the unit in order.
TEST_F(FaultTest, Storm) {
  unmask();
  for (unsigned i = 0; i < 1000000; ++i)
    unit_.record(fault_from(static_cast<std::uint16_t>(i), i * 0x1000ULL));
  EXPECT_EQ(host_.messages().size(), 1U);
  EXPECT_EQ(read32(kFsts), kPpf | kPfo);
  for (unsigned i = 0; i < kRecords; ++i) {
    EXPECT_EQ(high(i) & 0xffff, i);
    clear(i);
  }
  write32(kFsts, kPfo);
  unit_.record(fault_from(9, 0x1000));
  EXPECT_EQ(host_.messages().size(), 2U);
}

class ManyRecordsTest : public FaultTest {
 protected:
  ManyRecordsTest() : FaultTest(Options{.fault_records = 256}) {}
};

TEST_F(ManyRecordsTest, TheLastRecordLiesBeyondTheFirstPage) {
  for (std::uint16_t i = 0; i < 256; ++i) unit_.record(fault_from(i, 0x1000));
  EXPECT_EQ(high(255) & 0xffff, 255U);
  EXPECT_EQ(read32(kFsts), kPpf);
  unit_.record(fault_from(256, 0x1000));
  EXPECT_EQ(read32(kFsts), kPpf | kPfo);
  for (unsigned i = 0; i < 256; ++i) clear(i);
  EXPECT_EQ(read32(kFsts), kPfo);
}

}  // namespace
}  // namespace weir::vtd::test
