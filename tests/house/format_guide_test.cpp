// SPDX-License-Identifier: Apache-2.0
//
// What docs/adding-a-format.md shows must be what is built and run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(std::filesystem::path(WEIR_SOURCE_DIR) / file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(FormatGuide, ShowsTheExampleThatIsBuilt) {
  const std::string guide = text_of("docs/adding-a-format.md");
  const std::string fence = "```cpp\n";
  std::vector<std::string> shown;
  for (auto begin = guide.find(fence); begin != std::string::npos;) {
    begin += fence.size();
    const auto end = guide.find("```", begin);
    ASSERT_NE(end, std::string::npos);
    shown.push_back(guide.substr(begin, end - begin));
    begin = guide.find(fence, end);
  }
  ASSERT_EQ(shown.size(), 2U);
  EXPECT_TRUE(shown[0].starts_with("namespace tiny {"));
  EXPECT_TRUE(text_of("examples/tiny_format.h").ends_with(shown[0]));
  EXPECT_TRUE(shown[1].starts_with("int main() {"));
  EXPECT_TRUE(text_of("examples/tiny_format.cpp").ends_with(shown[1]));
}

}  // namespace
