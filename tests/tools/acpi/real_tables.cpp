// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/acpi/real_tables.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace weir::tools::acpi::test {
namespace {

namespace fs = std::filesystem;

[[nodiscard]] std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

[[nodiscard]] int run(const std::string& command) {
  return std::system((command + " </dev/null").c_str());
}

// "FED90000" in so many bytes, "00 00 00", "1F,00", or characters in quotes.
[[nodiscard]] Bytes value_of(const std::string& text, std::size_t length) {
  Bytes bytes;
  if (text.starts_with('"')) {
    for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i)
      bytes.push_back(static_cast<std::byte>(text[i]));
    bytes.resize(length);
    return bytes;
  }
  std::string digits;
  bool list = false;
  for (const char c : text) {
    if (c == ' ' || c == ',') {
      list = true;
    } else if (std::isxdigit(static_cast<unsigned char>(c)) != 0) {
      digits.push_back(c);
    } else {
      return {};
    }
  }
  if (digits.size() != 2 * length) return {};
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  if (!list) std::ranges::reverse(bytes);
  return bytes;
}

}  // namespace

std::vector<std::string> real_tables() {
  std::vector<fs::path> folders;
  if (const char* const named = std::getenv("WEIR_ACPI_TABLES")) folders.emplace_back(named);
  const fs::path tree = fs::path(WEIR_TEST_DATA).parent_path().parent_path();
  folders.push_back(tree.parent_path() / "shared" / "acpi");
  folders.push_back(tree.parent_path().parent_path() / "shared" / "acpi");
  for (const fs::path& folder : folders) {
    std::error_code none;
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder, none))
      if (entry.path().extension() == ".aml") files.push_back(entry.path().string());
    std::ranges::sort(files);
    if (!files.empty()) return files;
  }
  return {};
}

Bytes bytes_of_file(const std::string& path) {
  const std::string text = text_of_file(path);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Scratch::Scratch() {
  static std::atomic<unsigned> count{0};
  // Relaxed: only uniqueness is wanted.
  path_ =
      (fs::temp_directory_path() / ("weir-acpi-" + std::to_string(::getpid()) + "-" +
                                    std::to_string(count.fetch_add(1, std::memory_order_relaxed))))
          .string();
  fs::create_directories(path_);
}

Scratch::~Scratch() {
  std::error_code none;
  fs::remove_all(path_, none);
}

std::string Scratch::put(const std::string& name, std::span<const std::byte> bytes) const {
  std::ofstream(file(name), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file(name);
}

std::string Scratch::put(const std::string& name, const std::string& text) const {
  return put(name, std::as_bytes(std::span(text)));
}

bool have_iasl() { return run("iasl -v >/dev/null 2>&1") == 0; }

Decoded iasl_decode(const Scratch& scratch, std::span<const std::byte> table) {
  const std::string binary = scratch.put("table.dat", table);
  Decoded decoded{.fields = {}, .complaints = {}, .source = scratch.file("table.dsl")};
  std::error_code none;
  fs::remove(decoded.source, none);
  const std::string said = scratch.file("said.txt");
  if (run("iasl -d " + binary + " >" + said + " 2>&1") != 0) decoded.complaints = "iasl failed\n";
  static const std::regex kField(R"(^\[[0-9A-F]+h (\d+) +(\d+)\] +(.*?) : (.*?)(?: {2,}\[.*)?$)");
  static const std::regex kComplaint("warning|error|unknown|invalid|\\*\\*\\*\\*",
                                     std::regex::icase);
  std::ifstream lines(decoded.source);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, kField)) {
      IaslField field{.offset = std::stoul(found[1]),
                      .length = std::stoul(found[2]),
                      .name = found[3],
                      .value = {},
                      .text = found[4].str().starts_with('"')};
      field.value = value_of(found[4], field.length);
      decoded.fields.push_back(std::move(field));
    }
    if (std::regex_search(line, kComplaint)) decoded.complaints += line + "\n";
  }
  std::ifstream console(said);
  for (std::string line; std::getline(console, line);)
    if (std::regex_search(line, kComplaint)) decoded.complaints += line + "\n";
  return decoded;
}

Bytes iasl_compile(const Scratch& scratch, const Decoded& decoded) {
  const std::string made = scratch.file("again");
  if (run("iasl -p " + made + " " + decoded.source + " >/dev/null 2>&1") != 0) return {};
  return bytes_of_file(made + ".aml");
}

}  // namespace weir::tools::acpi::test
