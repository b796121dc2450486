// SPDX-License-Identifier: Apache-2.0
//
// R1: what the capability registers say, per profile, and that the fields lie where others have
// them.
//
// Clauses of the manual: 10.4.2 (R1 CAP), 10.4.3 (R1 ECAP).
#include <gtest/gtest.h>

#include <string_view>

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
      {profile::legacy(), 0x80ed078c222f0606, 0x0000000000000f43},
      {profile::scalable_second_stage(), 0xc0ed078c222f0606, 0x0003699800f00fdb},
      {profile::scalable_first_stage(), 0xc1ed078c222f0606, 0x0003899800f00f5b},
      {profile::full(), 0xd9ed078c22380e66, 0x0013ed9ce4f00fdf},
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

// Each bit that some profile sets, and a test that uses what it promises.
struct Promise {
  std::uint64_t cap;
  std::uint64_t ecap;
  const char* suite;
  const char* test;
};
constexpr Promise kPromises[] = {
    {cap::kDomains.kMask, 0, "ContextTest", "RealContextWords"},
    {cap::kCachingMode.kMask, 0, "StrictAbsentTest", "C1AbsentContextsAreCachedUnderDomain0"},
    {cap::kWidth39.kMask, 0, "NestedTest", "S8ThreeLevelsBelow"},
    {cap::kWidth48.kMask, 0, "WalkTest", "FourLevelsToAPage"},
    {cap::kWidth57.kMask, 0, "WideWalkTest", "FiveLevels"},
    {cap::kMaxGuestWidth.kMask, 0, "NarrowWalkTest", "L1BeyondTheWidth"},
    {cap::kFaultOffset.kMask, 0, "FaultTest", "TypesAndAddressBits"},
    {cap::kPages2m.kMask | cap::kPages1g.kMask, 0, "WalkTest", "L4LargePages"},
    {cap::kPageSelective.kMask, 0, "ConformanceTest", "Q8PageFlushesAndLargePages"},
    {cap::kFaultRecords.kMask, 0, "FaultTest", "IndexWrapsAndFriStays"},
    {cap::kMaxAddressMask.kMask, 0, "DescriptorTest", "AddressMaskBeyondMamv"},
    {cap::kWriteDrain.kMask | cap::kReadDrain.kMask, 0, "ConformanceTest",
     "Q10WaitDrainsWhatIsInFlight"},
    {cap::kProtectedLow.kMask | cap::kProtectedHigh.kMask, 0, "ProtectedMemoryTest",
     "BlocksWhatNoTableTranslates"},
    {cap::kFirstStage1g.kMask, 0, "FirstStageTest", "LargePages"},
    {cap::kPosted.kMask, 0, "PostedTest", "I12RequestAndNotification"},
    {cap::kFirstStage5.kMask, 0, "FirstStageTest", "S9FiveLevels"},
    {cap::kEnhancedSirtp.kMask, 0, "StrictInterruptTest", "I10EntriesStayUntilFlushed"},
    {cap::kEnhancedSrtp.kMask, 0, "CommandTest", "R8SetRootTablePointer"},
    {0, ecap::kCoherent.kMask, "WalkTest", "FourLevelsToAPage"},
    {0, ecap::kQueued.kMask | ecap::kIotlbOffset.kMask, "QueueTest", "DescriptorsAreTakenInOrder"},
    {0, ecap::kDeviceTlb.kMask, "DeviceTlbTest", "Q11InvalidationsReachTheDevice"},
    {0, ecap::kInterruptRemapping.kMask, "InterruptTest", "RemapsWhatTheEntrySays"},
    {0, ecap::kExtendedInterrupt.kMask, "InterruptTest", "I9ExtendedDestinations"},
    {0, ecap::kPassThrough.kMask, "ContextTest", "L7PassThrough"},
    {0, ecap::kSnoopControl.kMask, "SnoopWalkTest", "L3SnoopBit"},
    {0, ecap::kMaxHandleMask.kMask, "InterruptTest", "I10FlushesAreToldToTheCore"},
    {0, ecap::kNested.kMask, "NestedTest", "S8ReferencesOfEveryPair"},
    {0, ecap::kPageRequests.kMask | ecap::kPageRequestDrain.kMask, "DeviceTlbTest",
     "PageRequestsAreQueued"},
    {0, ecap::kExecute.kMask, "FirstStageTest", "S12ExecuteNeedsNxe"},
    {0, ecap::kSupervisor.kMask, "FirstStageTest", "S12PrivilegeMatrix"},
    {0, ecap::kExtendedAccessed.kMask, "FirstStageTest", "ExtendedAccessed"},
    {0, ecap::kPasid.kMask | ecap::kPasidSize.kMask, "PasidTest", "S10DirectorySizeBoundsPasids"},
    {0, ecap::kScalable.kMask, "PasidTest", "S1RootFaults"},
    {0, ecap::kSecondStageDirty.kMask, "PasidTest", "S13SecondStageAccessedAndDirty"},
    {0, ecap::kSecondStage.kMask, "PasidTest", "S1SecondStageFaults"},
    {0, ecap::kFirstStage.kMask, "FirstStageTest", "S1CodesOfTables"},
    {0, ecap::kWalkCoherency.kMask, "FirstStageTest", "S1UpdatesThatCannotBe"},
    {0, ecap::kRidPasid.kMask, "PasidTest", "RidPasidIsTheContextsOwn"},
    {0, ecap::kAbortDma.kMask, "PasidTest", "R9AbortDma"},
};

