// SPDX-License-Identifier: Apache-2.0
//
// A guest's ftrace as a whole input: captures of real guests, counted by another program too, and
// one made-up trace for each rule.

#include "replay/ftrace_replay.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "replay/replay_loop.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

struct Captured {
  Report report;
  nlohmann::json guest;  // of stats.json
};

Captured replayed(const std::string& name, const ReplayOptions& options = {}) {
  const auto report = replay_trace(capture(name + "/guest-ftrace.txt.xz"), options);
  EXPECT_TRUE(report.ok()) << report.error().to_string();
  std::ifstream stats(capture(name + "/stats.json"));
  return {report ? *report : Report{}, nlohmann::json::parse(stats)["guest"]};
}

void expect_as_counted(const Captured& c) {
  const Report& r = c.report;
  const GuestTrace& g = *r.guest_trace;
  EXPECT_TRUE(r.good()) << r.differences.front();
  EXPECT_EQ(r.stale, 0u);
  EXPECT_EQ(r.lines, c.guest["lines"].get<std::uint64_t>() + 12);  // its header
  EXPECT_EQ(g.maps, c.guest["events"]["map"]);
  EXPECT_EQ(g.unmaps, c.guest["events"]["unmap"]);
  EXPECT_EQ(g.iotlb_flushes, c.guest["qi"]["iotlb_inv"]);
  EXPECT_EQ(g.context_flushes, c.guest["qi"].value("cc_inv", 0));
  EXPECT_EQ(g.interrupt_flushes, c.guest["qi"]["iec_inv"]);
  // Had one map or unmap been taken for another domain's, these would not all be 0.
  EXPECT_EQ(g.unnamed, 0u);
  EXPECT_EQ(g.collisions, 0u);
  EXPECT_EQ(g.unmapped_nothing, 0u);
  EXPECT_EQ(g.flushes_added, 0u);
  EXPECT_EQ(g.named_by_flush + g.named_by_device + g.named_by_attachment + g.named_by_tables,
            g.maps + g.unmaps);
  EXPECT_EQ(r.stats.pieces(), g.after_map + g.before_flush + g.after_flush);
  EXPECT_EQ(r.current, g.after_map);
  EXPECT_EQ(r.legal_stale + r.stats.of(Outcome::kFaulted), g.before_flush + g.after_flush);
}

// Scalable mode: the flushes are those of first-stage tables.
TEST(FtraceReplayed, FirstStageAndLazy) {
  Captured c = replayed("vtd_sm_fs_lazy_612");
  c.guest["qi"]["iotlb_inv"] = c.guest["qi"]["p_iotlb_inv"];
  c.guest["qi"]["cc_inv"] = c.guest["qi"].value("pc_inv", 0) + c.guest["qi"].value("cc_inv", 0);
  expect_as_counted(c);
  EXPECT_EQ(c.report.front_end, "VT-d scalable mode, first stage");
  EXPECT_GT(c.report.legal_stale, 0u);
}

TEST(FtraceReplayed, StrictWithCachingMode) {
  const Captured c = replayed("vtd_leg_cm_vfu_612");
  expect_as_counted(c);
  // 1 GiB, 2 MiB and 4 KiB leaves: fewer than pages.
  EXPECT_EQ(c.report.leaves_written, 2858u);
  EXPECT_EQ(c.report.guest_trace->before_flush, 942u);
  EXPECT_EQ(c.report.guest_trace->after_flush, 942u);
  EXPECT_EQ(c.report.guest_trace->after_map, 72914u);
  EXPECT_EQ(c.report.guest_trace->left_out, 7 * ((1U << 18) - 4096u));
  EXPECT_EQ(c.report.presumed_contexts, 0u);
}

TEST(FtraceReplayed, Lazy) {
  const Captured c = replayed("vtd_leg_lazy_612");
  expect_as_counted(c);
  EXPECT_EQ(c.report.guest_trace->left_out, 0u);
  // Until the queue of unmapped addresses is flushed, the cache still has most of them.
  EXPECT_GT(c.report.legal_stale, 5000u);
  EXPECT_EQ(c.report.guest_trace->after_flush, c.report.guest_trace->unmaps);
}

TEST(FtraceReplayed, WithoutACacheNothingIsLegalStale) {
  const Captured c = replayed("vtd_leg_lazy_612", {.caches = {.entries = 0}});
  expect_as_counted(c);
  EXPECT_EQ(c.report.legal_stale, 0u);
  EXPECT_EQ(c.report.hits, 0u);
}

TEST(FtraceReplayed, LostFlushesAreStale) {
  std::uint64_t seen = 0;
  const Captured c =
      replayed("vtd_leg_lazy_612", {.lose = [&seen](const InvalidationDescriptor& descriptor) {
                 return descriptor.type() == kIotlbDescriptor && ++seen % 4 == 0;
               }});
  EXPECT_GT(c.report.stale, 0u);
  EXPECT_FALSE(c.report.good());
}

