// SPDX-License-Identifier: Apache-2.0
//
// Commands through registers: GCMD and GSTS, R8 SRTP, register-based invalidation, R10, and
// completion only when nothing rests on the old state any more (L1).
//
// Clauses of the manual: 10.4.4, 10.4.5 and 10.4.6 (R8), 10.4.7 and 10.4.8 (R10), 6.5.2.8
// (completion).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

using iotlb::Scope;

class CommandTest : public UnitTest {
 protected:
  CommandTest() : UnitTest(Options{.max_address_mask = 18}) {}

  static constexpr std::uint64_t kIcc = std::uint64_t{1} << 63;
  [[nodiscard]] std::uint32_t status() { return read32(kGsts); }
};

TEST_F(CommandTest, TranslationEnable) {
  turn_on(kTe);
  EXPECT_EQ(status(), kTe);
  turn_on(kTe);  // no change: nothing happens
  turn_off(kTe);
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(host_.modes(), (std::vector{UnitMode::kTranslating, UnitMode::kOff}));
}

// 10.4.4: in-flight requests drain before TES changes; new ones meet the new mode at once.
TEST_F(CommandTest, TesFollowsTheDrain) {
  host_.hold();
  turn_on(kTe);
  EXPECT_EQ(host_.modes(), std::vector{UnitMode::kTranslating});
  EXPECT_EQ(status(), 0U);
  unit_.poll();
  EXPECT_EQ(status(), 0U);
  host_.release();
  EXPECT_EQ(status(), 0U) << "only a poll or a command looks";
  unit_.poll();
  EXPECT_EQ(status(), kTe);
  host_.hold();
  turn_off(kTe);
  EXPECT_EQ(status(), kTe);
  // A change of mind before it has settled: the last command counts.
  turn_on(kTe);
  host_.release();
  unit_.poll();
  EXPECT_EQ(status(), kTe);
  EXPECT_EQ(host_.modes().back(), UnitMode::kTranslating);
}

// R8, CAP.ESRTPS: SRTP latches the pointer and drops contexts and translations globally.
TEST_F(CommandTest, R8SetRootTablePointer) {
  write64(kRtaddr, kRoot);
  EXPECT_TRUE(host_.invalidations().empty());
  command(kSrtp);
  EXPECT_EQ(status(), kSrtp);
  const auto what = host_.invalidations();
  ASSERT_EQ(what.size(), 2U);
  EXPECT_EQ(what[0].scope, Scope::kContextAll);
  EXPECT_EQ(what[1].scope, Scope::kAll);
  // RTPS goes at the command and comes back when it is done, every time.
  host_.hold();
  command(kSrtp);
  EXPECT_EQ(status(), 0U);
  host_.release_one();
  unit_.poll();
  EXPECT_EQ(status(), 0U) << "the translations are still under way";
  host_.release_one();
  unit_.poll();
  EXPECT_EQ(status(), kSrtp);
}

TEST_F(CommandTest, RootIsLatchedBySrtpOnly) {
  set_tables();
  write64(kRtaddr, kOutsideRam);
  EXPECT_EQ(code_of(request(0)), 0U);
  command(kSrtp);
  EXPECT_EQ(code_of(request(0)), 0x08U);
}

// R5 in its absent form: what is not advertised can be commanded as much as one likes.
TEST_F(CommandTest, AbsentFeaturesShowNoStatus) {
  for (const unsigned bit : {29U, 28U, 27U, 25U, 24U, 23U, 22U, 0U}) {
    write32(kGcmd, 1U << bit);
    EXPECT_EQ(status(), 0U) << bit;
  }
  EXPECT_TRUE(host_.invalidations().empty());
  EXPECT_TRUE(host_.modes().empty());
}

TEST_F(CommandTest, ContextCommand) {
  // ICC, CIRG device, FM 2, SID 00:12.0, DID 90h, as a driver writes it.
  write64(kCcmd, kIcc | 3ULL << 61 | 2ULL << 32 | 0x90ULL << 16 | 0x90);
  EXPECT_EQ(read64(kCcmd), 3ULL << 61 | 3ULL << 59 | 2ULL << 32 | 0x900090);
  write64(kCcmd, kIcc | 2ULL << 61 | 0x1234);
  EXPECT_EQ(read64(kCcmd), 2ULL << 61 | 2ULL << 59 | 0x1234);
  write32(kCcmd, 0);
  write32(kCcmd + 4, 0x80000000 | 1U << 29);  // global, by halves
  EXPECT_EQ(read64(kCcmd), 1ULL << 61 | 1ULL << 59);
  const auto what = host_.invalidations();
  ASSERT_EQ(what.size(), 3U);
  EXPECT_EQ(what[0].scope, Scope::kContextDevice);
  EXPECT_EQ(what[0].requester, Requester::from_sid(0x90));
  EXPECT_EQ(what[0].requester_mask, 6);
  EXPECT_EQ(what[1].scope, Scope::kContextDomain);
  EXPECT_EQ(what[1].domain, DomainId{0x1234});
  EXPECT_EQ(what[2].scope, Scope::kContextAll);
}

