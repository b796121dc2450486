// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/acpi/header.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace weir::acpi {
namespace {

// Adding every byte of a sound table gives 0.
[[nodiscard]] std::uint8_t sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte b : bytes) total += std::to_integer<unsigned>(b);
  return static_cast<std::uint8_t>(total);
}

[[nodiscard]] Failure<TableError> wrong(std::size_t offset, std::string cause) {
  return Failure{TableError{.offset = offset, .cause = std::move(cause)}};
}

// "DMAR header" with its article.
[[nodiscard]] std::string header_words(std::string_view signature) {
  return (signature.front() == 'I' ? "an " : "a ") + std::string(signature) + " header";
}

}  // namespace

Header header_for(std::string_view signature, std::uint8_t revision) {
  Header made{.revision = revision, .oem_table_id = {'W', 'E', 'I', 'R'}};
  std::ranges::copy(signature, made.oem_table_id.begin() + 4);
  return made;
}

Result<std::span<const std::byte>, TableError> check_table(std::span<const std::byte> bytes,
                                                           std::string_view signature,
                                                           std::size_t fixed) {
  if (bytes.size() < fixed) return wrong(0, "shorter than " + header_words(signature));
  if (std::memcmp(bytes.data() + header::kSignature, signature.data(), signature.size()) != 0)
    return wrong(header::kSignature, "signature is not " + std::string(signature));
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + header::kLength, sizeof length);
  if (length < fixed)
    return wrong(header::kLength, "length is shorter than " + header_words(signature));
  if (length > bytes.size()) return wrong(header::kLength, "table is cut off");
  const auto table = bytes.first(length);
  if (sum(table) != 0) return wrong(header::kChecksum, "checksum is wrong");
  return table;
}

void seal_table(std::vector<std::byte>& table, std::string_view signature) {
  std::memcpy(table.data() + header::kSignature, signature.data(), signature.size());
  const auto length = static_cast<std::uint32_t>(table.size());
  std::memcpy(table.data() + header::kLength, &length, sizeof length);
  table[header::kChecksum] = std::byte{0};
  table[header::kChecksum] = static_cast<std::byte>(-sum(table));
}

}  // namespace weir::acpi
