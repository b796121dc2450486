// SPDX-License-Identifier: Apache-2.0
//
// What every file of the tree has to keep: a licence line, and a size one can read at a sitting.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace weir::house {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLines = 500;
constexpr int kManyLines = 400;

bool is_cpp(const fs::path& file) {
  const auto extension = file.extension();
  return extension == ".h" || extension == ".cpp" || extension == ".c";
}

/// Files that can carry a comment. JSON and recorded data cannot, prose need not.
bool needs_licence_line(const fs::path& file) {
  const auto name = file.filename();
  const auto extension = file.extension();
  return is_cpp(file) || extension == ".cmake" || extension == ".sh" || extension == ".py" ||
         name == "CMakeLists.txt" || name == "run" || name == "packages.txt" ||
         name == "allowed_includes.txt" || name == ".clang-format" || name == ".clang-tidy";
}

/// The tree without version control, build folders and recorded data.
std::vector<fs::path> source_files() {
  const fs::path root = WEIR_SOURCE_DIR;
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::end(it); ++it) {
    const std::string path = it->path().lexically_relative(root).generic_string();
    if (it->is_directory()) {
      const bool build = it.depth() == 0 && path.starts_with("build");
      if (build || path == ".git" || path == ".cache" || path == "tests/data") {
        it.disable_recursion_pending();
      }
    } else if (it->is_regular_file()) {
      files.push_back(it->path());
    }
  }
  return files;
}

int count_lines(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  int lines = 0;
  while (std::getline(in, line)) ++lines;
  return lines;
}

bool has_licence_line(const fs::path& file) {
  static constexpr std::string_view kLicence = "SPDX-License-Identifier: Apache-2.0";
  std::ifstream in(file);
  std::string line;
  // The first lines only: a licence at the end is one nobody sees.
  for (int i = 0; i < 3 && std::getline(in, line); ++i) {
    if (line == "// " + std::string(kLicence) || line == "# " + std::string(kLicence)) return true;
  }
  return false;
}

TEST(SourceRules, EveryFileHasItsLicenceLine) {
  int looked_at = 0;
  for (const auto& file : source_files()) {
    if (!needs_licence_line(file)) continue;
    ++looked_at;
    EXPECT_TRUE(has_licence_line(file)) << file.string() << ": no SPDX line among the first three";
  }
  EXPECT_GT(looked_at, 5);
}

TEST(SourceRules, NoFileIsTooLongToReadAtASitting) {
  for (const auto& file : source_files()) {
    if (!is_cpp(file)) continue;
    const int lines = count_lines(file);
    EXPECT_LE(lines, kMostLines) << file.string() << ": look for the second noun";
    if (lines > kManyLines && lines <= kMostLines) {
      std::cout << "note: " << file.string() << " has " << lines << " lines\n";
    }
  }
}

}  // namespace
}  // namespace weir::house
