// SPDX-License-Identifier: Apache-2.0
//
// How the blocks of an IVRS table and their device entries are told apart, measured and sealed.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "vendors/amdvi/ivrs_fields.h"

namespace weir {
namespace {

namespace ivrs = amdvi::ivrs;
using Bytes = std::span<const std::byte>;

struct Named {
  std::uint8_t type;
  std::string_view kind;
};

constexpr std::array<Named, 12> kEntries = {{{ivrs::entry::kPad, "padding"},
                                             {ivrs::entry::kAll, "all"},
                                             {ivrs::entry::kSelect, "select"},
                                             {ivrs::entry::kRangeStart, "range_start"},
                                             {ivrs::entry::kRangeEnd, "range_end"},
                                             {ivrs::entry::kLongPad, "padding_8"},
                                             {ivrs::entry::kAlias, "alias"},
                                             {ivrs::entry::kAliasRange, "alias_range_start"},
                                             {ivrs::entry::kExtendedSelect, "extended"},
                                             {ivrs::entry::kExtendedRange, "extended_range_start"},
                                             {ivrs::entry::kSpecial, "special"},
                                             {ivrs::entry::kAcpi, "acpi"}}};

constexpr std::array<Named, 3> kUnits = {{{ivrs::ivhd::kType10, "IVHD_10"},
                                          {ivrs::ivhd::kType11, "IVHD_11"},
                                          {ivrs::ivhd::kType40, "IVHD_40"}}};
constexpr std::array<Named, 3> kMemory = {{{ivrs::ivmd::kAll, "IVMD_all"},
                                           {ivrs::ivmd::kOne, "IVMD_one"},
                                           {ivrs::ivmd::kRange, "IVMD_range"}}};
constexpr std::string_view kUnknown = "unknown";

[[nodiscard]] std::uint8_t byte_at(Bytes bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

[[nodiscard]] Failure<std::string> wrong(const char* cause) { return Failure{std::string(cause)}; }

template <typename Table>
[[nodiscard]] std::string_view kind_in(const Table& table, std::uint8_t type) {
  const auto found = std::ranges::find(table, type, &Named::type);
  return found == table.end() ? kUnknown : found->kind;
}

template <typename Table>
[[nodiscard]] std::optional<std::uint8_t> type_in(const Table& table, std::string_view kind) {
  const auto found = std::ranges::find(table, kind, &Named::kind);
  return found == table.end() ? std::nullopt : std::optional(found->type);
}

}  // namespace

bool amdvi::ivrs::is_known_entry(std::uint8_t type) {
  return std::ranges::find(kEntries, type, &Named::type) != kEntries.end();
}

namespace acpi {

// The top two bits of the type say how long an entry is; where they say "variable", only the entry
// of an ACPI device says it itself.
Result<std::size_t, std::string> Framing<ivrs::Entry>::bytes(Bytes from) {
  constexpr const char* kWrong = "device entry of unknown or too great length";
  const std::uint8_t type = byte_at(from, ivrs::entry::kType);
  std::size_t size = ivrs::entry::kShort << ivrs::entry::kSize.get(type);
  constexpr std::uint64_t kVariable = 3;
  if (ivrs::entry::kSize.get(type) == kVariable) {
    if (type != ivrs::entry::kAcpi || from.size() < ivrs::entry::kAcpiBytes) return wrong(kWrong);
    size = ivrs::entry::kAcpiBytes + byte_at(from, ivrs::entry::kUidLength);
  }
  if (size > from.size()) return wrong(kWrong);
  return size;
}

ivrs::Entry Framing<ivrs::Entry>::make(Bytes from) {
  return {.type = byte_at(from, ivrs::entry::kType)};
}

Result<Done, std::string> Framing<ivrs::Entry>::seal(const ivrs::Entry& e,
                                                     std::span<std::byte> made) {
  made[ivrs::entry::kType] = static_cast<std::byte>(e.type);
  if (e.type == ivrs::entry::kAcpi) {
    const std::size_t name = made.size() - ivrs::entry::kAcpiBytes;
    if (name > 0xff) return wrong("the name of a device is longer than its length can say");
    made[ivrs::entry::kUidLength] = static_cast<std::byte>(name);
  }
  const auto size = bytes(made);
  if (!size || *size != made.size()) return wrong("a device entry has not the length of its type");
  return Done{};
}

std::string_view Framing<ivrs::Entry>::kind(const ivrs::Entry& e) {
  return kind_in(kEntries, e.type);
}

std::optional<ivrs::Entry> Framing<ivrs::Entry>::of(std::string_view kind) {
  // The number of an unknown one is among its fields.
  if (kind == kUnknown) return ivrs::Entry{.type = 0x3f};
  if (const auto type = type_in(kEntries, kind)) return ivrs::Entry{.type = *type};
  return std::nullopt;
}

Result<std::size_t, std::string> Framing<ivrs::Block>::bytes(Bytes from) {
  if (from.size() < ivrs::block::kBytes) return wrong("block header is cut off");
  std::uint16_t length = 0;
  std::memcpy(&length, from.data() + ivrs::block::kLength, sizeof length);
  if (length < ivrs::block::kBytes) return wrong("block is shorter than its own header");
  if (length > from.size()) return wrong("block runs past the end of the table");
  return std::size_t{length};
}

ivrs::Block Framing<ivrs::Block>::make(Bytes from) {
  const std::uint8_t type = byte_at(from, ivrs::block::kType);
  if (kind_in(kUnits, type) != kUnknown) return ivrs::Ivhd{.type = type};
  if (kind_in(kMemory, type) != kUnknown) return ivrs::Ivmd{.type = type};
  return ivrs::Unknown{};
}

Result<Done, std::string> Framing<ivrs::Block>::seal(const ivrs::Block& b,
                                                     std::span<std::byte> made) {
  made[ivrs::block::kType] =
      std::visit([](const auto& each) { return static_cast<std::byte>(each.type); }, b);
  return put_length<std::uint16_t>(made, ivrs::block::kLength);
}

std::string_view Framing<ivrs::Block>::kind(const ivrs::Block& b) {
  if (const auto* ivhd = std::get_if<ivrs::Ivhd>(&b)) return kind_in(kUnits, ivhd->type);
  if (const auto* ivmd = std::get_if<ivrs::Ivmd>(&b)) return kind_in(kMemory, ivmd->type);
  return kUnknown;
}

std::string_view Framing<ivrs::Block>::words(const ivrs::Block& b) {
  if (std::holds_alternative<ivrs::Ivhd>(b)) return "hardware definition";
  if (std::holds_alternative<ivrs::Ivmd>(b)) return "memory definition";
  return "block";
}

std::optional<ivrs::Block> Framing<ivrs::Block>::of(std::string_view kind) {
  if (const auto type = type_in(kUnits, kind)) return ivrs::Ivhd{.type = *type};
  if (const auto type = type_in(kMemory, kind)) return ivrs::Ivmd{.type = *type};
  if (kind == kUnknown) return ivrs::Unknown{};
  return std::nullopt;
}

}  // namespace acpi
}  // namespace weir
