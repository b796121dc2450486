// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/verify_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "replay/line_reader.h"

namespace weir::tools {

std::string Ran::last_line() const {
  if (out.size() < 2) return out;
  const std::size_t before = out.rfind('\n', out.size() - 2);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return out.substr(begin, out.size() - 1 - begin);
}

Ran verify(const std::vector<std::string>& files, VerifyOptions options) {
  options.files = files;
  std::ostringstream out;
  std::ostringstream err;
  const int status = run_verify(options, out, err);
  return {status, out.str(), err.str()};
}

TemporaryFile::TemporaryFile(std::string_view content) {
  static std::atomic<unsigned> count{0};
  // Relaxed: only uniqueness is wanted.
  const unsigned number = count.fetch_add(1, std::memory_order_relaxed);
  const std::string name =
      "weir-verify-" + std::to_string(getpid()) + "-" + std::to_string(number) + ".jsonl";
  path_ = (std::filesystem::temp_directory_path() / name).string();
  std::ofstream(path_, std::ios::binary) << content;
}

TemporaryFile::~TemporaryFile() { std::filesystem::remove(path_); }

std::vector<std::string> recorded_files(std::string_view mode) {
  std::vector<std::string> files;
  const std::filesystem::path folder = std::filesystem::path(WEIR_TEST_DATA) / "vectors";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(mode)) files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  return files;
}

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> first_lines(const std::string& path, std::size_t cases) {
  std::vector<std::string> lines;
  auto reader = replay::LineReader::open(path);
  while (reader && lines.size() <= cases) {
    const auto line = reader->next();
    if (!line || !line->has_value()) break;
    lines.emplace_back(**line);
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool is_one_line(const std::string& text) {
  return !text.empty() && text.find('\n') == text.size() - 1;
}

}  // namespace weir::tools
