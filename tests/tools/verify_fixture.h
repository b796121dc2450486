// SPDX-License-Identifier: Apache-2.0
//
// Calls `weir verify` as a function and makes the files it is given. For the tests of this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/verify_command.h"

namespace weir::tools {

struct Ran {
  int status = -1;
  std::string out;
  std::string err;

  [[nodiscard]] std::string last_line() const;
};

[[nodiscard]] Ran verify(const std::vector<std::string>& files, VerifyOptions options = {});

// A file of the test run's own; gone with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

[[nodiscard]] std::vector<std::string> recorded_files(std::string_view mode);
[[nodiscard]] std::string file_bytes(const std::string& path);
// The first lines of a vector file, unpacked: the header and `cases` cases.
[[nodiscard]] std::vector<std::string> first_lines(const std::string& path, std::size_t cases);
[[nodiscard]] std::string joined(const std::vector<std::string>& lines);

// One line that ends in a line break: what bad input may print.
[[nodiscard]] bool is_one_line(const std::string& text);

}  // namespace weir::tools