[[nodiscard]] bool test_exists(const Promise& promise) {
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    if (std::string_view(suite.name()) != promise.suite) continue;
    for (int j = 0; j < suite.total_test_count(); ++j)
      if (std::string_view(suite.GetTestInfo(j)->name()) == promise.test) return true;
  }
  return false;
}

TEST(CapabilityTest, R1EveryBitOfAProfileNamesATest) {
  std::uint64_t promised_cap = 0, promised_ecap = 0;
  for (const Promise& promise : kPromises) {
    EXPECT_TRUE(test_exists(promise)) << promise.suite << '.' << promise.test;
    promised_cap |= promise.cap;
    promised_ecap |= promise.ecap;
  }
  Options caching = profile::full();
  caching.caching_mode = true;
  for (const Options& options : {profile::legacy(), profile::scalable_second_stage(),
                                 profile::scalable_first_stage(), profile::full(), caching}) {
    EXPECT_EQ(capability_value(options) & ~promised_cap, 0U);
    EXPECT_EQ(extended_capability_value(options) & ~promised_ecap, 0U);
  }
}

// A bit whose condition is not met is not set, whatever the options say; nor is one that nothing is
// built for.
TEST(CapabilityTest, R1DependentBitsNeedTheirConditions) {
  Options all = profile::full();
  all.scalable = all.interrupt_remapping = false;
  const std::uint64_t without = extended_capability_value(all);
  EXPECT_EQ(
      without & (ecap::kNested.kMask | ecap::kPageRequests.kMask | ecap::kExecute.kMask |
                 ecap::kSupervisor.kMask | ecap::kExtendedAccessed.kMask | ecap::kPasid.kMask |
                 ecap::kPasidSize.kMask | ecap::kSecondStageDirty.kMask | ecap::kSecondStage.kMask |
                 ecap::kFirstStage.kMask | ecap::kWalkCoherency.kMask | ecap::kRidPasid.kMask |
                 ecap::kExtendedInterrupt.kMask | ecap::kMaxHandleMask.kMask),
      0U);
  EXPECT_EQ(capability_value(all) & (cap::kPosted.kMask | cap::kFirstStage1g.kMask |
                                     cap::kFirstStage5.kMask | cap::kEnhancedSirtp.kMask),
            0U);
  Options no_device_tlb = profile::full();
  no_device_tlb.device_tlb = false;
  EXPECT_EQ(extended_capability_value(no_device_tlb) & ecap::kPageRequests.kMask, 0U);
  Options one_stage = profile::full();
  one_stage.first_stage = false;
  EXPECT_EQ(extended_capability_value(one_stage) & ecap::kNested.kMask, 0U);
  for (const Options& options : {profile::full(), all}) {
    EXPECT_EQ(
        capability_value(options) &
            (cap::kAdvancedFaultLog.kMask | cap::kWriteBufferFlush.kMask |
             cap::kZeroLengthRead.kMask | cap::kEnhancedCommands.kMask | cap::kLayout.reserved),
        0U);
    EXPECT_EQ(extended_capability_value(options) &
                  (ecap::kMemoryTypes.kMask | ecap::kNoWriteFlag.kMask |
                   ecap::kDeviceTlbThrottle.kMask | ecap::kVirtualCommand.kMask |
                   ecap::kPerformance.kMask | ecap::kRidPrivileged.kMask | ecap::kLayout.reserved),
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
