// SPDX-License-Identifier: Apache-2.0
//
// Register writes of a log: bring-up, fault registers, register-based invalidation, reset; and logs
// that cannot be replayed.

#include <gtest/gtest.h>

#include "tests/replay/log_text.h"

namespace weir::replay {
namespace {

constexpr unsigned kNvme = 0x10;
constexpr unsigned kEdu = 0x30;

// As Linux does it: queue, root pointer, translation.
LogText brought_up(bool queue = true) {
  LogText log;
  log.reg(0x88, 4, 0).reg(0x90, 8, 0x6a9f000);
  if (queue) log.reg(0x18, 4, 0x4000000);
  const std::uint64_t kept = queue ? 0x4000000 : 0;
  log.reg(0x20, 8, 0x74e0000).reg(0x18, 4, 0x40000000 | kept);
  log.line("vtd_reg_dmar_root addr 0x74e0000 scalable 0");
  log.reg(0x3c, 4, 0x21).reg(0x40, 4, 0xfee00000).reg(0x44, 4, 0).reg(0x38, 4, 0);
  return log.reg(0x18, 4, 0x80000000 | kept);
}

TEST(ReplayRegisters, BringUpAsTheLogHasIt) {
  const Report r = brought_up()
                       .context(kNvme, 0x302, 0x7afa001)
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .flush_page(3, 0x1000)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.waits.count, 1u);
}

TEST(ReplayRegisters, RequestsBeforeTranslationIsOnPass) {
  LogText log;
  const Report r =
      log.line("vtd_dmar_translate dev 00:02.00 iova 0x7bfe000 -> gpa 0x7bfe000 mask 0xfff")
          .report();
  expect_good(r);
  EXPECT_EQ(r.translations.count, 1u);
  EXPECT_EQ(r.stats.of(Outcome::kPassedThrough), 1u);
}

TEST(ReplayRegisters, FaultRecordsAreReadAndClearedAsLogged) {
  LogText log = brought_up();
  log.context(kEdu, 0x702, 0x7b12001);
  for (int round = 0; round < 2; ++round) {
    log.fault(kEdu, 6, 0xfff00000, false)
        .line("vtd_frr_new index 0 high 0x4000000600000030 low 0xfff00000")
        .fault(kEdu, 6, 0xfff00004, false)  // collapses into the record
        .reg(0x22c, 4, 0x80000000)
        .reg(0x34, 4, 0x83);
  }
  log.fault(kEdu, 5, 0x1234, true).line("vtd_frr_new index 0 high 0x500000030 low 0x1000");
  const Report r = log.report();
  expect_good(r);
  EXPECT_EQ(r.fault_records.count, 3u);
  EXPECT_EQ(r.faults.count, 5u);
}

TEST(ReplayRegisters, AFaultRecordThatDiffersIsSeen) {
  const Report r = brought_up()
                       .context(kEdu, 0x702, 0x7b12001)
                       .fault(kEdu, 6, 0x2000, false)
                       .line("vtd_frr_new index 0 high 0x4000000600000030 low 0x3000")
                       .report();
  EXPECT_EQ(r.fault_records.different, 1u);
  EXPECT_FALSE(r.good());
}

TEST(ReplayRegisters, InvalidationByRegister) {
  LogText log = brought_up(false);
  const Report r = log.context(kNvme, 0x302, 0x7afa001)
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .reg(0xf0, 8, 0x1000)              // IVA: one page
                       .reg(0xf8, 8, 0xb000000300000000)  // IVT, page-selective, domain 3
                       .fill(kNvme, 0x1000, 0x6003, 3)
                       .reg(0x28, 4, 0)  // CCMD in halves: ICC, global
                       .reg(0x2c, 4, 0xa0000000)
                       .reg(0xf8, 8, 0xa000000300000000)  // domain 3
                       .fill(kNvme, 0x1000, 0x7003, 3)
                       .report();
  expect_good(r);
  EXPECT_EQ(r.leaves_removed, 2u);
  const auto of = [&r](iotlb::Scope scope) {
    return r.stats.invalidations[static_cast<std::size_t>(scope)];
  };
  EXPECT_EQ(of(iotlb::Scope::kRange).removed, 1u);
  EXPECT_EQ(of(iotlb::Scope::kDomain).removed, 1u);
}

TEST(ReplayRegisters, AMachineResetForgetsEverything) {
  LogText log = brought_up();
  log.context(kNvme, 0x302, 0x7afa001).fill(kNvme, 0x1000, 0x5003, 3);
  log.line("vtd_reset_exit ");
  log.line("vtd_dmar_translate dev 00:02.00 iova 0x1000 -> gpa 0x1000 mask 0xfff");
  const std::string again = brought_up().text();
  std::string line;
  for (const char c : again)
    if (c == '\n') {
      log.line(line.c_str());
      line.clear();
    } else {
      line += c;
    }
  log.context(kNvme, 0x302, 0x7afa001).fill(kNvme, 0x1000, 0x6003, 3).flush_domain(3);
  const Report r = log.report();
  expect_good(r);
  EXPECT_EQ(r.translations.count, 3u);
}

TEST(ReplayRegisters, ARefusedDescriptorIsReportedAndTheQueueGoesOn) {
  const Report r = brought_up()
                       .context(kNvme, 0x302, 0x7afa001)
                       .fill(kNvme, 0x1000, 0x5003, 3)
                       .descriptor("iotlb", 0x30032, 0x1000 | 0x800)  // reserved bit
                       .wait()
                       .hit(kNvme, 0x1000, 0x5003, 3)
                       .flush_domain(3)
                       .report();
  EXPECT_EQ(r.descriptors_refused, 1u);
  EXPECT_EQ(r.waits.different, 0u);
  EXPECT_EQ(r.hits, 1u);
  EXPECT_EQ(r.stale, 0u);
  EXPECT_FALSE(r.good());
}

TEST(ReplayRegisters, TheQueueWraps) {
  LogText log = brought_up();
  log.context(kNvme, 0x302, 0x7afa001);
  for (std::uint64_t i = 0; i < 1000; ++i)
    log.fill(kNvme, 0x1000, 0x5003 + (i << 12), 3).flush_page(3, 0x1000);
  const Report r = log.report();
  expect_good(r);
  EXPECT_EQ(r.waits.count, 1000u);
}

struct Unusable {
  const char* cause;
  LogText log;
  std::uint64_t line;
};

TEST(ReplayRegisters, WhatCannotBeReplayedIsOneLine) {
  const LogText start = LogText().context(kNvme, 0x302, 0x7afa001);
  const LogText legacy = LogText().line("vtd_reg_dmar_root addr 0x74e0000 scalable 0");
  const Unusable cases[] = {
      {"in turn", LogText(legacy).line("vtd_reg_dmar_root addr 0x74e0000 scalable 1"), 2},
      {"in turn", LogText(legacy).descriptor("p-iotlb", 0x40026, 0), 2},
      {"in turn", LogText(legacy).fault(kNvme, 113, 0x1000, false), 2},
      {"size", LogText(start).fill(kNvme, 0x1000, 0x5003, 3, 0xffff), 2},
      {"size", LogText(start).fill(kNvme, 0x1000, 0x5083, 3, 0x7fffffffff), 2},
      {"permits nothing", LogText(start).fill(kNvme, 0x1000, 0x5000, 3), 2},
      {"beyond the width", LogText(start).fill(kNvme, std::uint64_t{1} << 48, 0x5003, 3), 2},
      {"amd", LogText(start).line("amdvi_pages_inval AMD-Vi pages for domain 0x3 invalidated"), 2},
      {"not", LogText(start).line("What is this?"), 2},
      {"", LogText(start).line("vtd_iotlb_page_hit IOTLB page hit sid 0x10"), 2},
  };
  for (const Unusable& c : cases) {
    const auto replayed = c.log.replay();
    ASSERT_FALSE(replayed.ok()) << c.cause;
    const std::string text = replayed.error().to_string();
    EXPECT_EQ(replayed.error().line, c.line) << text;
    EXPECT_NE(replayed.error().cause.find(c.cause), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(ReplayRegisters, HostileAddressesAreOrdinary) {
  LogText log = brought_up();
  log.context(0xffff, 0xffffffffffffffff, 0xffffffffffffffff)
      .context(kNvme, 0x302, 0xfffffffffffff001)
      // A leaf in the model's own memory, beyond all memory, and in the interrupt range.
      .fill(kNvme, 0x1000, 0x400000000003, 3)
      .fill(kNvme, 0x2000, 0xf000000000003, 3)
      .fill(kNvme, 0x3000, 0xfee00003, 3)
      .fault(0xffff, 11, ~std::uint64_t{0}, true)
      .fault(kNvme, 4, ~std::uint64_t{0}, false)
      .reg(0x0, 4, ~std::uint64_t{0})
      .reg(0xffffffff, 8, ~std::uint64_t{0})
      .reg(0x21, 4, ~std::uint64_t{0})
      .descriptor("iotlb", 0x30032, ~std::uint64_t{0})
      .descriptor("context-cache", ~std::uint64_t{0} & ~std::uint64_t{0xe0e}, ~std::uint64_t{0})
      .flush_domain(3);
  const auto r = log.replay();
  ASSERT_TRUE(r.ok()) << r.error().to_string();
  EXPECT_FALSE(r->good());
  EXPECT_EQ(r->stale, 0u);
}

}  // namespace
}  // namespace weir::replay
