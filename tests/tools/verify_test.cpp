// SPDX-License-Identifier: Apache-2.0
//
// Every recorded vector passes, through the same code as the command; and the comparison is one
// that can fail: a file in which one result was changed is caught.

#include <gtest/gtest.h>

#include <ostream>
#include <regex>

#include "tests/tools/verify_fixture.h"
#include "tools/verify_command.h"

namespace weir::tools {
namespace {

constexpr std::size_t kSomeCases = 12;
constexpr std::size_t kAllCases = 300;

// Replaces the first `what` after the header that a regular expression finds.
std::string edited(std::vector<std::string> lines, const std::string& what,
                   const std::string& with) {
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::string changed = std::regex_replace(lines[i], std::regex(what), with,
                                                   std::regex_constants::format_first_only);
    if (changed == lines[i]) continue;
    lines[i] = changed;
    return joined(lines);
  }
  ADD_FAILURE() << what << " is in none of the cases";
  return joined(lines);
}

TEST(Verify, EveryRecordedLegacyVectorPasses) {
  const auto files = recorded_files("vtd-legacy");
  ASSERT_FALSE(files.empty());
  const Ran ran = verify(files);
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_TRUE(std::regex_match(ran.last_line(), std::regex("[1-9][0-9]* passed, 0 failed")))
      << ran.last_line();
  EXPECT_NE(ran.out.find("checked: 6300 agreed-set + 52 deviation-set = 6352 operations"),
            std::string::npos)
      << ran.out;
}

struct Recorded {
  const char* mode;
  const char* checked;
  const char* passed;
};
constexpr Recorded kOtherModes[] = {
    {"vtd-sm-ss", "checked: 3955 agreed-set + 1474 deviation-set = 5429 operations",
     "3955 passed, 0 failed"},
    {"vtd-sm-fs", "checked: 5239 agreed-set + 470 deviation-set = 5709 operations",
     "5239 passed, 0 failed"},
    {"vtd-ir", "checked: 2862 agreed-set + 378 deviation-set = 3240 operations",
     "2862 passed, 0 failed"},
};

// With caches and without: and no deviation differs.
TEST(Verify, EveryRecordedVectorOfTheOtherModesPasses) {
  for (const Recorded& recorded : kOtherModes) {
    for (const std::size_t entries : {0, 4096}) {
      const auto files = recorded_files(recorded.mode);
      ASSERT_EQ(files.size(), 1U) << recorded.mode;
      VerifyOptions options;
      options.caches = {.entries = entries};
      const Ran ran = verify(files, options);
      EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
      EXPECT_EQ(ran.last_line(), recorded.passed);
      EXPECT_NE(ran.out.find(recorded.checked), std::string::npos) << ran.out;
      EXPECT_FALSE(std::regex_search(ran.out, std::regex("[1-9][0-9]* differ\n"))) << ran.out;
    }
  }
}

// What remains without caches of translations and tables follows from contexts that are cached
// until they are flushed: another permitted answer, from other tables. Flags, domains and addresses
// of events rest on a model; how many differ is a fact of the file (docs/oracle-differences.md).
TEST(Verify, EveryRecordedAmdVectorPasses) {
  const Ran ran = verify(recorded_files("amdvi"));
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_EQ(ran.last_line(), "5904 passed, 0 failed");
  EXPECT_NE(ran.out.find("counted apart: 1447 as given, 276 otherwise"), std::string::npos);
  EXPECT_NE(ran.out.find("leaf-of-the-next-levels-size: 0 agree, 34 differ"), std::string::npos);
  for (const std::size_t entries : {0, 1, 65536}) {
    VerifyOptions options;
    options.caches = {.entries = entries};
    EXPECT_EQ(verify(recorded_files("amdvi"), options).last_line(), "5904 passed, 0 failed");
  }
}

TEST(Verify, AccessedAndDirtyBitsWithoutCachesOfTables) {
  VerifyOptions options;
  options.caches = {.entries = 0,
                    .walk = {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}};
  const Ran ran = verify(recorded_files("vtd-sm-fs"), options);
  EXPECT_NE(ran.out.find("1961 entries as given, 40 otherwise"), std::string::npos) << ran.out;
}

// Accessed and dirty bits are counted, and a wrong one shows in its column and nowhere else.
TEST(Verify, AccessedAndDirtyBitsAreCountedApart) {
  const auto lines = first_lines(recorded_files("vtd-sm-fs").at(0), kSomeCases);
  const TemporaryFile plain(joined(lines));
  const std::regex column("([0-9]+) entries as given, ([0-9]+) otherwise");
  std::smatch before, after;
  const Ran first = verify({plain.path()});
  ASSERT_TRUE(std::regex_search(first.out, before, column)) << first.out;
  const TemporaryFile changed(edited(lines, R"RE("ad":\[\["([0-9a-f]+)","([0-9a-f]*)[0-9a-f]")RE",
                                     R"("ad":[["$1","$020")"));
  const Ran second = verify({changed.path()});
  ASSERT_TRUE(std::regex_search(second.out, after, column)) << second.out;
  EXPECT_EQ(std::stoul(after[1]) + 1, std::stoul(before[1]));
  EXPECT_EQ(std::stoul(after[2]), std::stoul(before[2]) + 1);
  EXPECT_EQ(second.status, 0);
}

// What is permitted does not depend on what a cache happens to hold: none, one that evicts all the
// time, and one that keeps everything stay within it.
TEST(Verify, EveryCacheStaysWithinWhatIsPermitted) {
  using Organisation = CacheOptions::Organisation;
  const auto files = recorded_files("vtd-legacy");
  for (const auto organisation : {Organisation::kSetAssociative, Organisation::kReference}) {
    for (const std::size_t entries : {0, 1, 4, 65536}) {
      VerifyOptions options;
      options.caches = {.organisation = organisation, .entries = entries};
      const Ran ran = verify(files, options);
      EXPECT_EQ(ran.status, 0) << entries << " entries\n" << ran.out << ran.err;
      EXPECT_EQ(ran.last_line(), "6300 passed, 0 failed");
    }
  }
}

TEST(Verify, PrintsALineForEachDeviation) {
  const Ran ran = verify(recorded_files("vtd-legacy"));
  const std::regex line("deviation [-0-9a-z]+: [0-9]+ agree, [0-9]+ differ");
  const auto count = std::distance(std::sregex_iterator(ran.out.begin(), ran.out.end(), line), {});
  EXPECT_EQ(count, 3) << ran.out;
}

struct Edit {
  const char* name;
  const char* what;  // regular expression
  const char* with;
};

void PrintTo(const Edit& edit, std::ostream* out) { *out << edit.name; }

class EditedResult : public testing::TestWithParam<Edit> {};

TEST_P(EditedResult, IsCaughtAndNamed) {
  const auto lines = first_lines(recorded_files("vtd-legacy").at(0), kAllCases);
  const TemporaryFile file(edited(lines, GetParam().what, GetParam().with));
  const Ran ran = verify({file.path()});
  EXPECT_EQ(ran.status, 1) << ran.out << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.last_line(), "6299 passed, 1 failed");
  EXPECT_TRUE(std::regex_search(
      ran.out, std::regex("FAILED in .*, case [0-9]+, operation [0-9]+\n  operation: .*\n"
                          "  expected:  .*\n  got:       .*\n")))
      << ran.out;
}

