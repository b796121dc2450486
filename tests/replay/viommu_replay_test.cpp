// SPDX-License-Identifier: Apache-2.0
//
// A whole capture of a Linux guest behind a virtio-iommu through the unit: every request accepted,
// every translation QEMU's, no fault that QEMU did not have; and how its log is read.
#include <gtest/gtest.h>

#include <iostream>

#include "replay/replay_loop.h"
#include "replay/viommu_log.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

using Organisation = CacheOptions::Organisation;

// Of the log: `grep -c virtio_iommu_translate_out`, and the translate lines beyond them, all of
// them writes into the window of the message-signalled interrupts. One of these ends the log, where
// it cannot be told from an access that is cut off.
constexpr std::uint64_t kTranslations = 59781;
constexpr std::uint64_t kMessages = 61471 - 59781 - 1;

Report replayed(const std::string& name, const CacheOptions& caches = {.entries = 1024}) {
  const auto report = replay_trace(capture(name), {.caches = caches});
  EXPECT_TRUE(report.ok()) << report.error().to_string();
  return report ? *report : Report{};
}

void expect_as_logged(const Report& r) {
  EXPECT_TRUE(r.good()) << (r.differences.empty() ? "" : r.differences.front());
  EXPECT_EQ(r.translations.count, kTranslations + kMessages);
  EXPECT_EQ(r.translations.different, 0u);
  EXPECT_EQ(r.faults.count, 0u);
  EXPECT_EQ(r.descriptors_refused, 0u);
  EXPECT_EQ(r.stale, 0u);
  EXPECT_EQ(r.legal_stale, 0u) << "an UNMAP completes before anything else happens";
  EXPECT_EQ(r.current, kTranslations);
  EXPECT_EQ(r.presumed_leaves + r.presumed_contexts, 0u);
  EXPECT_EQ(r.traced_fills, kTranslations) << "QEMU has no cache here";
  EXPECT_EQ(r.stats.of(Outcome::kFaulted), 0u);
  EXPECT_EQ(r.stats.of(Outcome::kPassedThrough), 0u);
  EXPECT_EQ(r.stats.of(Outcome::kInterrupt), kMessages);
  EXPECT_EQ(r.contexts_written, 7u);
}

TEST(ViommuReplay, EveryTranslationIsQemusWhateverTheCache) {
  const Report ours = replayed("viommu_lazy_612/host-qemu.log.xz");
  expect_as_logged(ours);
  expect_as_logged(replayed("viommu_lazy_612/host-qemu.log.xz", {.entries = 0}));
  const Report lru = replayed("viommu_lazy_612/host-qemu.log.xz",
                              {.organisation = Organisation::kReference, .entries = 0});
  expect_as_logged(lru);
  EXPECT_LE(ours.hits, lru.hits);
  // stats.json of the capture: an LRU of 1024 pages of 4 KiB that honours invalidations hits 70.84
  // %. Mappings of 64 KiB make one entry here.
  const double rate = static_cast<double>(ours.hits) / static_cast<double>(kTranslations);
  std::cout << "hit rate " << 100 * rate << " %\n";
  EXPECT_GT(rate, 0.7084);
  EXPECT_LT(rate, 0.80);
}

TEST(ViommuReplay, AnExcerptThatBeginsInTheMiddle) {
  const Report r = replayed("samples/viommu_lazy_612.host.log");
  EXPECT_TRUE(r.good()) << (r.differences.empty() ? "" : r.differences.front());
  EXPECT_EQ(r.translations.count, 3u) << "the fourth is cut off";
  EXPECT_GT(r.presumed_contexts, 0u);
}

Report replayed_text(std::string_view text) {
  const ScratchFile file(text);
  const auto report = replay_trace(file.path(), {});
  EXPECT_TRUE(report.ok()) << report.error().to_string();
  return report ? *report : Report{};
}

constexpr std::string_view kStart =
    "virtio_iommu_attach domain=1 endpoint=16\n"
    "virtio_iommu_map domain=1 virt_start=0x1000 virt_end=0x1fff phys_start=0x8000 flags=1\n";

TEST(ViommuReplay, ATranslationThatIsAnotherIsADifference) {
  const Report r = replayed_text(std::string(kStart) +
                                 "virtio_iommu_translate mr=r rid=16 addr=0x1010 flag=1\n"
                                 "virtio_iommu_translate_out 0x1010 -> 0x9010 for sid=16\n");
  EXPECT_EQ(r.translations.different, 1u);
  EXPECT_FALSE(r.good());
}

TEST(ViommuReplay, FaultsAreComparedByTheirReason) {
  const std::string fault =
      std::string(kStart) +
      "virtio_iommu_translate mr=r rid=16 addr=0x1010 flag=2\n"
      "virtio_iommu_report_fault FAULT reason=2 flags=258 endpoint=16 address =0x1010\n"
      "virtio_iommu_translate mr=r rid=16 addr=0x2010 flag=1\n"
      "virtio_iommu_report_fault FAULT reason=2 flags=256 endpoint=16 address =0x2010\n";
  const Report r = replayed_text(fault);
  EXPECT_EQ(r.faults.count, 2u);
  EXPECT_TRUE(r.good()) << r.differences.front();
  const Report other = replayed_text(
      std::string(kStart) + "virtio_iommu_translate mr=r rid=16 addr=0x1010 flag=1\n" +
      "virtio_iommu_report_fault FAULT reason=2 flags=256 endpoint=16 address =0x1010\n");
  EXPECT_EQ(other.faults.different, 1u);
}

TEST(ViommuReplay, WhatIsNotAttachedBypasses) {
  const Report r = replayed_text("virtio_iommu_translate mr=r rid=16 addr=0x1010 flag=1\n" +
                                 std::string(kStart));
  EXPECT_TRUE(r.good()) << r.differences.front();
  EXPECT_EQ(r.stats.of(Outcome::kPassedThrough), 1u);
}

TEST(ViommuReplay, ARequestThatIsRefusedIsADifference) {
  const Report r = replayed_text(
      std::string(kStart) +
      "virtio_iommu_map domain=1 virt_start=0x1000 virt_end=0x1fff phys_start=0x0 flags=1\n");
  EXPECT_EQ(r.descriptors_refused, 1u);
  EXPECT_FALSE(r.good());
}

TEST(ViommuLog, BadLinesNameTheirPlace) {
  for (const char* text : {"virtio_iommu_attach domain=x endpoint=16\n",
                           "virtio_iommu_translate mr=r rid=16 addr=0x10\n",
                           "virtio_iommu_translate_out 0x1010 -> 0x9010 for sid=16\n",
                           "virtio_iommu_map domain=1 virt_start=0x1000\n"}) {
    const ScratchFile file(text);
    const auto report = replay_trace(file.path(), {});
    ASSERT_FALSE(report.ok()) << text;
    EXPECT_EQ(report.error().line, 1u) << text;
  }
}

}  // namespace
}  // namespace weir::replay
