// SPDX-License-Identifier: Apache-2.0
//
// R1: what the capability registers say, per profile, and that the fields lie where others have
// them.
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"
#include "vendors/vtd/capabilities.h"

namespace weir::vtd::test {
namespace {

namespace cap = reg::cap;
namespace ecap = reg::ecap;

struct Profile {
  Options options;
  std::uint64_t cap;
  std::uint64_t ecap;
};

TEST(CapabilityTest, R1GoldenValuesPerProfile) {
  const Profile profiles[] = {
      {{}, 0x80ed078c222f0606, 0x0000000000000f43},
      {{.address_bits = 39, .levels_4 = false}, 0x80ed078c22260206, 0x0000000000000f43},
      {{.caching_mode = true}, 0x80ed078c222f0686, 0x0000000000000f43},
      {{.snoop_control = true, .device_tlb = true}, 0x80ed078c222f0606, 0x0000000000000fc7},
      {{.address_bits = 57, .levels_5 = true, .fault_records = 256, .max_address_mask = 63},
       0x80ffff8c22380e06,
       0x0000000000000f43},
      {{.pages_2m = false, .pages_1g = false, .fault_records = 1, .max_address_mask = 18},
       0x80d20080222f0606,
       0x0000000000000f43},
      // SSLPS is prefix-closed: no 1 GiB pages without 2 MiB ones.
      {{.pages_2m = false, .pages_1g = true}, 0x80ed0780222f0606, 0x0000000000000f43},
  };
  for (const Profile& p : profiles) {
    FakeHost host;
    Unit unit(host, p.options);
    EXPECT_EQ(unit.read_register(kCap, 8), p.cap) << std::hex << p.cap;
    EXPECT_EQ(unit.read_register(kEcap, 8), p.ecap) << std::hex << p.cap;
    EXPECT_EQ(unit.read_register(kVer, 4), 0x40U);
  }
}

// A capability word that another model gives, read through our fields.
TEST(CapabilityTest, R1FieldsReadAnotherModelsWords) {
  constexpr std::uint64_t kWord = 0x80d2008c222f0606;
  EXPECT_EQ(cap::kDomains.get(kWord), 6U);
  EXPECT_EQ(cap::kCachingMode.get(kWord), 0U);
  EXPECT_EQ(cap::kWidth39.get(kWord), 1U);
  EXPECT_EQ(cap::kWidth48.get(kWord), 1U);
  EXPECT_EQ(cap::kWidth57.get(kWord), 0U);
  EXPECT_EQ(cap::kMaxGuestWidth.get(kWord), 47U);
  EXPECT_EQ(cap::kFaultOffset.get(kWord), 0x22U);
  EXPECT_EQ(cap::kPages2m.get(kWord), 1U);
  EXPECT_EQ(cap::kPages1g.get(kWord), 1U);
  EXPECT_EQ(cap::kPageSelective.get(kWord), 1U);
  EXPECT_EQ(cap::kFaultRecords.get(kWord), 0U);
  EXPECT_EQ(cap::kMaxAddressMask.get(kWord), 18U);
  EXPECT_EQ(cap::kWriteDrain.get(kWord), 1U);
  EXPECT_EQ(cap::kReadDrain.get(kWord), 1U);
  EXPECT_EQ(cap::kEnhancedSrtp.get(kWord), 1U);
  EXPECT_EQ(cap::kEnhancedSirtp.get(kWord), 0U);
  // Everything else of the word is 0: the fields above are all there is in it.
  const std::uint64_t seen = cap::kDomains.kMask | cap::kWidth39.kMask | cap::kWidth48.kMask |
                             cap::kMaxGuestWidth.kMask | cap::kFaultOffset.kMask |
                             cap::kPages2m.kMask | cap::kPages1g.kMask | cap::kPageSelective.kMask |
                             cap::kMaxAddressMask.kMask | cap::kWriteDrain.kMask |
                             cap::kReadDrain.kMask | cap::kEnhancedSrtp.kMask;
  EXPECT_EQ(kWord & ~seen, 0U);
  EXPECT_EQ(cap::kCachingMode.get(0x80d2008c22260286), 1U);
  EXPECT_EQ(cap::kMaxGuestWidth.get(0x80d2008c22260286), 38U);
  EXPECT_EQ(cap::kFirstStage1g.get(0x81d2008c222f0606), 1U);

  constexpr std::uint64_t kExtended = 0x0000000000f00f4a;
  EXPECT_EQ(ecap::kCoherent.get(kExtended), 0U);
  EXPECT_EQ(ecap::kQueued.get(kExtended), 1U);
  EXPECT_EQ(ecap::kDeviceTlb.get(kExtended), 0U);
  EXPECT_EQ(ecap::kInterruptRemapping.get(kExtended), 1U);
  EXPECT_EQ(ecap::kPassThrough.get(kExtended), 1U);
  EXPECT_EQ(ecap::kSnoopControl.get(kExtended), 0U);
  EXPECT_EQ(ecap::kIotlbOffset.get(kExtended), 0xfU);
  EXPECT_EQ(ecap::kMaxHandleMask.get(kExtended), 15U);
  EXPECT_EQ(ecap::kExtendedInterrupt.get(0x0000000000f00f5a), 1U);
  EXPECT_EQ(ecap::kSnoopControl.get(0x0000000000f00fca), 1U);
  EXPECT_EQ(ecap::kDeviceTlb.get(0x00008d9a20f00f4e), 1U);
  EXPECT_EQ(ecap::kPasidSize.get(0x00008d9a20f00f4e), 19U);
  EXPECT_EQ(ecap::kPasid.get(0x00008d9a20f00f4e), 1U);
  EXPECT_EQ(ecap::kScalable.get(0x00008d9a20f00f4e), 1U);
}

// What is not built is not advertised, whatever the options.
TEST(CapabilityTest, R1NothingUnbuiltIsAdvertised) {
  for (unsigned bits = 0; bits < 64; ++bits) {
    const Options options{.address_bits = 57,
                          .levels_3 = (bits & 1) != 0,
                          .levels_5 = true,
                          .caching_mode = (bits & 2) != 0,
                          .snoop_control = (bits & 4) != 0,
                          .device_tlb = (bits & 8) != 0,
                          .fault_records = 1 + bits};
    const std::uint64_t c = capability_value(options);
    EXPECT_EQ(
        c & (cap::kAdvancedFaultLog.kMask | cap::kWriteBufferFlush.kMask |
             cap::kProtectedLow.kMask | cap::kProtectedHigh.kMask | cap::kZeroLengthRead.kMask |
             cap::kFirstStage1g.kMask | cap::kPosted.kMask | cap::kFirstStage5.kMask |
             cap::kEnhancedCommands.kMask | cap::kEnhancedSirtp.kMask | cap::kLayout.reserved),
        0U);
    const std::uint64_t e = extended_capability_value(options);
    EXPECT_EQ(e & (ecap::kInterruptRemapping.kMask | ecap::kExtendedInterrupt.kMask |
                   ecap::kMaxHandleMask.kMask | ecap::kPasid.kMask | ecap::kPasidSize.kMask |
                   ecap::kScalable.kMask | ecap::kAbortDma.kMask | ecap::kLayout.reserved),
              0U);
  }
}

// The record area and the IOTLB registers lie inside the register space that is said to exist.
TEST(CapabilityTest, R1AreasLieInsideTheRegisterSpace) {
  const Options most{.fault_records = 256};
  const std::uint64_t c = capability_value(most);
  EXPECT_LE(cap::kFaultOffset.get(c) * 16 + (cap::kFaultRecords.get(c) + 1) * 16,
            Unit::kRegisterBytes);
  EXPECT_EQ(ecap::kIotlbOffset.get(extended_capability_value(most)) * 16, kIva);
}

}  // namespace
}  // namespace weir::vtd::test
