// SPDX-License-Identifier: Apache-2.0
//
// The rules by which a QEMU log becomes a model guest's doings, one small log each.

#include <gtest/gtest.h>

#include "tests/replay/log_text.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kRead = 1;
constexpr std::uint64_t kWrite = 2;
constexpr std::uint64_t kLarge = 0x80;
constexpr std::uint64_t kMask2m = 0x1fffff;
constexpr std::uint64_t kMask1g = 0x3fffffff;
constexpr unsigned kNvme = 0x10;

// A context of domain 3 with four levels, its tables at a place of the traced guest's.
LogText started() {
  LogText log;
  return log.context(kNvme, 0x302, 0x7afa001);
}

TEST(ReplayRules, AFillWritesTheLeafAndAHitChangesNothing) {
  const Report r = started()
                       .fill(kNvme, 0xfffff010, 0x1fe47003, 3)
                       .hit(kNvme, 0xfffff020, 0x1fe47003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.translations.count, 2u);
  EXPECT_EQ(r.hits, 1u);
  EXPECT_EQ(r.misses(), 1u);
  EXPECT_EQ(r.leaves_written, 1u);
  EXPECT_EQ(r.presumed_leaves, 0u);
  EXPECT_EQ(r.contexts_written, 1u);
  EXPECT_EQ(r.stats.references, 4u);
  EXPECT_EQ(r.current, 2u);
}

TEST(ReplayRules, ALogMayBeginInTheMiddle) {
  LogText log;
  const Report r = log.hit(kNvme, 0xfffff010, 0x1fe47003, 3)
                       .hit(0x18, 0xfffff010, 0x1fe48003, 4)
                       .flush_page(4, 0xfffff000)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.translations.count, 2u);
  EXPECT_EQ(r.hits, 0u);
  EXPECT_EQ(r.presumed_leaves, 2u);
  EXPECT_EQ(r.presumed_contexts, 2u);
  EXPECT_EQ(r.waits.count, 1u);
}

TEST(ReplayRules, AnAccessReadsWhereItMayElseWrites) {
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5000 | kWrite, 3)
                       .fill(kNvme, 0x2000, 0x6000 | kRead, 3)
                       .fault(kNvme, 5, 0x2000, true)
                       .fault(kNvme, 6, 0x1000, false)
                       .hit(kNvme, 0x1000, 0x5000 | kWrite, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.faults.count, 2u);
  EXPECT_EQ(r.leaves_removed, 0u);  // neither leaf allowed what faulted
  const auto write = r.fault_reasons.find({std::uint16_t{5}, FaultReason::kNoWritePermission});
  ASSERT_NE(write, r.fault_reasons.end());
  EXPECT_EQ(write->second, 1u);
}

TEST(ReplayRules, AFaultTakesThePermissionThenTheLeaf) {
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5000 | kRead | kWrite, 3)
                       .flush_domain(3)
                       .fault(kNvme, 5, 0x1008, true)
                       .fault(kNvme, 6, 0x1008, false)
                       .fill(kNvme, 0x1000, 0x7000 | kRead | kWrite, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.faults.count, 2u);
  EXPECT_EQ(r.leaves_removed, 2u);
  EXPECT_EQ(r.current, 2u);
}

TEST(ReplayRules, AFaultMayBeWhereNothingEverWas) {
  const Report r = started()
                       .fault(kNvme, 5, 0x1000, true)
                       .fault(kNvme, 6, 0xfff00000, false)
                       .fault(kNvme, 4, std::uint64_t{1} << 48, false)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.faults.count, 3u);
}

TEST(ReplayRules, ARemappedPageIsOverwritten) {
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .flush_page(3, 0x1000)
                       .fill(kNvme, 0x1000, 0x6003, 3)
                       .hit(kNvme, 0x1000, 0x6003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.leaves_written, 2u);
  EXPECT_EQ(r.leaves_removed, 1u);
  EXPECT_EQ(r.hits, 1u);
  const auto& ranges = r.stats.invalidations[static_cast<std::size_t>(iotlb::Scope::kRange)];
  EXPECT_EQ(ranges.commands, 1u);
  EXPECT_EQ(ranges.removed, 1u);
}

TEST(ReplayRules, AHitBeforeACompletedInvalidationIsLegalStale) {
  // QEMU refilled by chance; here the entry is still there, and may be.
  LogText log = started();
  log.fill(kNvme, 0x1000, 0x5003, 3).fill(kNvme, 0x1000, 0x6003, 3);
  const Report before = log.report();
  EXPECT_EQ(before.legal_stale, 1u);
  EXPECT_EQ(before.stale, 0u);
  EXPECT_EQ(before.translations.different, 1u);
  EXPECT_FALSE(before.good());
  // The same, queued but not waited for: still not completed.
  LogText queued = started();
  queued.fill(kNvme, 0x1000, 0x5003, 3).descriptor("iotlb", 0x30032, 0x1000);
  expect_good(queued.fill(kNvme, 0x1000, 0x6003, 3).report());
}

