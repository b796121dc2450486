// SPDX-License-Identifier: Apache-2.0
//
// Reads the allowed-include table and holds a source tree against it. Used by tests only; plain
// functions without state.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace weir::house {

struct RoomRule {
  std::set<std::string> rooms;            // may be included by any of its files
  std::set<std::string> public_families;  // third-party headers its headers may bring along
  std::set<std::string> inside_families;  // third-party headers for its other files only
};

struct IncludeTable {
  std::map<std::string, std::vector<std::string>> families;  // name -> header name prefixes
  std::map<std::string, RoomRule> rooms;                     // folder -> rule
  std::vector<std::string> errors;                           // lines that could not be read
};

IncludeTable read_include_table(const std::filesystem::path& file);

/// Every breach of the table under `root`, as "file:line: what is wrong", in order of file names.
std::vector<std::string> find_breaches(const IncludeTable& table,
                                       const std::filesystem::path& root);

}  // namespace weir::house
