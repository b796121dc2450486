// SPDX-License-Identifier: Apache-2.0
//
// What the README shows must be what is built and run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(std::filesystem::path(WEIR_SOURCE_DIR) / file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Readme, ShowsTheExampleThatIsBuilt) {
  const std::string readme = text_of("README.md");
  const std::string example = text_of("examples/first_device.cpp");
  const std::string fence = "```cpp\n";
  const auto begin = readme.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const auto end = readme.find("```", begin + fence.size());
  ASSERT_NE(end, std::string::npos);
  const std::string shown = readme.substr(begin + fence.size(), end - begin - fence.size());
  ASSERT_FALSE(shown.empty());
  EXPECT_TRUE(example.ends_with(shown)) << "README.md and examples/first_device.cpp differ";
}

}  // namespace
