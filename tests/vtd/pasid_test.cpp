// SPDX-License-Identifier: Apache-2.0
//
// Scalable-mode structures: root, context, PASID directory, PASID entry (S1 to S3, S7, S10, S11,
// S13, S14, R9), each code with FPD off and on.
//
// Clauses of the manual: 9.2, 9.4, 9.5 and 9.6 (entries, S10, S11, S13), 7.1.3 (S1; its conditions
// by name), 3.14 and 3.15 (S14), 10.4.6 (R9).
#include <gtest/gtest.h>

#include "tests/vtd/scalable_fixture.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint64_t kContextAt = kContexts + kSid * 32;
constexpr std::uint64_t kFpd = 2;

class PasidTest : public ScalableTest {
 protected:
  using ScalableTest::ScalableTest;
};
class NarrowPasidTest : public ScalableTest {
 protected:
  // No feature but the second stage itself.
  NarrowPasidTest() : ScalableTest(Options{.scalable = true, .second_stage = true}) {
    set_scalable_context(kDirectory | 1);
  }
};

// S1: 38h SRT.1, 39h SRT.2, 3Ah SRT.3; no entry with an FPD has been read.
TEST_F(PasidTest, S1RootFaults) {
  set_second(0);
  ASSERT_EQ(code(request(0)), 0U);
  clear_bits(kRoot, 1);
  expect_code(request(0), 0x39);
  EXPECT_EQ(code(request(0, Access::kRead, 0x80)), 0x41U) << "the upper half is on its own";
  set_bits(kRoot, 1 | 0x800);
  expect_code(request(0), 0x3a);
  expect_code(request(0, Access::kRead, 0x80), 0x3a);  // one entry, whichever half is asked for
  set_root(kOutsideRam | kTtmScalable);
  expect_code(request(0), 0x38);
}

// S1: 40h SCT.1 is never silenced; 41h, 42h, 43h, 44h, 45h, 46h, 48h are.
TEST_F(PasidTest, S1ContextFaults) {
  set_second(0);
  host_.store(kRoot, kOutsideRam | 1);
  expect_code(request(0), 0x40);
  host_.store(kRoot, kContexts | 1);
  for (const std::uint64_t fpd : {std::uint64_t{0}, kFpd}) {
    const bool recorded = fpd == 0;
    set_scalable_context(kDirectory | fpd);
    expect_code(request(0), 0x41, recorded);
    set_scalable_context(kDirectory | 1 | fpd | 0x20);
    expect_code(request(0), 0x42, recorded);
    set_scalable_context(kDirectory | 1 | fpd, 1 << 21);
    expect_code(request(0), 0x42, recorded);
    set_scalable_context(kDirectory | 1 | fpd);
    Request translation = request(0);
    translation.address_type = AddressType::kTranslationRequest;
    expect_code(translation, 0x44, recorded);
    expect_code(with_pasid(0, 1), 0x45, recorded);
    // S10: PDTS 0 is a directory of 128 tables of 64 PASIDs.
    set_scalable_context(kDirectory | 0xd | fpd);
    EXPECT_NE(code(with_pasid(0, 0x1fff)), 0x46U);
    expect_code(with_pasid(0, 0x2000), 0x46, recorded);
    set_scalable_context(kDirectory | 0xd | fpd, 0x2000);
    expect_code(request(0), 0x48, recorded);
  }
}

TEST_F(PasidTest, S10DirectorySizeBoundsPasids) {
  for (std::uint64_t pdts = 0; pdts < 8; ++pdts) {
    set_scalable_context(kDirectory | pdts << 9 | 0xd);
    const std::uint32_t limit = 64U << (7 + pdts);
    EXPECT_NE(code(with_pasid(0, limit - 1)), 0x46U) << pdts;
    expect_code(with_pasid(0, limit), 0x46);
  }
}

// SCT.4: features that the unit does not have.
TEST_F(NarrowPasidTest, S1ContextEnablesWhatIsNotThere) {
  set_second(0);
  for (const std::uint64_t feature : {4U, 8U}) {
    set_scalable_context(kDirectory | 1 | feature);
    expect_code(request(0), 0x43);
    set_scalable_context(kDirectory | 3 | feature);
    expect_code(request(0), 0x43, false);
  }
}

