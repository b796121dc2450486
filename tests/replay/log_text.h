// SPDX-License-Identifier: Apache-2.0
//
// Lines of a QEMU log made up on the spot, for tests of the replay. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "replay/replay_loop.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {

class LogText {
 public:
  // A device of bus 0 with source-id `sid` below 0x100.
  LogText& fill(unsigned sid, std::uint64_t iova, std::uint64_t entry, unsigned domain,
                std::uint64_t mask = 0xfff) {
    return access("vtd_iotlb_page_update IOTLB page update", sid, iova, entry, domain, mask);
  }
  LogText& hit(unsigned sid, std::uint64_t iova, std::uint64_t entry, unsigned domain,
               std::uint64_t mask = 0xfff) {
    return access("vtd_iotlb_page_hit IOTLB page hit", sid, iova, entry, domain, mask);
  }
  LogText& fault(unsigned sid, unsigned reason, std::uint64_t iova, bool write) {
    return line("vtd_dmar_fault sid 0x%x fault %u addr 0x%" PRIx64 " write %d", sid, reason, iova,
                write ? 1 : 0);
  }
  LogText& context(unsigned sid, std::uint64_t high, std::uint64_t low) {
    return line("vtd_iotlb_cc_update IOTLB context update bus 0x%x devfn 0x%x high 0x%" PRIx64
                " low 0x%" PRIx64 " gen 0 -> gen 1",
                sid >> 8, sid & 0xff, high, low);
  }
  LogText& reg(unsigned offset, unsigned size, std::uint64_t value) {
    return line("vtd_reg_write addr 0x%x size 0x%x value 0x%" PRIx64, offset, size, value);
  }
  LogText& descriptor(const char* type, std::uint64_t low, std::uint64_t high) {
    return line("vtd_inv_desc invalidate desc type %s high 0x%" PRIx64 " low 0x%" PRIx64, type,
                high, low);
  }
  LogText& wait() { return descriptor("wait", 0x200000025, 0x6a98004); }
  LogText& flush_domain(unsigned domain) {
    return descriptor("iotlb", 0x22 | std::uint64_t{domain} << 16, 0).wait();
  }
  LogText& flush_page(unsigned domain, std::uint64_t iova) {
    return descriptor("iotlb", 0x32 | std::uint64_t{domain} << 16, iova).wait();
  }
  template <typename... Arguments>
  LogText& line(const char* format, Arguments... arguments) {
    char text[256];
    std::snprintf(text, sizeof text, format, arguments...);
    text_ += text;
    text_ += '\n';
    return *this;
  }
  LogText& line(const char* words) {
    text_ += words;
    text_ += '\n';
    return *this;
  }

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] Result<Report, TraceError> replay(const ReplayOptions& options = {}) const {
    const ScratchFile file(text_);
    return replay_trace(file.path(), options);
  }
  // Replays, and expects that this is possible.
  [[nodiscard]] Report report(const ReplayOptions& options = {}) const {
    const auto result = replay(options);
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result ? *result : Report{};
  }

 private:
  LogText& access(const char* event, unsigned sid, std::uint64_t iova, std::uint64_t entry,
                  unsigned domain, std::uint64_t mask) {
    line("%s sid 0x%x iova 0x%" PRIx64 " slpte 0x%" PRIx64 " domain 0x%x", event, sid, iova, entry,
         domain);
    return line("vtd_dmar_translate dev %02x:%02x.%02x iova 0x%" PRIx64 " -> gpa 0x%" PRIx64
                " mask 0x%" PRIx64,
                sid >> 8, sid >> 3 & 0x1f, sid & 7, iova & ~mask, entry & 0xffffffffff000 & ~mask,
                mask);
  }

  std::string text_;
};

inline void expect_good(const Report& report) {
  EXPECT_TRUE(report.good()) << (report.differences.empty() ? "" : report.differences.front());
}

}  // namespace weir::replay
