// SPDX-License-Identifier: Apache-2.0
#include "tests/house/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string_view>

namespace weir::house {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const IncludeTable& table() {
  static const IncludeTable read =
      read_include_table(fs::path(WEIR_SOURCE_DIR) / "tests/house/allowed_includes.txt");
  return read;
}

TEST(IncludeRules, TableIsWellFormed) {
  EXPECT_THAT(table().errors, IsEmpty());
  EXPECT_TRUE(table().rooms.contains("base"));
  EXPECT_TRUE(table().rooms.contains("vendors/vtd"));
}

TEST(IncludeRules, TableHasNoCyclesAndVendorsStandApart) {
  for (const auto& [room, rule] : table().rooms) {
    for (const auto& other : rule.rooms) {
      const auto found = table().rooms.find(other);
      if (found == table().rooms.end()) continue;  // bench, which is no room
      EXPECT_FALSE(found->second.rooms.contains(room)) << room << " and " << other;
      if (room.starts_with("vendors/") && other.starts_with("vendors/")) {
        EXPECT_EQ(other, "vendors/common") << room;
      }
    }
  }
}

TEST(IncludeRules, EveryRoomIsInTheTable) {
  // A folder with sources that no line of the table names would never be looked at.
  for (const auto& entry : fs::recursive_directory_iterator(WEIR_SOURCE_DIR)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp") continue;
    const std::string path = entry.path().lexically_relative(WEIR_SOURCE_DIR).generic_string();
    const std::string top = path.substr(0, path.find('/'));
    if (top.starts_with(".") || top.starts_with("build")) continue;
    if (top == "tests" || top == "bench" || top == "examples") continue;
    bool known = false;
    for (const auto& [room, rule] : table().rooms) known |= path.starts_with(room + "/");
    EXPECT_TRUE(known) << path << " is in no room of allowed_includes.txt";
  }
}

TEST(IncludeRules, TreeKeepsTheTable) {
  for (const auto& breach : find_breaches(table(), WEIR_SOURCE_DIR)) ADD_FAILURE() << breach;
}

/// A small source tree of its own, removed at the end.
class IncludeRulesTree : public testing::Test {
 protected:
  IncludeRulesTree() { fs::create_directories(root_); }
  ~IncludeRulesTree() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void write(std::string_view path, std::string_view text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::vector<std::string> breaches() const { return find_breaches(table(), root_); }

 private:
  const fs::path root_ =
      fs::path(testing::TempDir()) / ("weir_include_rules_" + std::to_string(getpid()));
};

TEST_F(IncludeRulesTree, WhatTheTableAllowsPasses) {
  write("base/a.h", "#include <vector>\n");
  write("iotlb/b.h", "#include \"base/a.h\"\n#include <boost/intrusive/set.hpp>\n");
  write("iotlb/b.cpp", "#include \"iotlb/b.h\"\n#include <tbb/task_arena.h>\n");
  write("pagetables/map_impl.h", "#include <boost/intrusive/rbtree.hpp>\n");
  write("vendors/vtd/c.h", "#include \"vendors/common/d.h\"\n#include \"iotlb/b.h\"\n");
  write("tests/base/anything.cpp", "#include \"vendors/vtd/c.h\"\n");
  EXPECT_THAT(breaches(), IsEmpty());
}

TEST_F(IncludeRulesTree, AnUpwardIncludeIsCaught) {
  write("base/a.h", "\n  #  include \"iotlb/b.h\"\n");
  EXPECT_THAT(breaches(), ElementsAre("base/a.h:2: \"iotlb/b.h\": base may not include iotlb"));
}

TEST_F(IncludeRulesTree, OneVendorIncludingAnotherIsCaught) {
  write("vendors/vtd/a.cpp", "#include \"vendors/amdvi/b.h\"\n");
  EXPECT_THAT(breaches(), ElementsAre(HasSubstr("vendors/vtd may not include vendors/amdvi")));
}

TEST_F(IncludeRulesTree, IncludingTestsIsCaught) {
  write("iommu/a.cpp", "#include \"tests/support/fake.h\"\n");
  EXPECT_THAT(breaches(), ElementsAre(HasSubstr("iommu may not include tests")));
}

TEST_F(IncludeRulesTree, APathThatDoesNotStartAtTheRootIsCaught) {
  write("base/a.cpp", "#include \"a.h\"\n");
  EXPECT_THAT(breaches(), ElementsAre(HasSubstr("not written from the root")));
}

TEST_F(IncludeRulesTree, ThirdPartyHeadersStayOutOfPublicHeaders) {
  write("iotlb/a.h", "#include <tbb/concurrent_hash_map.h>\n");
  write("base/b.cpp", "#include <spdlog/spdlog.h>\n");
  EXPECT_THAT(breaches(), ElementsAre(HasSubstr("(spdlog) is not for base"),
                                      HasSubstr("(tbb) is not for public headers of iotlb")));
}

TEST_F(IncludeRulesTree, ThirdPartyHeadersBroughtAlongAreCaught) {
  write("iotlb/detail/map.h", "#include <tbb/concurrent_hash_map.h>\n");
  write("iotlb/a.h", "#include \"iotlb/detail/map.h\"\n");
  write("iommu/b.h", "#include \"iotlb/a.h\"\n");
  EXPECT_THAT(
      breaches(),
      ElementsAre("iommu/b.h:1: public header brings along tbb through iotlb/detail/map.h",
                  "iotlb/a.h:1: public header brings along tbb through iotlb/detail/map.h"));
}

TEST_F(IncludeRulesTree, AHeaderOfNoFamilyIsCaught) {
  write("base/a.h", "#include <boost/asio.hpp>\n#include <stdint.h>\n");
  EXPECT_THAT(breaches(), ElementsAre(HasSubstr("<boost/asio.hpp> belongs to no family"),
                                      HasSubstr("<stdint.h> belongs to no family")));
}

}  // namespace
}  // namespace weir::house