// S1, S11: 50h SPD.1 and 58h SPT.1 are not silenced, what follows the entry is.
TEST_F(PasidTest, S1DirectoryAndEntryFaults) {
  set_second(0);
  for (const std::uint64_t fpd : {std::uint64_t{0}, kFpd}) {
    const bool recorded = fpd == 0;
    set_scalable_context(kOutsideRam | 0xd | fpd);
    expect_code(request(0), 0x50);
    set_scalable_context();
    host_.store(kDirectory, kPasidTable | fpd);
    expect_code(request(0), 0x51, recorded);
    for (unsigned bit = 2; bit < 12; ++bit) {
      host_.store(kDirectory, kPasidTable | 1 | fpd | std::uint64_t{1} << bit);
      expect_code(request(0), 0x52, recorded);
    }
    host_.store(kDirectory, kOutsideRam | 1 | fpd);
    expect_code(request(0), 0x58);
    host_.store(kDirectory, kPasidTable | 1);
    // S2, S3: an entry of zeros is not present; FPD counts even then.
    set_pasid(0, fpd, 0);
    expect_code(request(0), 0x59, recorded);
    set_second(0, fpd | 1 << 5);
    expect_code(request(0), 0x5a, recorded);
    for (unsigned word = 3; word < 8; ++word) {
      set_second(0, fpd);
      host_.store(entry_at(0) + word * 8, 0xdeadbeef);
      expect_code(request(0), 0x5a, recorded);
    }
    for (const std::uint64_t type : {0U, 5U, 6U, 7U}) {
      set_pasid(0, kSs4 | kAw48 | type << 6 | 1 | fpd, kDid | kPwsnp);
      expect_code(request(0), 0x5b, recorded);
    }
    set_pasid(0, kSs4 | kPgttSecond | 1 | fpd, kDid | kPwsnp);  // AW 0
    expect_code(request(0), 0x5b, recorded);
    set_pasid(0, kPgttFirst | 1 | fpd, kDid | kPwsnp, kFs4 | 2 << 2);  // FSPM 2
    expect_code(request(0), 0x5b, recorded);
  }
}

TEST_F(PasidTest, S11EveryReservedBitOfAnEntry) {
  // Bits that no field claims: q0 5, 11:10; q1 16…22, 30, 31; q2 6, 11:8.
  const std::uint64_t reserved[3] = {0xc20, 0xc07f0000, 0xf40};
  for (unsigned word = 0; word < 3; ++word)
    for (unsigned bit = 0; bit < 32; ++bit) {
      const std::uint64_t mask = std::uint64_t{1} << bit;
      if ((reserved[word] & mask) == 0) continue;
      set_second(0);
      set_bits(entry_at(0) + word * 8, mask);
      expect_code(request(0), 0x5a);
    }
  set_second(0);
  EXPECT_EQ(code(request(0)), 0U);
}

TEST_F(NarrowPasidTest, S11FieldsOfFeaturesThatAreNotThere) {
  const auto entry = [this] { set_pasid(0, kSs4 | kAw48 | kPgttSecond | 1, kDid); };
  entry();
  ASSERT_EQ(code(request(0)), 0U);
  const std::pair<unsigned, std::uint64_t> fields[] = {{0, 1 << 9}, {1, kPgsnp}, {1, kPwsnp},
                                                       {2, kSre},   {2, kEre},   {2, kEafe}};
  for (const auto& [word, bit] : fields) {
    entry();
    set_bits(entry_at(0) + word * 8, bit);
    expect_code(request(0), 0x5a);
  }
  set_pasid(0, kPgttFirst | 1, kDid, kFs4);
  expect_code(request(0), 0x5b);
}

// Requests without PASID use RID_PASID; those with one need only their own entry.
TEST_F(PasidTest, RidPasidIsTheContextsOwn) {
  set_scalable_context(kDirectory | 0xd, 5);
  expect_code(request(0), 0x59);
  set_second(5);
  EXPECT_EQ(code(request(0)), 0U);
  expect_code(with_pasid(0, 0), 0x59);
  EXPECT_EQ(code(with_pasid(0, 5)), 0U);
  EXPECT_EQ(code(with_pasid(0, 70)), 0x59U);
  set_first(70);
  EXPECT_EQ(code(with_pasid(0, 70)), 0U);
}

TEST_F(NarrowPasidTest, WithoutRpsRequestsUsePasid0) {
  set_scalable_context(kDirectory | 1, 5);
  set_pasid(0, kSs4 | kAw48 | kPgttSecond | 1, kDid);
  EXPECT_EQ(code(request(0)), 0U);
}

// S7: first stage, second stage and pass-through side by side on one unit, one function.
TEST_F(PasidTest, S7KindsSideBySide) {
  set_first(1);
  set_second(2);
  set_pasid(3, kPgttPass | kAw57 | 1, 9);
  EXPECT_EQ(translate(with_pasid(0x10, 1))->translate(0x10), Gpa(kFsPage + 0x10));
  EXPECT_EQ(translate(with_pasid(0x1010, 2))->translate(0x1010), Gpa(kSsPage + 0x10));
  const auto context = context_of(with_pasid(0, 3));
  ASSERT_TRUE(context);
  EXPECT_EQ(context->kind, iotlb::ContextKind::kPassThrough);
  EXPECT_EQ(context_of(with_pasid(0, 1))->pasid, 1U) << "first-stage entries belong to the PASID";
  EXPECT_EQ(context_of(with_pasid(0, 2))->pasid, iotlb::Context::kNoPasid)
      << "second-stage entries to the domain";
}