// `"tag":"sole"`: no other result is permitted.
INSTANTIATE_TEST_SUITE_P(
    , EditedResult,
    testing::Values(Edit{"OtherPage",
                         R"RE("res":\{"gpa":"[0-9a-f]+([0-9a-f]{3})"\},"tag":"sole")RE",
                         R"("res":{"gpa":"1000$1"},"tag":"sole")"},
                    Edit{"BlockedForReached", R"RE("res":\{"gpa":"[0-9a-f]+"\},"tag":"sole")RE",
                         R"("res":{"fault":5,"rec":0},"tag":"sole")"},
                    Edit{"OtherReason", R"RE("res":\{"fault":11,"rec":1\},"tag":"sole")RE",
                         R"("res":{"fault":12,"rec":1},"tag":"sole")"},
                    Edit{"SilentForRecorded", R"RE("res":\{"fault":5,"rec":1\},"tag":"sole")RE",
                         R"("res":{"fault":5,"rec":0},"tag":"sole")"},
                    Edit{"RecordedForSilent", R"RE("res":\{"fault":5,"rec":0\},"tag":"sole")RE",
                         R"("res":{"fault":5,"rec":1},"tag":"sole")"},
                    Edit{"InterruptForBlocked", R"RE("res":\{"fault":6,"rec":1\},"tag":"sole")RE",
                         R"("res":{"msi":1},"tag":"sole")"},
                    Edit{"ReachedForInterrupt", R"RE("res":\{"msi":1\},"tag":"sole")RE",
                         R"("res":{"gpa":"1000"},"tag":"sole")"},
                    Edit{"DescriptorAccepted", R"RE("iqe":1)RE", R"("iqe":0)"},
                    Edit{"NoOverflow", R"RE("pfo":1)RE", R"("pfo":0)"},
                    Edit{"OtherDeviceFirst", R"RE("first":\{"bdf":"00:..\..")RE",
                         R"("first":{"bdf":"00:1f.7")"}),
    [](const auto& edit) { return edit.param.name; });

TEST(Verify, ShowsNoMoreFailuresThanAskedFor) {
  auto lines = first_lines(recorded_files("vtd-legacy").at(0), kSomeCases);
  for (std::string& line : lines) {
    line = std::regex_replace(line, std::regex(R"("res":\{"fault":5,"rec":1\},"tag":"sole")"),
                              R"("res":{"fault":14,"rec":1},"tag":"sole")");
  }
  const TemporaryFile file(joined(lines));
  const Ran ran =
      verify({file.path()}, {.files = {}, .failures = 2, .deviations = 0, .caches = {}});
  EXPECT_EQ(ran.status, 1);
  const std::regex shown("FAILED in ");
  EXPECT_EQ(std::distance(std::sregex_iterator(ran.out.begin(), ran.out.end(), shown), {}), 2);
  EXPECT_NE(ran.out.find(" more failed\n"), std::string::npos) << ran.out;
}

TEST(Verify, CountsADeviationApartEvenIfItDiffers) {
  auto lines = first_lines(recorded_files("vtd-legacy").at(0), kSomeCases);
  const TemporaryFile file(edited(lines, R"RE("res":\{"gpa":"[0-9a-f]+"\},"tag":"sole")RE",
                                  R"("res":{"msi":1},"tag":"sole","qemu_deviation":"made-up")"));
  const Ran ran =
      verify({file.path()}, {.files = {}, .failures = 10, .deviations = 1, .caches = {}});
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("deviation made-up: 0 agree, 1 differ\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("  differs in "), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace weir::tools
