// SPDX-License-Identifier: Apache-2.0
#include "replay/sniff.h"

#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

TEST(Sniff, ByContentNotByName) {
  for (const std::string_view name :
       {"samples/vtd_leg_lazy_612.host.log", "samples/vtd_leg_lazy_612.faults.log",
        "samples/amd_lazyreq_612.host.log", "vtd_pt_612/host-qemu.log.xz"}) {
    const auto kind = sniff(capture(name));
    ASSERT_TRUE(kind.ok()) << kind.error().to_string();
    EXPECT_EQ(kind.value(), TraceKind::kQemuLog) << name;
  }
  for (const std::string_view name :
       {"samples/vtd_leg_cm_vfu_612.guest.txt", "vtd_leg_cm_vfu_612/guest-ftrace.txt.xz"}) {
    const auto kind = sniff(capture(name));
    ASSERT_TRUE(kind.ok()) << kind.error().to_string();
    EXPECT_EQ(kind.value(), TraceKind::kFtrace) << name;
  }
}

TEST(Sniff, FirstLines) {
  const std::string event = "  a-1  [000] d..1. 12.000001: map: x\n";
  const struct {
    std::string text;
    TraceKind kind;
  } cases[] = {
      {"qemu-system-x86_64: warning: x\nvtd_inv_qi_fetch \n", TraceKind::kQemuLog},
      {"\nvtd_inv_qi_fetch \n", TraceKind::kQemuLog},
      {"1@2.000003:vtd_inv_qi_fetch \n", TraceKind::kQemuLog},
      {event, TraceKind::kFtrace},
      {"# something\n" + event, TraceKind::kFtrace},
      {"CPU:0 [LOST 7 EVENTS]\n" + event, TraceKind::kFtrace},
  };
  for (const auto& c : cases) {
    for (const std::string& bytes : {c.text, xz(c.text)}) {
      const ScratchFile file(bytes);
      const auto kind = sniff(file.path());
      ASSERT_TRUE(kind.ok()) << kind.error().to_string();
      EXPECT_EQ(kind.value(), c.kind) << c.text;
    }
  }
}

TEST(Sniff, WhatItRefuses) {
  std::string comments;
  for (int i = 0; i < 1000; ++i) {
    comments += "# comment\n";
  }
  const struct {
    std::string bytes;
    std::uint64_t line;
    std::string_view cause;
  } cases[] = {
      {"", 0, "file is empty"},
      {xz(""), 0, "file is empty"},
      {"# only a comment\n", 0, "no line of a trace in it"},
      {comments, 64, "no line of a trace so far"},
      {"{\"cases\": []}\n", 1, "neither a QEMU trace log nor a Linux ftrace"},
      {std::string(1000, '\0'), 1, "no end"},
      {std::string(1 << 20, '\0'), 1, "longer than"},
      {xz("vtd_inv_qi_fetch \n").substr(0, 30), 1, "cut off"},
  };
  for (const auto& c : cases) {
    const ScratchFile file(c.bytes);
    const auto kind = sniff(file.path());
    ASSERT_FALSE(kind.ok()) << c.cause;
    EXPECT_EQ(kind.error().line, c.line) << kind.error().to_string();
    EXPECT_NE(kind.error().cause.find(c.cause), std::string::npos) << kind.error().to_string();
  }
  EXPECT_FALSE(sniff(testing::TempDir()).ok());
  EXPECT_FALSE(sniff("/nonexistent").ok());
}

}  // namespace
}  // namespace weir::replay
