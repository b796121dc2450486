// SPDX-License-Identifier: Apache-2.0
//
// `weir replay` as somebody sees it who runs it: what it prints, and how it ends.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/verify_fixture.h"
#include "tools/replay_command.h"

namespace weir::tools {
namespace {

using nlohmann::json;

std::string capture(const std::string& name) {
  return std::string(WEIR_TEST_DATA) + "/traces/" + name;
}
const std::string& small() {
  static const std::string path = capture("vtd_pt_612/host-qemu.log.xz");
  return path;
}

Ran replay(ReplayCommandOptions options) {
  std::ostringstream out;
  std::ostringstream err;
  const int status = run_replay(options, out, err);
  return {status, out.str(), err.str()};
}

constexpr const char* kWrong =
    "vtd_iotlb_page_update IOTLB page update sid 0x18 iova 0xfffff002 slpte 0x1fe47003 domain 0x4\n"
    "vtd_dmar_translate dev 00:03.00 iova 0xfffff000 -> gpa 0x1fe48000 mask 0xfff\n"
    "vtd_iotlb_page_hit IOTLB page hit sid 0x18 iova 0xfffff002 slpte 0x1fe47003 domain 0x4\n"
    "vtd_dmar_translate dev 00:03.00 iova 0xfffff000 -> gpa 0x1fe49000 mask 0xfff\n";

TEST(Replay, PrintsAReport) {
  const Ran ran = replay({.files = {small()}});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "");
  for (const char* words :
       {"vtd_pt_612/host-qemu.log.xz", "VT-d legacy mode", "1,024 entries, set-associative",
        "Requests, by how each ended", "passed through", "hit rate", "table references per miss",
        "Invalidations, by scope", "removed nothing", "leaf-only", "legal-stale", "per translation",
        "compiler", "machine", "not in trace", "same as the trace, nothing stale"})
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << " is not in\n" << ran.out;
}

TEST(Replay, ReportsStandInTheOrderOfTheTraces) {
  const std::string other = capture("vtd_bypass_pxb_612/host-qemu.log.xz");
  const Ran ran = replay({.files = {small(), other, small()}, .json = true});
  EXPECT_EQ(ran.status, 0);
  const json reports = json::parse(ran.out)["reports"];
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0]["run"]["file"], small());
  EXPECT_EQ(reports[1]["run"]["file"], other);
  EXPECT_EQ(reports[1]["iotlb"]["qemu"]["hits"], 6715);
  EXPECT_EQ(reports[2]["requests"], reports[0]["requests"]);
}

TEST(Replay, JsonHasWhatTheTextHas) {
  const Ran ran = replay({.files = {capture("vtd_leg_cm_vfu_612/host-qemu.log.xz")},
                          .entries = 0,
                          .reference = true,
                          .json = true});
  EXPECT_EQ(ran.status, 0);
  const json report = json::parse(ran.out)["reports"][0];
  EXPECT_EQ(report["good"], true);
  EXPECT_EQ(report["run"]["iotlb_organisation"], "reference");
  EXPECT_EQ(report["run"]["iotlb_entries"], 0);
  EXPECT_EQ(report["requests"]["all"], 2829 + 453);
  EXPECT_EQ(report["faults"][0]["code"], 5);
  EXPECT_EQ(report["faults"][0]["count"], 426);
  EXPECT_EQ(report["staleness"]["stale"], 0);
  EXPECT_EQ(report["compared"]["translations"]["count"], 2829);
  EXPECT_EQ(report["invalidations"]["range"]["commands"], 1965);
  EXPECT_GT(report["walks"]["references_per_walk"], 1.0);
  EXPECT_GT(report["time"]["translation_ns"], 0.0);
}

void collect_keys(const json& value, std::set<std::string>& keys) {
  for (const auto& [key, inner] : value.items()) {
    if (value.is_object()) keys.insert(key);
    if (inner.is_structured()) collect_keys(inner, keys);
  }
}

TEST(Replay, EveryJsonKeyIsDocumented) {
  const std::string page = file_bytes(std::string(WEIR_TEST_DATA) + "/../../docs/report.md");
  const Ran ran = replay({.files = {capture("vtd_leg_vfio_612/host-qemu.log.xz"),
                                    capture("vtd_leg_cm_vfu_612/guest-ftrace.txt.xz")},
                          .json = true});
  std::set<std::string> keys;
  collect_keys(json::parse(ran.out), keys);
  EXPECT_GT(keys.size(), 60u);
  for (const std::string& key : keys)
    EXPECT_NE(page.find(key), std::string::npos) << key << " is not in docs/report.md";
}

TEST(Replay, AGuestsFtraceIsMarkedSynthetic) {
  const std::string file = capture("vtd_leg_cm_vfu_612/guest-ftrace.txt.xz");
  const Ran text = replay({.files = {file}});
  EXPECT_EQ(text.status, 0);
  for (const char* words : {"guest ftrace", "all synthetic", "Synthetic accesses", "domains"})
    EXPECT_NE(text.out.find(words), std::string::npos) << words;
  EXPECT_EQ(text.out.find("QEMU"), std::string::npos);
  // Beside a log of the same run: two replays.
  const Ran ran =
      replay({.files = {capture("vtd_leg_cm_vfu_612/host-qemu.log.xz"), file}, .json = true});
  EXPECT_EQ(ran.status, 0);
  const json reports = json::parse(ran.out)["reports"];
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0]["run"]["synthetic"], false);
  EXPECT_EQ(reports[1]["run"]["synthetic"], true);
  EXPECT_EQ(reports[1]["run"]["trace"], "guest_ftrace");
  EXPECT_EQ(reports[1]["guest_trace"]["accesses"]["synthetic"], true);
  EXPECT_EQ(reports[1]["guest_trace"]["maps"], 1751);
}

TEST(Replay, ATraceThatDisagreesIsStatusOne) {
  const TemporaryFile trace(kWrong);
  const Ran ran = replay({.files = {trace.path()}});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("line 3: 00:03.0 reads 0xfffff002"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("NOT AS IT SHOULD BE"), std::string::npos);
}

TEST(Replay, WhatCannotBeReplayedIsOneLineAndNothingElse) {
  const TemporaryFile empty("");
  const TemporaryFile prose("It was a dark and stormy night.\n");
  const TemporaryFile cut("vtd_iotlb_page_hit IOTLB page hit sid 0x18 iova 0xff");
  const TemporaryFile maps(
      "  a-1  [000] d..1.  1.000001: qi_submit: iec_inv dmar0: 0x4 0x0 0x0 0x0\n");
  const struct {
    std::string file, cause;
  } cases[] = {{empty.path(), "empty"},
               {prose.path(), ""},
               {cut.path(), "cut off"},
               {capture("no/such/file"), "No such file"},
               {maps.path(), "no iommu:map"},
               {capture("samples/amd_lazyreq_612.host.log"), "amd"}};
  for (const auto& c : cases) {
    const Ran ran = replay({.files = {small(), c.file}});
    EXPECT_EQ(ran.status, 2) << c.file;
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
    EXPECT_NE(ran.err.find(c.file), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(c.cause), std::string::npos) << ran.err;
  }
}

}  // namespace
}  // namespace weir::tools