// S1: 78h, 7Ah, 7Bh, 84h, 85h, 86h of a second stage alone.
TEST_F(PasidTest, S1SecondStageFaults) {
  for (const std::uint64_t fpd : {std::uint64_t{0}, kFpd}) {
    const bool recorded = fpd == 0;
    set_second(0, fpd);
    set_second_stage();
    expect_code(request(std::uint64_t{1} << 48), 0x84, recorded);
    host_.store(kSs1, 1);
    expect_code(request(0, Access::kWrite), 0x85, recorded);
    host_.store(kSs1, 2);
    expect_code(request(0), 0x86, recorded);
    host_.store(kSs1, 3 | std::uint64_t{1} << 62);
    expect_code(request(0), 0x7a, recorded);
    host_.store(kSs2, kOutsideRam | 3);
    expect_code(request(0), 0x78, recorded);
    set_pasid(0, kOutsideRam | kAw48 | kPgttSecond | 1 | fpd, kDid | kPwsnp);
    expect_code(request(0), 0x7b, recorded);
  }
}

// S13: SSADE sets A in every entry used and D in the leaf of a write.
TEST_F(PasidTest, S13SecondStageAccessedAndDirty) {
  set_second(0);
  ASSERT_EQ(code(request(0)), 0U);
  EXPECT_EQ(host_.load(kSs1) & 0x300, 0U);
  set_second(0, 1 << 9);
  ASSERT_EQ(code(request(0)), 0U);
  for (const std::uint64_t table : {kSs4, kSs3, kSs2, kSs1})
    EXPECT_EQ(host_.load(table) & 0x300, 0x100U);
  ASSERT_EQ(code(request(0, Access::kWrite)), 0U);
  EXPECT_EQ(host_.load(kSs1) & 0x300, 0x300U);
  EXPECT_EQ(host_.load(kSs2) & 0x300, 0x100U);
  // A page that is read first does not keep its write permission while D is owed.
  EXPECT_FALSE(translate(request(0x2000))->cacheable().can_write());
  // 7Ch: without snooped walks no bit can be set.
  set_pasid(0, kSs4 | kAw48 | kPgttSecond | 1 | 1 << 9, kDid);
  EXPECT_EQ(code(request(0, Access::kWrite)), 0U) << "nothing is owed";
  expect_code(request(0x3000), 0x7c);
}

// S14: requests with PASID are translated wherever they go; identity does not lead into the range.
TEST_F(PasidTest, S14InterruptRangeWithPasid) {
  set_pasid(3, kPgttPass | kAw57 | 1, 9);
  EXPECT_EQ(code(with_pasid(0xfedff000, 3)), 0U);
  expect_code(with_pasid(0xfee00000, 3, Access::kWrite), 0x87);
  set_first(1);
  expect_code(with_pasid(0xfee00000, 1), 0x71);
  // An output there is refused, and only there.
  host_.store(kFs1, 0xfee00000 | 7);
  expect_code(with_pasid(0, 1), 0x87);
  host_.store(kFs1, kFsPage | 7);
}

// 83h: identity ends where addresses do.
TEST_F(NarrowPasidTest, S1PassThroughBeyondTheHardware) {
  set_pasid(0, kPgttPass | kAw48 | 1, 9);
  const auto context = context_of(request(0));
  ASSERT_TRUE(context);
  EXPECT_EQ(context->input_bits, 48);
  const auto leaf = unit_.walk(*context, request(std::uint64_t{1} << 48), scope());
  ASSERT_FALSE(leaf);
  EXPECT_EQ(leaf.error().code, 0x83U);
}

// R9: abort-DMA mode ends everything in silence, where the unit has it.
TEST_F(PasidTest, R9AbortDma) {
  set_root(kRoot | 0xc00);
  const auto fault = outcome(request(0));
  ASSERT_TRUE(fault);
  EXPECT_FALSE(fault->recorded);
  set_root(kRoot | 0x800);
  expect_code(request(0), 0x30);
}
TEST_F(NarrowPasidTest, R9AbortDmaNeedsAdms) {
  set_root(kRoot | 0xc00);
  expect_code(request(0), 0x30);
}

// S1: 5Ch and 5Dh are the PASID entry's own refusals.
TEST_F(PasidTest, S1ExecuteAndSupervisorRequests) {
  Request r = with_pasid(0, 1);
  set_first(1);
  r.execute = true;
  expect_code(r, 0x5c);
  r.execute = false;
  r.privileged = true;
  expect_code(r, 0x5d);
  set_first(1, kWpe | kSre | kEre);
  EXPECT_EQ(code(r), 0U);
  r.execute = true;
  EXPECT_EQ(code(r), 0U);
}

}  // namespace
}  // namespace weir::vtd::test