// Lines of an ftrace on processor 0, or on `cpu` where that is set.
class Trace {
 public:
  Trace& on(unsigned cpu) {
    cpu_ = cpu;
    return *this;
  }
  Trace& line(const std::string& event) {
    text_ += "  task-1  [00" + std::to_string(cpu_) + "] d..1.   1.00000" +
             std::to_string(lines_++ % 10) + ": " + event + "\n";
    return *this;
  }
  Trace& map(const std::string& first, const std::string& end, const std::string& gpa,
             std::uint64_t size) {
    return line("map: IOMMU: iova=" + first + " - " + end + " paddr=" + gpa +
                " size=" + std::to_string(size));
  }
  Trace& unmap(const std::string& first, const std::string& end, std::uint64_t size) {
    return line("unmap: IOMMU: iova=" + first + " - " + end + " size=" + std::to_string(size) +
                " unmapped_size=" + std::to_string(size));
  }
  Trace& attach(const std::string& device, unsigned domain) {
    line("cache_tag_assign: dmar0/dmar0 type iotlb did " + std::to_string(domain) +
         " pasid 0 ref 1");
    return line("attach_device_to_domain: IOMMU: device=0000:" + device);
  }
  // `domain` one hexadecimal digit.
  Trace& flush_page(char domain, const std::string& iova) {
    return line(std::string("qi_submit: iotlb_inv dmar0: 0x") + domain + "00f2 " + iova +
                " 0x0 0x0");
  }
  Trace& flush_domain(char domain) {
    return line(std::string("qi_submit: iotlb_inv dmar0: 0x") + domain + "00e2 0x0 0x0 0x0");
  }
  Trace& dma(const char* event, const char* device, const char* dir, const char* iova) {
    const std::string phys = std::string(event) == "dma_map_page" ? " phys_addr=5000" : "";
    return line(std::string(event) + ": 0000:" + device + " dir=" + dir + " dma_addr=" + iova +
                " size=64" + phys + " attrs=");
  }

  [[nodiscard]] Result<Report, TraceError> replay() const {
    const ScratchFile file(text_);
    return replay_trace(file.path(), {});
  }
  [[nodiscard]] Report report() const {
    const auto result = replay();
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    if (!result) return {};
    EXPECT_TRUE(result->good()) << result->differences.front();
    return *result;
  }
  void refused(std::uint64_t at, const std::string& cause) const {
    const auto result = replay();
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().line, at);
    EXPECT_NE(result.error().cause.find(cause), std::string::npos) << result.error().to_string();
  }

 private:
  std::string text_;
  unsigned cpu_ = 0;
  unsigned lines_ = 0;
};

TEST(FtraceRules, APageSelectiveFlushNamesTheDomain) {
  // The same address in two domains, at the same time, on two processors.
  const Report r = Trace()
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .on(1)
                       .map("0x1000", "0x2000", "0x6000", 4096)
                       .flush_page('4', "0x1000")
                       .on(0)
                       .flush_page('3', "0x1000")
                       .unmap("0x1000", "0x2000", 4096)
                       .flush_page('3', "0x1000")
                       .report();
  EXPECT_EQ(r.guest_trace->named_by_flush, 3u);
  EXPECT_EQ(r.guest_trace->collisions, 0u);
  EXPECT_EQ(r.presumed_contexts, 2u);  // no line names a device
  EXPECT_EQ(r.guest_trace->after_flush, 1u);
  EXPECT_EQ(r.current, 2u);
  EXPECT_EQ(r.legal_stale, 1u);
}

TEST(FtraceRules, ADeviceNamesItsDomainAndTheDirection) {
  const Report r = Trace()
                       .attach("00:02.0", 3)
                       .attach("00:03.0", 4)
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .dma("dma_map_page", "00:02.0", "FROM_DEVICE", "1040")
                       .map("0x1000", "0x2000", "0x6000", 4096)
                       .dma("dma_map_page", "00:03.0", "TO_DEVICE", "1040")
                       .unmap("0x1000", "0x2000", 4096)
                       .dma("dma_unmap_page", "00:03.0", "TO_DEVICE", "1040")
                       .flush_domain('4')
                       .report();
  EXPECT_EQ(r.guest_trace->named_by_device, 3u);
  EXPECT_EQ(r.guest_trace->with_direction, 2u);
  EXPECT_EQ(r.guest_trace->collisions, 0u);
  EXPECT_EQ(r.presumed_contexts, 0u);
  EXPECT_EQ(r.leaves_removed, 1u);
}

TEST(FtraceRules, AnAttachmentNamesWhatWasMappedForIt) {
  const Report r = Trace().map("0x0", "0x1000000", "0x0", 16 << 20).attach("00:1f.0", 9).report();
  EXPECT_EQ(r.guest_trace->named_by_attachment, 1u);
  EXPECT_EQ(r.leaves_written, 8u);  // of 2 MiB
  EXPECT_EQ(r.guest_trace->after_map, 4096u);
  EXPECT_EQ(r.guest_trace->left_out, 0u);
}

