// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/table_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "tools/acpi/numbers.h"
#include "tools/acpi/table.h"

namespace weir::tools::acpi {
namespace {

constexpr std::size_t kMost = std::size_t{16} << 20;
constexpr std::size_t kPerLine = 16;

[[nodiscard]] Result<std::string, std::string> read_all(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return Failure{std::string(std::strerror(errno != 0 ? errno : EIO))};
  std::string text;
  std::string buffer(65536, '\0');
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         file.gcount() > 0) {
    text.append(buffer, 0, static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMost) return Failure{std::string("is longer than 16 MiB")};
  }
  if (file.bad() || !file.eof()) return Failure{std::string(std::strerror(EISDIR))};
  return text;
}

// "DMAR @ 0x000000007AEFB000"
[[nodiscard]] bool is_title(std::string_view line) {
  return line.size() > 7 && line.substr(4, 3) == " @ ";
}

// "    0010: 54 43 2D …  TC-…": at most 16 pairs, a blank before each; then the characters.
[[nodiscard]] std::optional<std::vector<std::byte>> bytes_in(std::string_view line,
                                                             std::size_t expected) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view offset = line.substr(0, colon);
  offset.remove_prefix(std::min(offset.find_first_not_of(' '), offset.size()));
  const auto at = number_of("0x" + std::string(offset));
  if (!at || *at != expected) return std::nullopt;
  std::vector<std::byte> bytes;
  for (std::size_t i = colon + 1; i + 2 < line.size() && bytes.size() < kPerLine; i += 3) {
    const auto pair = line[i] == ' ' ? bytes_of(line.substr(i + 1, 2)) : std::nullopt;
    if (!pair) break;
    bytes.push_back(pair->front());
  }
  return bytes;
}

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 64;

// Where brackets are nested deeper than any table's; whoever copies such a value does so level by
// level, on the stack.
[[nodiscard]] std::optional<std::size_t> too_deep(std::string_view json) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '[' || c == '{')) {
      if (++depth > kDeepest) return i;
    } else if (!in_text && (c == ']' || c == '}')) {
      --depth;
    }
  }
  return std::nullopt;
}

[[nodiscard]] Failure<std::string> at_line(std::size_t line, const char* cause) {
  return Failure{"line " + std::to_string(line) + ": " + cause};
}

}  // namespace

Result<std::vector<std::byte>, std::string> table_of_dump(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::vector<std::byte> table;
  bool found = false, inside = false;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (is_title(line)) {
      inside = is_supported(std::string_view(line).substr(0, 4));
      if (inside && std::exchange(found, true))
        return at_line(number, "a second DMAR, IVRS or VIOT; give each a file of its own");
    } else if (line.empty()) {
      inside = false;
    } else if (inside) {
      const auto bytes = bytes_in(line, table.size());
      if (!bytes || bytes->empty()) return at_line(number, "is no line of a dump");
      table.insert(table.end(), bytes->begin(), bytes->end());
    }
  }
  if (!found) return Failure{std::string("holds neither a DMAR nor an IVRS nor a VIOT")};
  return table;
}

Result<std::vector<std::byte>, std::string> read_table_file(const std::string& path) {
  const auto text = read_all(path);
  if (!text) return Failure{text.error()};
  if (is_title(std::string_view(*text).substr(0, text->find('\n')))) return table_of_dump(*text);
  const auto bytes = std::as_bytes(std::span(*text));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<nlohmann::ordered_json, std::string> read_json_file(const std::string& path) {
  const auto text = read_all(path);
  if (!text) return Failure{text.error()};
  if (const auto at = too_deep(*text))
    return Failure{"offset " + std::to_string(*at) + ": is nested too deeply"};
  // Of a name that is there twice the last would win, and nobody would hear of the others.
  std::vector<std::set<std::string>> open;
  std::optional<std::string> twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !twice) {
      auto name = parsed.get<std::string>();
      if (!open.back().insert(name).second) twice = std::move(name);
    }
    return true;
  };
  try {
    Json json = Json::parse(*text, watch);
    if (twice) return Failure{"has two fields of one name in one object: " + *twice};
    return json;
  } catch (const Json::parse_error& error) {
    return Failure{"offset " + std::to_string(error.byte) + ": is no JSON"};
  } catch (const Json::exception&) {
    return Failure{std::string("holds a number that is too large")};
  }
}

Result<Done, std::string> write_file(const std::string& path, std::span<const std::byte> bytes) {
  const std::string beside = path + ".part" + std::to_string(::getpid());
  std::FILE* const file = std::fopen(beside.c_str(), "wbx");
  if (file == nullptr) return Failure{std::string(std::strerror(errno))};
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const bool closed = std::fclose(file) == 0;
  if (written && closed && std::rename(beside.c_str(), path.c_str()) == 0) return Done{};
  const std::string cause = std::strerror(errno);
  std::remove(beside.c_str());
  return Failure{cause};
}

}  // namespace weir::tools::acpi
