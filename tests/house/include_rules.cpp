// SPDX-License-Identifier: Apache-2.0
#include "tests/house/include_rules.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <regex>
#include <sstream>
#include <utility>

namespace weir::house {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string name;
  int line = 0;
  bool quoted = false;
};

struct SourceFile {
  std::string path;  // from the root, with '/'
  std::string room;
  std::vector<Include> includes;

  bool is_header() const { return path.ends_with(".h"); }
  bool is_public() const {
    return is_header() && !path.ends_with("_impl.h") && path.find("/detail/") == std::string::npos;
  }
};

using Tree = std::map<std::string, SourceFile>;  // by path

bool is_under(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

/// The room that holds `path`; rooms do not nest, so at most one does.
std::string room_of(const IncludeTable& table, std::string_view path) {
  for (const auto& [folder, rule] : table.rooms) {
    if (is_under(path, folder)) return folder;
  }
  return {};
}

std::string top_folder(std::string_view path) {
  const auto slash = path.find('/');
  return std::string(slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash));
}

std::vector<Include> read_includes(const fs::path& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");
  std::vector<Include> includes;
  std::ifstream in(file);
  std::string text;
  std::smatch match;
  for (int line = 1; std::getline(in, text); ++line) {
    if (std::regex_match(text, match, pattern)) {
      includes.push_back({.name = match[2], .line = line, .quoted = match[1] == "\""});
    }
  }
  return includes;
}

Tree read_tree(const IncludeTable& table, const fs::path& root) {
  Tree tree;
  for (const auto& [folder, rule] : table.rooms) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp") continue;
      const std::string path = entry.path().lexically_relative(root).generic_string();
      tree[path] = {.path = path, .room = folder, .includes = read_includes(entry.path())};
    }
  }
  return tree;
}

/// The family of a header written in <>: empty for the C++ standard library, nullopt for a header
/// the table does not know.
std::optional<std::string> family_of(const IncludeTable& table, std::string_view header) {
  for (const auto& [family, prefixes] : table.families) {
    for (const auto& prefix : prefixes) {
      if (header.starts_with(prefix)) return family;
    }
  }
  if (header.find_first_of("./") == std::string_view::npos) return std::string{};
  return std::nullopt;
}

/// What is wrong with one include on its own; empty if nothing.
std::string judge(const IncludeTable& table, const SourceFile& file, const Include& include) {
  const RoomRule& rule = table.rooms.at(file.room);
  if (!include.quoted) {
    const auto family = family_of(table, include.name);
    if (!family) return "<" + include.name + "> belongs to no family of the table";
    if (family->empty() || rule.public_families.contains(*family)) return {};
    const bool inside = rule.inside_families.contains(*family);
    if (inside && !file.is_public()) return {};
    return "<" + include.name + "> (" + *family + ") is not for " +
           (inside ? "public headers of " : "") + file.room;
  }
  const std::string room = room_of(table, include.name);
  if (room == file.room) return {};
  const std::string target = room.empty() ? top_folder(include.name) : room;
  if (target.empty()) {
    return "\"" + include.name + "\" is not written from the root of the repository";
  }
  if (rule.rooms.contains(target)) return {};
  return "\"" + include.name + "\": " + file.room + " may not include " + target;
}

/// Families that `path` brings along through weir's own headers, each with the header it is in.
void collect_families(const IncludeTable& table, const Tree& tree, const std::string& path,
                      std::set<std::string>& seen, std::map<std::string, std::string>& found) {
  const auto file = tree.find(path);
  if (file == tree.end() || !seen.insert(path).second) return;
  for (const Include& include : file->second.includes) {
    if (include.quoted) {
      collect_families(table, tree, include.name, seen, found);
    } else if (const auto family = family_of(table, include.name); family && !family->empty()) {
      found.emplace(*family, path);
    }
  }
}

}  // namespace

IncludeTable read_include_table(const fs::path& file) {
  IncludeTable table;
  std::ifstream in(file);
  if (!in) table.errors.push_back("cannot open " + file.string());
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    if (text.empty() || text.front() == '#') continue;
    std::istringstream words(text);
    std::string kind, name, colon, word;
    std::vector<std::string> list;
    words >> kind >> name >> colon;
    while (words >> word) list.push_back(word);
    if (colon != ":") {
      table.errors.push_back("line " + std::to_string(line) + ": expected `KIND NAME : ...`");
    } else if (kind == "family") {
      table.families[name] = list;
    } else if (kind == "room") {
      table.rooms[name].rooms = {list.begin(), list.end()};
    } else if (kind == "public") {
      table.rooms[name].public_families = {list.begin(), list.end()};
    } else if (kind == "inside") {
      table.rooms[name].inside_families = {list.begin(), list.end()};
    } else {
      table.errors.push_back("line " + std::to_string(line) + ": unknown kind " + kind);
    }
  }
  for (const auto& [room, rule] : table.rooms) {
    for (const auto* families : {&rule.public_families, &rule.inside_families}) {
      for (const auto& family : *families) {
        if (!table.families.contains(family)) {
          table.errors.push_back(room + " names the unknown family " + family);
        }
      }
    }
  }
  return table;
}

std::vector<std::string> find_breaches(const IncludeTable& table, const fs::path& root) {
  std::vector<std::string> breaches;
  const Tree tree = read_tree(table, root);
  for (const auto& [path, file] : tree) {
    for (const Include& include : file.includes) {
      if (const std::string wrong = judge(table, file, include); !wrong.empty()) {
        breaches.push_back(path + ":" + std::to_string(include.line) + ": " + wrong);
      }
    }
    if (!file.is_public()) continue;
    std::set<std::string> seen;
    std::map<std::string, std::string> found;
    collect_families(table, tree, path, seen, found);
    for (const auto& [family, where] : found) {
      if (where == path || table.rooms.at(file.room).public_families.contains(family)) continue;
      breaches.push_back(path + ":1: public header brings along " + family + " through " + where);
    }
  }
  return breaches;
}

}  // namespace weir::house