TEST(FtraceRules, AnUnmapThatNothingNamesIsOfTheOnlyDomainThatHasIt) {
  const Report r = Trace()
                       .map("0x1000", "0x3000", "0x5000", 8192)
                       .flush_page('3', "0x1000")
                       .flush_page('3', "0x2000")
                       .on(1)
                       .unmap("0x1000", "0x3000", 8192)
                       .report();
  EXPECT_EQ(r.guest_trace->named_by_tables, 1u);
  EXPECT_EQ(r.leaves_removed, 2u);
  EXPECT_EQ(r.legal_stale, 1u);  // never flushed
  EXPECT_EQ(r.guest_trace->after_flush, 0u);
}

TEST(FtraceRules, WhatNothingNamesSharesOneDomainAndEveryFlush) {
  const Report r = Trace()
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .map("0x1000", "0x2000", "0x6000", 4096)
                       .unmap("0x1000", "0x2000", 4096)
                       .unmap("0x8000", "0x9000", 4096)
                       .flush_domain('4')
                       .report();
  EXPECT_EQ(r.guest_trace->unnamed, 4u);
  EXPECT_EQ(r.guest_trace->collisions, 1u);
  EXPECT_EQ(r.guest_trace->unmapped_nothing, 1u);
  EXPECT_EQ(r.guest_trace->iotlb_flushes, 1u);
  EXPECT_EQ(r.guest_trace->flushes_added, 1u);
  EXPECT_EQ(r.guest_trace->after_flush, 1u);
}

TEST(FtraceRules, LeavesAreAsLargeAsAddressesAllow) {
  const Report r = Trace()
                       .map("0x40000000", "0x80201000", "0x80000000", (1U << 30) + 0x201000)
                       .flush_page('3', "0x40000000")
                       .report();
  EXPECT_EQ(r.leaves_written, 3u);  // 1 GiB, 2 MiB, 4 KiB
  EXPECT_EQ(r.guest_trace->after_map, FtraceReplay::kMostAccessesPerMap);
  EXPECT_EQ(r.guest_trace->left_out, (1U << 18) + 513 - FtraceReplay::kMostAccessesPerMap);
}

TEST(FtraceRules, ADeviceThatChangesItsDomainSeesTheNewOne) {
  const Report r = Trace()
                       .attach("00:02.0", 3)
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .dma("dma_map_page", "00:02.0", "TO_DEVICE", "1000")
                       .attach("00:02.0", 4)
                       .map("0x1000", "0x2000", "0x6000", 4096)
                       .dma("dma_map_page", "00:02.0", "TO_DEVICE", "1000")
                       .report();
  EXPECT_EQ(r.guest_trace->collisions, 0u);
  EXPECT_EQ(r.guest_trace->flushes_added, 1u);
  EXPECT_EQ(r.current, 2u);
}

TEST(FtraceRules, OtherCachesAreCountedAndNotReplayed) {
  const Report r = Trace()
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .line("qi_submit: iec_inv dmar0: 0x4 0x0 0x0 0x0")
                       .line("qi_submit: dev_tlb_inv dmar0: 0x10000000003 0xffff8000 0x0 0x0")
                       .report();
  EXPECT_EQ(r.guest_trace->interrupt_flushes, 1u);
  EXPECT_EQ(r.guest_trace->device_tlb_flushes, 1u);
  EXPECT_EQ(r.waits.count, 0u);
}

TEST(FtraceRefused, WithItsLineAndCause) {
  const auto page = [] { return Trace().map("0x1000", "0x2000", "0x5000", 4096); };
  page()
      .flush_domain('3')
      .line("qi_submit: iotlb_inv dmar1: 0x400e2 0x0 0x0 0x0")
      .refused(3, "second IOMMU");
  Trace().flush_domain('3').refused(1, "no iommu:map");
  page().map("0x1800", "0x2800", "0x5000", 4096).refused(2, "4 KiB");
  page().map("0x1000", "0x2000", "0x400000000000", 4096).refused(2, "beyond");
  page().map("0x1000000000000", "0x1000000001000", "0x5000", 4096).refused(2, "beyond");
  page().map("0x0", "0x10000001000", "0x5000", 0x10000001000).refused(2, "more pages");
  page().line("map: IOMMU: iova=0x1000 - 0x20").refused(2, "map:");
}

TEST(FtraceRefused, AnUnmapOfEverythingIsNoMoreWorkThanWhatIsMapped) {
  const Report r = Trace()
                       .map("0x1000", "0x2000", "0x5000", 4096)
                       .flush_page('3', "0x1000")
                       .unmap("0x0", "0x8000000000000000", std::uint64_t{1} << 63)
                       .report();
  EXPECT_EQ(r.leaves_removed + r.guest_trace->unmapped_nothing, 1u);
}

}  // namespace
}  // namespace weir::replay