TEST_F(CommandTest, IotlbCommand) {
  write64(kIva, 0x12345000 | 1 << 6 | 2);
  write64(kIotlbAt, kIcc | 3ULL << 60 | 1ULL << 49 | 0x77ULL << 32);
  EXPECT_EQ(read64(kIotlbAt), 3ULL << 60 | 3ULL << 57 | 1ULL << 49 | 0x77ULL << 32);
  write64(kIotlbAt, kIcc | 2ULL << 60 | 0x78ULL << 32);
  EXPECT_EQ(read64(kIotlbAt), 2ULL << 60 | 2ULL << 57 | 0x78ULL << 32);
  write64(kIotlbAt, kIcc | 1ULL << 60);
  EXPECT_EQ(read64(kIotlbAt), 1ULL << 60 | 1ULL << 57);
  const auto what = host_.invalidations();
  ASSERT_EQ(what.size(), 3U);
  EXPECT_EQ(what[0].scope, Scope::kRange);
  EXPECT_EQ(what[0].domain, DomainId{0x77});
  EXPECT_EQ(what[0].range, (AddressRange<Iova>{Iova(0x12344000), Iova(0x12347fff)}));
  EXPECT_TRUE(what[0].leaf_only);
  EXPECT_EQ(what[1].scope, Scope::kDomain);
  EXPECT_EQ(what[1].domain, DomainId{0x78});
  EXPECT_EQ(what[2].scope, Scope::kAll);
}

// 10.4.7, 10.4.8.1: granularity 00 and address masks beyond MAMV are ignored, and reported as such.
TEST_F(CommandTest, IgnoredInvalidationsReportGranularityZero) {
  write64(kCcmd, kIcc);
  EXPECT_EQ(read64(kCcmd), 0U);
  write64(kIotlbAt, kIcc);
  EXPECT_EQ(read64(kIotlbAt), 0U);
  write64(kIva, 19);
  write64(kIotlbAt, kIcc | 3ULL << 60);
  EXPECT_EQ(read64(kIotlbAt), 3ULL << 60);
  EXPECT_TRUE(host_.invalidations().empty());
  write64(kIva, 18);
  write64(kIotlbAt, kIcc | 3ULL << 60);
  EXPECT_EQ(read64(kIotlbAt), 3ULL << 60 | 3ULL << 57);
  EXPECT_EQ(host_.invalidations().size(), 1U);
}

// ICC and IVT stay set until the invalidation has ended; until then the registers take no writes.
TEST_F(CommandTest, CommandsStaySetWhileParked) {
  host_.hold();
  write64(kCcmd, kIcc | 1ULL << 61);
  write64(kIotlbAt, kIcc | 1ULL << 60);
  unit_.poll();
  EXPECT_EQ(read64(kCcmd), kIcc | 1ULL << 61);
  EXPECT_EQ(read64(kIotlbAt), kIcc | 1ULL << 60);
  write64(kCcmd, 0);
  write32(kCcmd + 4, 0);
  write64(kIotlbAt, kIcc | 2ULL << 60);
  write64(kIva, 0x5000);
  EXPECT_EQ(read64(kCcmd), kIcc | 1ULL << 61);
  EXPECT_EQ(host_.invalidations().size(), 2U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(read64(kCcmd), 1ULL << 61 | 1ULL << 59);
  EXPECT_EQ(read64(kIotlbAt), 1ULL << 60 | 1ULL << 57);
}

// R10: with the queue on, the invalidation registers must not be used; a driver that does is told
// that nothing happened, and does not hang.
TEST_F(CommandTest, R10InvalidationRegistersWithQueueOn) {
  enable_queue();
  write64(kCcmd, kIcc | 1ULL << 61);
  EXPECT_EQ(read64(kCcmd), 1ULL << 61);
  write64(kIotlbAt, kIcc | 1ULL << 60);
  EXPECT_EQ(read64(kIotlbAt), 1ULL << 60);
  EXPECT_TRUE(host_.invalidations().empty());
}

TEST_F(CommandTest, SegmentGoesWithTheRequester) {
  host_.segment_number = 3;
  write64(kCcmd, kIcc | 3ULL << 61 | 0x90ULL << 16);
  EXPECT_EQ(host_.invalidations().at(0).requester, Requester::from_sid(0x90, 3));
}

// What was parked is forgotten at reset, and its late settling changes nothing.
TEST_F(CommandTest, ResetForgetsWhatWasParked) {
  host_.hold();
  turn_on(kTe);
  command(kSrtp);
  write64(kCcmd, kIcc | 1ULL << 61);
  unit_.reset();
  EXPECT_EQ(read64(kCcmd), 0U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(read64(kCcmd), 0U);
  EXPECT_EQ(host_.modes().back(), UnitMode::kOff);
}

}  // namespace
}  // namespace weir::vtd::test