TEST(ReplayRules, ALostInvalidationIsSeenAsStale) {
  ReplayOptions options;
  options.lose = [](const InvalidationDescriptor& d) { return d.type() == kIotlbDescriptor; };
  // The change must come before the flush, or its completion would not cover it: a fault shows one.
  // The faulting access itself still finds the entry, and may.
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .fill(kNvme, 0x2000, 0x5003, 3)
                       .fault(kNvme, 6, 0x1000, false)
                       .flush_domain(3)
                       .fill(kNvme, 0x1000, 0x6003, 3)
                       .report(options);
  EXPECT_EQ(r.stale, 1u);
  EXPECT_EQ(r.legal_stale, 1u);
  EXPECT_FALSE(r.good());
}

TEST(ReplayRules, PageSizesReplaceEachOther) {
  const std::uint64_t at = 0x40000000;
  const Report r = started()
                       .fill(kNvme, at + 0x5010, 0x80005003, 3)
                       .flush_domain(3)
                       .fill(kNvme, at + 0x5010, 0x40000083, 3, kMask2m)
                       .flush_domain(3)
                       .fill(kNvme, at + 0x5010, 0x80000083, 3, kMask1g)
                       .hit(kNvme, at + 0x12345678, 0x80000083, 3, kMask1g)
                       .flush_domain(3)
                       .fill(kNvme, at + 0x201010, 0x40200000 | kLarge | kRead, 3, kMask2m)
                       .flush_domain(3)
                       .fill(kNvme, at + 0x5010, 0x80006003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.translations.count, 6u);
  EXPECT_EQ(r.page_sizes_different, 0u);
  EXPECT_EQ(r.hits, 1u);
}

TEST(ReplayRules, ThreeLevelsAsTheContextSays) {
  LogText log;
  const Report r = log.context(kNvme, 0x301, 0x7afa001)
                       .fill(kNvme, 0x7ffffff000, 0x5003, 3)
                       .fault(kNvme, 4, 0x8000000000, false)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.stats.references, 3u);
}

TEST(ReplayRules, ADomainWithOtherTablesHasOtherLeaves) {
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .descriptor("context-cache", 0x1000030031, 0)
                       .flush_domain(3)
                       .context(kNvme, 0x302, 0x9990001)
                       .fault(kNvme, 6, 0x1000, false)
                       .fill(kNvme, 0x2000, 0x6003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.contexts_written, 2u);
  const auto& devices =
      r.stats.invalidations[static_cast<std::size_t>(iotlb::Scope::kContextDevice)];
  EXPECT_EQ(devices.commands, 1u);
}

TEST(ReplayRules, PassThroughComesAndGoes) {
  LogText log;
  const Report r =
      log.context(kNvme, 0x102, 0x9)
          .line("vtd_translate_pt source id 0x10, iova 0x7bfe123")
          .line("vtd_dmar_translate dev 00:02.00 iova 0x7bfe000 -> gpa 0x7bfe000 mask 0xfff")
          .descriptor("context-cache", 0x1000010031, 0)
          .flush_domain(1)
          .context(kNvme, 0x202, 0x8005001)
          .fill(kNvme, 0x7bfe000, 0x5003, 2)
          .report();
  expect_good(r);
  EXPECT_EQ(r.stats.of(Outcome::kPassedThrough), 1u);
  EXPECT_EQ(r.stats.of(Outcome::kWalked), 1u);
}

TEST(ReplayRules, AbsentEntriesFault) {
  const Report r = started()
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .descriptor("context-cache", 0x11, 0)
                       .flush_domain(3)
                       .line("vtd_ce_not_present Context entry bus 0 devfn 16 not present")
                       .fault(kNvme, 2, 0x1000, false)
                       .line("vtd_re_not_present Root entry bus 0 not present")
                       .fault(kNvme, 1, 0x1000, true)
                       .context(kNvme, 0x302, 0x7afa001)
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.faults.count, 2u);
}

TEST(ReplayRules, BadContextWordsFaultAsLogged) {
  LogText log;
  const Report r = log.context(kNvme, 0x307, 0x7afa001)  // AW that does not exist
                       .fault(kNvme, 3, 0x1000, false)
                       .context(0x18, 0x402, 0x7afa00d)  // TT=11
                       .fault(0x18, 3, 0x1000, false)
                       .context(0x20, 0x1000000502, 0x7afa001)  // reserved bits
                       .fault(0x20, 11, 0x1000, true)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.faults.count, 3u);
}

}  // namespace
}  // namespace weir::replay
