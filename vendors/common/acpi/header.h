// SPDX-License-Identifier: Apache-2.0
//
// The header that every ACPI table begins with (ACPI 6.5, 5.2.6), its length and its checksum.
//
// Pure functions; any thread. A table is hostile input: an error names its offset.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iommu/coverage.h"
#include "vendors/common/acpi/fields.h"

namespace weir::acpi {

namespace header {
inline constexpr std::size_t kSignature = 0;
inline constexpr std::size_t kLength = 4;
inline constexpr std::size_t kRevision = 8;
inline constexpr std::size_t kChecksum = 9;
inline constexpr std::size_t kOemId = 10;
inline constexpr std::size_t kOemTableId = 16;
inline constexpr std::size_t kOemRevision = 24;
inline constexpr std::size_t kCreatorId = 28;
inline constexpr std::size_t kCreatorRevision = 32;
inline constexpr std::size_t kBytes = 36;
}  // namespace header

// Length and checksum are worked out when a table is written.
struct Header {
  std::uint8_t revision = 1;
  std::array<char, 6> oem_id{'W', 'E', 'I', 'R', ' ', ' '};
  std::array<char, 8> oem_table_id{};
  std::uint32_t oem_revision = 1;
  std::array<char, 4> creator_id{'W', 'E', 'I', 'R'};
  std::uint32_t creator_revision = 1;
  friend bool operator==(const Header&, const Header&) = default;
};

// What weir writes: "WEIR" and the signature.
[[nodiscard]] Header header_for(std::string_view signature, std::uint8_t revision);

template <typename V>
void describe(V& v, Header& h) {
  v.number("revision", header::kRevision, h.revision, Style::kDecimal);
  v.text("oem_id", header::kOemId, h.oem_id);
  v.text("oem_table_id", header::kOemTableId, h.oem_table_id);
  v.number("oem_revision", header::kOemRevision, h.oem_revision, Style::kHex);
  v.text("creator_id", header::kCreatorId, h.creator_id);
  v.number("creator_revision", header::kCreatorRevision, h.creator_revision, Style::kHex);
}

// The bytes of the table itself, without what lies behind it. `fixed` is how many a table with this
// signature has at least.
[[nodiscard]] Result<std::span<const std::byte>, TableError> check_table(
    std::span<const std::byte> bytes, std::string_view signature, std::size_t fixed);

// Signature, length and checksum of a table that is otherwise done. REQUIRES: a header's bytes,
// less than 4 GiB.
void seal_table(std::vector<std::byte>& table, std::string_view signature);

}  // namespace weir::acpi
