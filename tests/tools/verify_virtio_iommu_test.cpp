// SPDX-License-Identifier: Apache-2.0
//
// Every recorded virtio-iommu vector passes, every known deviation of QEMU's is decided as the
// specification has it, and the comparison is one that can fail.
#include <gtest/gtest.h>

#include <ostream>
#include <regex>

#include "tests/tools/verify_fixture.h"
#include "tools/verify_command.h"

namespace weir::tools {
namespace {

TEST(VerifyVirtioIommu, EveryRecordedVectorPassesAndNoDeviationDiffers) {
  const auto files = recorded_files("virtio-iommu");
  ASSERT_FALSE(files.empty());
  using Organisation = CacheOptions::Organisation;
  for (const auto organisation : {Organisation::kSetAssociative, Organisation::kReference}) {
    for (const std::size_t entries : {0, 4, 4096}) {
      VerifyOptions options;
      options.caches = {.organisation = organisation, .entries = entries};
      const Ran ran = verify(files, options);
      EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
      EXPECT_EQ(ran.last_line(), "5076 passed, 0 failed");
      EXPECT_NE(ran.out.find("5076 agreed-set + 283 deviation-set = 5359 operations"),
                std::string::npos)
          << ran.out;
      const std::regex line("deviation [-0-9a-z]+: [0-9]+ agree, 0 differ");
      EXPECT_EQ(std::distance(std::sregex_iterator(ran.out.begin(), ran.out.end(), line), {}), 5)
          << ran.out;
    }
  }
}

struct Edit {
  const char* name;
  const char* what;  // regular expression
  const char* with;
};

void PrintTo(const Edit& edit, std::ostream* out) { *out << edit.name; }

class EditedRequest : public testing::TestWithParam<Edit> {};

TEST_P(EditedRequest, IsCaught) {
  auto lines = first_lines(recorded_files("virtio-iommu").at(0), 150);
  bool edited = false;
  for (std::size_t i = 1; i < lines.size() && !edited; ++i) {
    const std::string changed =
        std::regex_replace(lines[i], std::regex(GetParam().what), GetParam().with,
                           std::regex_constants::format_first_only);
    edited = changed != lines[i];
    lines[i] = changed;
  }
  ASSERT_TRUE(edited);
  const TemporaryFile file(joined(lines));
  const Ran ran = verify({file.path()});
  EXPECT_EQ(ran.status, 1) << ran.out << ran.err;
  EXPECT_EQ(ran.last_line(), "5075 passed, 1 failed");
}

INSTANTIATE_TEST_SUITE_P(
    , EditedRequest,
    testing::Values(Edit{"OtherStatus", R"RE("status":"noent"\})RE", R"("status":"inval"})"},
                    Edit{"OtherReason", R"RE("res":\{"fault":"mapping"\},"tag":"sole")RE",
                         R"("res":{"fault":"domain"},"tag":"sole")"},
                    Edit{"ReachedForBlocked", R"RE("res":\{"fault":"mapping"\},"tag":"sole")RE",
                         R"("res":{"gpa":"1000"},"tag":"sole")"},
                    Edit{"OtherPage",
                         R"RE("res":\{"gpa":"[0-9a-f]+([0-9a-f]{3})"\},"tag":"sole")RE",
                         R"("res":{"gpa":"1000$1"},"tag":"sole")"},
                    Edit{"OtherRegion", R"RE("resv":"msi","start":"fee00000")RE",
                         R"("resv":"msi","start":"fed00000")"}),
    [](const auto& edit) { return edit.param.name; });

// What is wrong with a file is said in one line, and nothing of it is run.
TEST(VerifyVirtioIommu, BadInputIsRefused) {
  const auto lines = first_lines(recorded_files("virtio-iommu").at(0), 3);
  for (const Edit& edit :
       {Edit{"status", R"RE("status":"ok")RE", R"("status":"fine")"},
        Edit{"request", R"RE("t":"attach")RE", R"("t":"tow")"},
        Edit{"endpoint", R"RE("ep":"00:02.0")RE", R"("ep":"here")"},
        Edit{"mask", R"RE("page_size_mask":"[0-9a-f]+")RE", R"("page_size_mask":"0")"},
        Edit{"range", R"RE("input_range":\[)RE", R"("input_range":["0",)"},
        Edit{"reason", R"RE("fault":"mapping")RE", R"("fault":"weather")"},
        Edit{"device", R"RE("bdf":"01:00.0","iova")RE", R"("bdf":"07:00.0","iova")"}}) {
    auto changed = lines;
    for (std::size_t i = 1; i < changed.size(); ++i)
      changed[i] = std::regex_replace(changed[i], std::regex(edit.what), edit.with);
    ASSERT_NE(changed, lines) << edit.name;
    const TemporaryFile file(joined(changed));
    const Ran ran = verify({file.path()});
    EXPECT_EQ(ran.status, 2) << edit.name << ran.out;
    EXPECT_NE(ran.err.find(file.path()), std::string::npos) << ran.err;
  }
}

}  // namespace
}  // namespace weir::tools
