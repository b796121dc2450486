// SPDX-License-Identifier: Apache-2.0
//
// Files that are no vectors, or hostile ones: one line that names file and cause, status 2, and
// nothing on the output.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tools/verify_fixture.h"
#include "tools/verify_command.h"

namespace weir::tools {
namespace {

const std::string kHeader =
    R"({"format":"iommu-oracle","version":1,"mode":"vtd-legacy","seed":1,"cases":2,)"
    R"("ram":[["0","80000000"]],"devices":[{"bdf":"00:02.0","model":"edu"}]})";

// A case with these operations, and with a field of it replaced.
std::string a_case(const std::string& ops, const std::string& cfg_extra = "",
                   const std::string& mem = R"(["1000000","0"])", const std::string& number = "0") {
  return R"({"case":)" + number +
         R"(,"cfg":{"aw":48,"cm":0,"via":"qi","sm":0,)"
         R"("cap":"80d2008c222f0606","ecap":"f42")" +
         cfg_extra + R"(},"root":"1000000","mem":[)" + mem + R"(],"ops":[)" + ops + "]}";
}

struct Bad {
  std::string name;
  std::string content;
  std::string cause;  // part of the line
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

Bad operation(const std::string& name, const std::string& op, const std::string& cause) {
  return {name, kHeader + "\n" + a_case(op) + "\n", cause};
}

Bad header(const std::string& name, const std::string& line, const std::string& cause) {
  return {name, line + "\n" + a_case("") + "\n", cause};
}

std::vector<Bad> bad_files() {
  const std::string good = kHeader + "\n" + a_case("") + "\n";
  const std::string dma = R"({"op":"dma","d":"w","bdf":"00:02.0",)";
  return {
      {"Empty", "", "the file is empty"},
      {"NoCase", kHeader + "\n", "no case"},
      {"CutOffLine", good.substr(0, good.size() - 10), ":2: "},
      {"NotJson", "IOMMU oracle\n", "not JSON"},
      {"NotJsonLater", kHeader + "\n" + a_case("") + "\n{\"case\":1,\n", ":3: "},
      {"NotAnObject", "[1,2]\n", "is not a JSON object"},
      {"DeepNesting", std::string(60000, '[') + "\n", "not JSON"},
      {"Nul", kHeader + "\n" + std::string(4, '\0') + "\n", ":2: "},
      {"LongLine", std::string(100000, ' ') + "\n", "longer"},
      {"SecondHeader", kHeader + "\n" + kHeader + "\n", "case: field is missing"},
      {"CaseTwice", kHeader + "\n" + a_case("") + "\n" + a_case("") + "\n", "case: 0 follows 0"},
      {"CaseBeyondHeader", kHeader + "\n" + a_case("", "", R"(["1000000","0"])", "2") + "\n",
       "case: 2"},
      header("OtherFormat", R"({"format":"x","version":1,"mode":"vtd-legacy","cases":1})",
             "format"),
      header("OtherVersion",
             R"({"format":"iommu-oracle","version":2,"mode":"vtd-legacy","cases":1})", "version"),
      header("ModeNotBuilt",
             R"({"format":"iommu-oracle","version":1,"mode":"vtd-made-up","cases":1})",
             "mode \"vtd-made-up\" is not built"),
      header("ModeNotText", R"({"format":"iommu-oracle","version":1,"mode":7,"cases":1})", "mode"),
      header("NoRam", R"({"format":"iommu-oracle","version":1,"mode":"vtd-legacy","cases":1})",
             "ram: field is missing"),
      header("RamReversed",
             R"({"format":"iommu-oracle","version":1,"mode":"vtd-legacy","cases":1,)"
             R"("ram":[["2000","1000"]],"devices":[]})",
             "ram"),
      header("RamTooLarge",
             R"({"format":"iommu-oracle","version":1,"mode":"vtd-legacy","cases":1,)"
             R"("ram":[["0","fffffffffffff000"]],"devices":[]})",
             "ram"),
      header("RamOverlaps",
             R"({"format":"iommu-oracle","version":1,"mode":"vtd-legacy","cases":1,)"
             R"("ram":[["0","2000"],["1000","3000"]],"devices":[]})",
             "ram"),
      {"MissingConfig", kHeader + "\n{\"case\":0,\"ops\":[]}\n", "cfg: field is missing"},
      {"ScalableMode", kHeader + "\n" + a_case("", R"(,"sm":1)") + "\n", "cfg.sm"},
      {"CapOfNoUnit", kHeader + "\n" + a_case("", R"(,"cap":"80d2008c222f1f06")") + "\n",
       "cfg.cap"},
      {"WidthNotMgaw", kHeader + "\n" + a_case("", R"(,"aw":39)") + "\n", "cfg.aw"},
      {"CapNotBuilt", kHeader + "\n" + a_case("", R"(,"ecap":"f02")") + "\n", "differs in ECAP"},
      {"RunOutsideRam", kHeader + "\n" + a_case("", "", R"(["80000000","0"])") + "\n", "mem"},
      {"RunMisaligned", kHeader + "\n" + a_case("", "", R"(["1000004","0"])") + "\n", "mem"},
      {"RunWraps", kHeader + "\n" + a_case("", "", R"(["fffffffffffffff8","0","1"])") + "\n",
       "mem"},
      {"RunWithoutWords", kHeader + "\n" + a_case("", "", R"(["1000000"])") + "\n", "mem"},
      {"RunNotHex", kHeader + "\n" + a_case("", "", R"(["1000000","0x1"])") + "\n", "mem"},
      {"RunNegative", kHeader + "\n" + a_case("", "", R"(["1000000","-1"])") + "\n", "mem"},
      {"RunTooLong", kHeader + "\n" + a_case("", "", R"(["1000000","10000000000000000"])") + "\n",
       "mem"},
      operation("UnknownOperation", R"({"op":"ire","on":1})", "ops[0].op"),
      operation("OperationNotObject", "7", "ops[0] is not a JSON object"),
      operation("FlagOutOfRange", R"({"op":"te","on":2})", "ops[0].on: 2 is above 1"),
      operation("FlagNegative", R"({"op":"te","on":-1})", "ops[0].on"),
      operation("FlagNotWhole", R"({"op":"te","on":0.5})", "ops[0].on"),
      operation("RootNotAPage", R"({"op":"srtp","root":"1000008"})", "ops[0].root"),
      operation("UnknownInvalidation", R"({"op":"inv","t":"pc","g":"global"})", "ops[0].t"),
      operation("UnknownGranularity", R"({"op":"inv","t":"cc","g":"page"})", "ops[0].g"),
      operation("DomainOutOfRange", R"({"op":"inv","t":"cc","g":"domain","did":65536})",
                "ops[0].did"),
      operation("DescriptorOfThreeWords", R"({"op":"inv_bad","desc":["1","2","3"],"iqe":1})",
                "ops[0].desc"),
      operation("NoResult", dma + R"("iova":"0","n":4})", "ops[0].res: field is missing"),
      operation("ResultOfNothing", dma + R"("iova":"0","n":4,"res":{}})", "ops[0].res.fault"),
      operation("CodeOutOfRange", dma + R"("iova":"0","n":4,"res":{"fault":256,"rec":1}})",
                "ops[0].res.fault"),
      operation("CrossesAPage", dma + R"("iova":"ffe","n":4,"res":{"msi":1}})", "ops[0].n"),
      operation("NoBytes", dma + R"("iova":"0","n":0,"res":{"msi":1}})", "ops[0].n"),
      operation("NotADevice", R"({"op":"dma","d":"w","bdf":"2","iova":"0","n":4,"res":{"msi":1}})",
                "ops[0].bdf"),
      operation("DeviceNotListed",
                R"({"op":"dma","d":"w","bdf":"00:03.0","iova":"0","n":4,"res":{"msi":1}})",
                "not in the header's list"),
      operation("BurstOfNothing",
                R"({"op":"burst","nfr":1,"dma":[],"first":{"bdf":"00:02.0","fi":"0","fault":5},)"
                R"("pfo":1})",
                "ops[0].dma"),
      operation("DeviationWithoutId", R"({"op":"te","on":1,"qemu_deviation":""})",
                "ops[0].qemu_deviation"),
  };
}

class BadVectorFile : public testing::TestWithParam<Bad> {};

TEST_P(BadVectorFile, IsOneLineAndStatusTwo) {
  const TemporaryFile file(GetParam().content);
  const Ran ran = verify({file.path()});
  EXPECT_EQ(ran.status, 2) << ran.out;
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  EXPECT_NE(ran.err.find(file.path()), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find(GetParam().cause), std::string::npos) << ran.err;
}

INSTANTIATE_TEST_SUITE_P(, BadVectorFile, testing::ValuesIn(bad_files()),
                         [](const auto& bad) { return bad.param.name; });

TEST(BadVectors, WhatTheyAreMadeFromIsGood) {
  const TemporaryFile file(kHeader + "\n" + a_case(R"({"op":"te","on":1})") + "\n");
  const Ran ran = verify({file.path()});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.last_line(), "1 passed, 0 failed");
}

TEST(BadVectors, AbsentFile) {
  const Ran ran = verify({"no/such/file.jsonl"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
}

TEST(BadVectors, PackedFileCutOffAnywhere) {
  const std::string whole = file_bytes(recorded_files("vtd-legacy").at(0));
  for (const std::size_t size :
       {std::size_t{3}, std::size_t{20}, whole.size() / 2, whole.size() - 1}) {
    const TemporaryFile file(std::string_view(whole).substr(0, size));
    const Ran ran = verify({file.path()});
    EXPECT_EQ(ran.status, 2) << size;
    EXPECT_EQ(ran.out, "") << size;
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  }
}

TEST(BadVectors, PackedFileWithAWrongByte) {
  std::string garbled = file_bytes(recorded_files("vtd-legacy").at(0));
  garbled[garbled.size() / 3] = static_cast<char>(garbled[garbled.size() / 3] ^ 0x10);
  const TemporaryFile file(garbled);
  const Ran ran = verify({file.path()});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
}

TEST(BadVectors, OneAmongGoodOnesIsFoundBeforeAnythingIsRun) {
  const TemporaryFile good(kHeader + "\n" + a_case(R"({"op":"te","on":1})") + "\n");
  const TemporaryFile bad("x\n");
  const Ran ran = verify({good.path(), bad.path()});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find(bad.path()), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace weir::tools
