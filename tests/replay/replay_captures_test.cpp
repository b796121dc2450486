// SPDX-License-Identifier: Apache-2.0
//
// Whole captures of real guests through the unit: every translation and every fault as QEMU logged
// it, hits between what QEMU's cache had and what no cache that honours invalidations can exceed.

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "replay/replay_loop.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

using Organisation = CacheOptions::Organisation;

struct Capture {
  const char* name;
  std::uint64_t translations, faults, fault_records, waits;
  std::uint64_t hits, fills;  // QEMU's
  friend std::ostream& operator<<(std::ostream& out, const Capture& c) { return out << c.name; }
};

constexpr Capture kCaptures[] = {
    {"vtd_leg_lazy_612", 59530, 1094, 6, 208, 41826, 17704},
    {"vtd_leg_cm_strict_61", 57857, 1094, 6, 20449, 40637, 17220},
    {"vtd_leg_vfio_612", 22672, 13325, 14, 2735, 19097, 3575},
    {"vtd_pt_612", 1265, 0, 0, 190, 827, 437},
    {"vtd_leg_cm_vfu_612", 2829, 453, 10, 2075, 1758, 1071},
    {"vtd_bypass_pxb_612", 9738, 0, 0, 39, 6715, 3023},
    {"vtd_sm_fs_lazy_612", 59443, 1094, 6, 202, 41762, 17681},
};

Report replayed(const Capture& c, const CacheOptions& caches) {
  const auto report =
      replay_trace(capture(std::string(c.name) + "/host-qemu.log.xz"), {.caches = caches});
  EXPECT_TRUE(report.ok()) << report.error().to_string();
  return report ? *report : Report{};
}

void expect_as_logged(const Report& r, const Capture& c) {
  EXPECT_TRUE(r.good()) << (r.differences.empty() ? "" : r.differences.front());
  EXPECT_EQ(r.translations.count, c.translations);
  EXPECT_EQ(r.translations.different, 0u);
  EXPECT_EQ(r.faults.count, c.faults);
  EXPECT_EQ(r.faults.different, 0u);
  EXPECT_EQ(r.fault_records.count, c.fault_records);
  EXPECT_EQ(r.fault_records.different, 0u);
  EXPECT_EQ(r.waits.count, c.waits);
  EXPECT_EQ(r.page_sizes_different, 0u);
  EXPECT_EQ(r.traced_hits, c.hits);
  EXPECT_EQ(r.traced_fills, c.fills);
  EXPECT_EQ(r.stale, 0u);
  // A log shows an unmap only where something faults on it, so nothing is left to be legal-stale.
  EXPECT_EQ(r.legal_stale, 0u);
  EXPECT_EQ(r.current, c.translations);
  EXPECT_EQ(r.presumed_leaves + r.presumed_contexts, 0u);
  // L9: each request is one page-sized piece, and ends once.
  EXPECT_EQ(r.stats.pieces(), c.translations + c.faults);
  EXPECT_EQ(r.stats.of(Outcome::kFaulted), c.faults);
  EXPECT_EQ(r.stats.of(Outcome::kPassedThrough), c.translations - c.hits - c.fills);
  EXPECT_EQ(r.stats.waits_parked, 0u);
}

class Replayed : public testing::TestWithParam<Capture> {};

TEST_P(Replayed, AsLoggedWithHitsBetweenQemusAndAnExactCaches) {
  const Capture& c = GetParam();
  const Report ours = replayed(c, {.entries = 1024});
  expect_as_logged(ours, c);
  const Report lru = replayed(c, {.organisation = Organisation::kReference, .entries = 1024});
  expect_as_logged(lru, c);
  const Report unlimited = replayed(c, {.organisation = Organisation::kReference, .entries = 0});
  expect_as_logged(unlimited, c);

  EXPECT_EQ(ours.stats.refused_fills, 0u);
  EXPECT_GE(static_cast<double>(ours.hits), 0.999 * static_cast<double>(c.hits));
  EXPECT_LE(ours.hits, unlimited.hits);
  EXPECT_GE(lru.hits, c.hits);
  EXPECT_LE(lru.hits, unlimited.hits);
  EXPECT_EQ(unlimited.stats.evictions, 0u);
}

TEST_P(Replayed, WithoutACacheEveryAccessWalks) {
  const Capture& c = GetParam();
  const Report r = replayed(c, {.entries = 0});
  expect_as_logged(r, c);
  EXPECT_EQ(r.hits, 0u);
  EXPECT_EQ(r.stats.of(Outcome::kWalked), c.hits + c.fills);
}

INSTANTIATE_TEST_SUITE_P(Captures, Replayed, testing::ValuesIn(kCaptures),
                         [](const auto& test) { return std::string(test.param.name); });

// An unfaithful driver: the check must notice, or it checks nothing.
TEST(ReplayedWithLostInvalidations, IsStale) {
  std::uint64_t seen = 0;
  ReplayOptions options;
  options.lose = [&seen](const InvalidationDescriptor& descriptor) {
    return descriptor.type() == kIotlbDescriptor && ++seen % 4 == 0;
  };
  const auto report = replay_trace(capture("vtd_leg_cm_strict_61/host-qemu.log.xz"), options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  EXPECT_GT(report->stale, 0u);
  EXPECT_GT(report->translations.different, 0u);
  EXPECT_FALSE(report->good());
  EXPECT_EQ(report->differences.size(), 10u);
}

TEST(ReplayedSamples, ExcerptsBeginInTheMiddle) {
  for (const char* name : {"vtd_leg_lazy_612.host.log", "vtd_leg_lazy_612.faults.log",
                           "vtd_sm_fs_lazy_612.host.log"}) {
    SCOPED_TRACE(name);
    const std::string path = capture(std::string("samples/") + name);
    const auto report = replay_trace(path, {});
    ASSERT_TRUE(report.ok()) << report.error().to_string();
    EXPECT_TRUE(report->good()) << report->differences.front();
    EXPECT_GT(report->translations.count + report->faults.count, 10u);
  }
}

}  // namespace
}  // namespace weir::replay
