// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/ivrs.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "vendors/amdvi/ivrs_layout.h"

namespace weir::amdvi {
namespace {

using Bytes = std::span<const std::byte>;

inline constexpr std::string_view kSignature = "IVRS";

// REQUIRES: the value lies inside. Tables are little-endian, as the host is (asserted in base/).
template <typename T>
[[nodiscard]] T get(Bytes bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

[[nodiscard]] std::uint8_t sum(Bytes bytes) {
  unsigned total = 0;
  for (const std::byte b : bytes) total += std::to_integer<unsigned>(b);
  return static_cast<std::uint8_t>(total);
}

[[nodiscard]] bool is_ivhd(std::uint8_t type) {
  return type == ivrs::ivhd::kType10 || type == ivrs::ivhd::kType11 || type == ivrs::ivhd::kType40;
}

class Parse {
 public:
  explicit Parse(Bytes table) : table_(table) {}

  [[nodiscard]] Result<Coverage, TableError> run() {
    if (auto wrong = check_header()) return Failure{std::move(*wrong)};
    if (auto wrong = each_block(&Parse::note_type)) return Failure{std::move(*wrong)};
    if (auto wrong = each_block(&Parse::read_block)) return Failure{std::move(*wrong)};
    return std::move(coverage_);
  }

 private:
  using OnBlock = std::optional<TableError> (Parse::*)(std::size_t at, std::size_t length);

  [[nodiscard]] static TableError error(std::size_t offset, std::string cause) {
    return {.offset = offset, .cause = std::move(cause)};
  }

  [[nodiscard]] std::optional<TableError> check_header() {
    namespace header = ivrs::header;
    if (table_.size() < header::kBytes) return error(0, "shorter than an IVRS header");
    if (std::memcmp(table_.data(), kSignature.data(), kSignature.size()) != 0)
      return error(header::kSignature, "signature is not IVRS");
    const auto length = get<std::uint32_t>(table_, header::kLength);
    if (length < header::kBytes)
      return error(header::kLength, "length is shorter than an IVRS header");
    if (length > table_.size()) return error(header::kLength, "table is cut off");
    table_ = table_.first(length);
    if (sum(table_) != 0) return error(header::kChecksum, "checksum is wrong");
    return std::nullopt;
  }

  [[nodiscard]] std::optional<TableError> each_block(OnBlock on_block) {
    for (std::size_t at = ivrs::header::kBytes; at < table_.size();) {
      if (table_.size() - at < ivrs::block::kBytes) return error(at, "block header is cut off");
      const auto length = get<std::uint16_t>(table_, at + ivrs::block::kLength);
      if (length < ivrs::block::kBytes) return error(at, "block is shorter than its own header");
      if (length > table_.size() - at) return error(at, "block runs past the end of the table");
      if (auto wrong = (this->*on_block)(at, length)) return wrong;
      at += length;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<TableError> note_type(std::size_t at, std::size_t) {
    const auto type = get<std::uint8_t>(table_, at + ivrs::block::kType);
    if (is_ivhd(type)) highest_ = std::max(highest_, type);
    return std::nullopt;
  }

  [[nodiscard]] std::optional<TableError> read_block(std::size_t at, std::size_t length) {
    namespace ivhd = ivrs::ivhd;
    const auto type = get<std::uint8_t>(table_, at + ivrs::block::kType);
    if (!is_ivhd(type) || type != highest_) return std::nullopt;
    const std::size_t fields = type == ivhd::kType10 ? ivhd::kBytes10 : ivhd::kBytes;
    if (length < fields) return error(at, "hardware definition is shorter than its fields");
    unit_ = UnitCoverage{};
    unit_.register_base = get<std::uint64_t>(table_, at + ivhd::kBase);
    unit_.segment = get<std::uint16_t>(table_, at + ivhd::kSegment);
    range_.reset();
    const std::size_t end = at + length;
    for (std::size_t entry = at + fields; entry < end;) {
      const auto size = entry_size(entry, end);
      if (!size) return error(entry, "device entry of unknown or too great length");
      if (auto wrong = read_entry(entry)) return wrong;
      entry += *size;
    }
    if (range_) return error(at, "a range of devices has no end");
    coverage_.units.push_back(std::move(unit_));
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::size_t> entry_size(std::size_t at, std::size_t end) const {
    namespace entry = ivrs::entry;
    const auto type = get<std::uint8_t>(table_, at + entry::kType);
    std::size_t size = entry::kShort;
    constexpr std::uint64_t kVariable = 3;
    if (entry::kSize.get(type) == kVariable) {
      if (type != entry::kAcpi || end - at < entry::kAcpiBytes) return std::nullopt;
      size = entry::kAcpiBytes + get<std::uint8_t>(table_, at + entry::kUidLength);
    } else {
      for (std::uint64_t i = 0; i < entry::kSize.get(type); ++i) size *= 2;
    }
    return size <= end - at ? std::optional(size) : std::nullopt;
  }

  void cover(std::uint16_t first, std::uint16_t last) {
    unit_.functions.push_back({.first = first, .last = last});
  }

  [[nodiscard]] std::optional<TableError> read_entry(std::size_t at) {
    namespace entry = ivrs::entry;
    const auto device = get<std::uint16_t>(table_, at + entry::kDevice);
    switch (get<std::uint8_t>(table_, at + entry::kType)) {
      case entry::kAll:
        unit_.rest_of_segment = true;
        break;
      case entry::kSelect:
      case entry::kExtended:
      case entry::kAcpi:
        cover(device, device);
        break;
      case entry::kAlias:
        // The device's requests bear the alias's number.
        cover(device, device);
        cover_alias(at);
        break;
      case entry::kSpecial:
        // An I/O APIC or a timer: a requester of interrupts.
        cover_alias(at);
        break;
      case entry::kRangeStart:
      case entry::kExtendedRange:
      case entry::kAliasRange:
        if (range_) return error(at, "a range of devices begins inside another");
        range_ = device;
        if (get<std::uint8_t>(table_, at + entry::kType) == entry::kAliasRange) cover_alias(at);
        break;
      case entry::kRangeEnd:
        if (!range_) return error(at, "a range of devices ends that did not begin");
        if (device < *range_) return error(at, "a range of devices ends before it begins");
        cover(*range_, device);
        range_.reset();
        break;
      default:
        break;  // padding, and types to come
    }
    return std::nullopt;
  }

  void cover_alias(std::size_t at) {
    const auto source = get<std::uint16_t>(table_, at + ivrs::entry::kSource);
    cover(source, source);
  }

  Bytes table_;
  std::uint8_t highest_ = 0;
  UnitCoverage unit_;
  std::optional<std::uint16_t> range_;
  Coverage coverage_;
};

class IvrsParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(Bytes table) const override {
    return Parse(table).run();
  }
};

}  // namespace

const TableParser& ivrs_parser() {
  static const IvrsParser parser;
  return parser;
}

}  // namespace weir::amdvi
