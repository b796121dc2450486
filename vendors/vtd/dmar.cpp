// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/dmar.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "vendors/vtd/dmar_layout.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd {
namespace {

using Bytes = std::span<const std::byte>;

inline constexpr std::string_view kSignature = "DMAR";

// REQUIRES: the value lies inside. Tables are little-endian, as the host is (asserted in base/).
template <typename T>
[[nodiscard]] T get(Bytes bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <typename T>
void put(std::vector<std::byte>& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// Adding every byte of a sound table gives 0.
[[nodiscard]] std::uint8_t sum(Bytes bytes) {
  std::uint8_t total = 0;
  for (const std::byte b : bytes)
    total = static_cast<std::uint8_t>(total + std::to_integer<unsigned>(b));
  return total;
}

// One pass over a table. Each step answers with what was wrong, or nothing.
class Parse {
 public:
  explicit Parse(Bytes table) : table_(table) {}

  [[nodiscard]] Result<Coverage, TableError> run() {
    if (auto wrong = check_header()) return Failure{std::move(*wrong)};
    for (std::size_t at = dmar::header::kBytes; at < table_.size();) {
      if (table_.size() - at < dmar::structure::kBytes)
        return Failure{error(at, "structure header is cut off")};
      const auto length = get<std::uint16_t>(table_, at + dmar::structure::kLength);
      if (length < dmar::structure::kBytes)
        return Failure{error(at, "structure is shorter than its own header")};
      if (length > table_.size() - at)
        return Failure{error(at, "structure runs past the end of the table")};
      if (get<std::uint16_t>(table_, at + dmar::structure::kType) == dmar::drhd::kType)
        if (auto wrong = read_unit(at, length)) return Failure{std::move(*wrong)};
      at += length;
    }
    return std::move(coverage_);
  }

 private:
  [[nodiscard]] static TableError error(std::size_t offset, std::string cause) {
    return {.offset = offset, .cause = std::move(cause)};
  }

  [[nodiscard]] std::optional<TableError> check_header() {
    if (table_.size() < dmar::header::kBytes) return error(0, "shorter than a DMAR header");
    if (std::memcmp(table_.data(), kSignature.data(), kSignature.size()) != 0)
      return error(dmar::header::kSignature, "signature is not DMAR");
    const auto length = get<std::uint32_t>(table_, dmar::header::kLength);
    if (length < dmar::header::kBytes)
      return error(dmar::header::kLength, "length is shorter than a DMAR header");
    if (length > table_.size()) return error(dmar::header::kLength, "table is cut off");
    table_ = table_.first(length);
    if (sum(table_) != 0) return error(dmar::header::kChecksum, "checksum is wrong");
    return std::nullopt;
  }

  [[nodiscard]] std::optional<TableError> read_unit(std::size_t at, std::size_t length) {
    if (length < dmar::drhd::kBytes) return error(at, "remapping unit is shorter than its fields");
    UnitCoverage unit;
    unit.register_base = get<std::uint64_t>(table_, at + dmar::drhd::kBase);
    unit.segment = get<std::uint16_t>(table_, at + dmar::drhd::kSegment);
    unit.rest_of_segment =
        dmar::drhd::kIncludePciAll.is_set(get<std::uint8_t>(table_, at + dmar::drhd::kFlags));
    const std::size_t end = at + length;
    for (std::size_t scope = at + dmar::drhd::kBytes; scope < end;) {
      if (end - scope < dmar::scope::kPath) return error(scope, "device scope header is cut off");
      const auto scope_length = get<std::uint8_t>(table_, scope + dmar::scope::kLength);
      if (scope_length < dmar::scope::kPath + dmar::scope::kStepBytes)
        return error(scope, "device scope is too short for a path");
      if (scope_length > end - scope)
        return error(scope, "device scope runs past its remapping unit");
      if (auto wrong = read_scope(scope, scope_length, unit)) return wrong;
      scope += scope_length;
    }
    coverage_.units.push_back(std::move(unit));
    return std::nullopt;
  }

  [[nodiscard]] std::optional<TableError> read_scope(std::size_t at, std::size_t length,
                                                     UnitCoverage& unit) {
    DeviceScope scope;
    switch (get<std::uint8_t>(table_, at + dmar::scope::kType)) {
      case dmar::scope::kEndpoint:
        scope.kind = DeviceScope::Kind::kEndpoint;
        break;
      case dmar::scope::kSubHierarchy:
        scope.kind = DeviceScope::Kind::kSubHierarchy;
        break;
      default:
        // Interrupt controllers, timers and namespace devices make no PCI requests of their own;
        // types to come are stepped over as 8.3.1 wants it.
        return std::nullopt;
    }
    if ((length - dmar::scope::kPath) % dmar::scope::kStepBytes != 0)
      return error(at, "device scope ends inside a path step");
    scope.start_bus = get<std::uint8_t>(table_, at + dmar::scope::kStartBus);
    for (std::size_t step = at + dmar::scope::kPath; step < at + length;
         step += dmar::scope::kStepBytes) {
      const PathStep path{.device = get<std::uint8_t>(table_, step),
                          .function = get<std::uint8_t>(table_, step + 1)};
      if (path.device >= dmar::scope::kDevices || path.function >= dmar::scope::kFunctions)
        return error(step, "path names a device above 31 or a function above 7");
      scope.path.push_back(path);
    }
    unit.scopes.push_back(std::move(scope));
    return std::nullopt;
  }

  Bytes table_;
  Coverage coverage_;
};

class DmarParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(Bytes table) const override {
    return Parse(table).run();
  }
};

// Appends zeroed bytes; the offset of the first.
[[nodiscard]] std::size_t grow(std::vector<std::byte>& table, std::size_t bytes) {
  const std::size_t at = table.size();
  table.resize(at + bytes);
  return at;
}

void put_text(std::vector<std::byte>& table, std::size_t at, std::string_view text) {
  std::memcpy(table.data() + at, text.data(), text.size());
}

void append_scope(std::vector<std::byte>& table, const DeviceScope& scope) {
  const std::size_t length = dmar::scope::kPath + scope.path.size() * dmar::scope::kStepBytes;
  const std::size_t at = grow(table, length);
  put(table, at + dmar::scope::kType,
      scope.kind == DeviceScope::Kind::kEndpoint ? dmar::scope::kEndpoint
                                                 : dmar::scope::kSubHierarchy);
  put(table, at + dmar::scope::kLength, static_cast<std::uint8_t>(length));
  put(table, at + dmar::scope::kStartBus, scope.start_bus);
  std::size_t step = at + dmar::scope::kPath;
  for (const PathStep& path : scope.path) {
    put(table, step, path.device);
    put(table, step + 1, path.function);
    step += dmar::scope::kStepBytes;
  }
}

void append_unit(std::vector<std::byte>& table, const UnitCoverage& unit) {
  const std::size_t at = grow(table, dmar::drhd::kBytes);
  put(table, at + dmar::structure::kType, dmar::drhd::kType);
  put(table, at + dmar::drhd::kFlags,
      static_cast<std::uint8_t>(dmar::drhd::kIncludePciAll.of(unit.rest_of_segment)));
  // 2^1 pages.
  static_assert(Unit::kRegisterBytes == 2 * kPageSize);
  put(table, at + dmar::drhd::kSize, std::uint8_t{1});
  put(table, at + dmar::drhd::kSegment, unit.segment);
  put(table, at + dmar::drhd::kBase, unit.register_base);
  for (const DeviceScope& scope : unit.scopes) append_scope(table, scope);
  put(table, at + dmar::structure::kLength, static_cast<std::uint16_t>(table.size() - at));
}

}  // namespace

const TableParser& dmar_parser() {
  static const DmarParser parser;
  return parser;
}

std::vector<std::byte> build_dmar(const Coverage& coverage, const DmarOptions& options) {
  namespace header = dmar::header;
  std::vector<std::byte> table(header::kBytes);
  put_text(table, header::kSignature, kSignature);
  put(table, header::kRevision, std::uint8_t{1});
  put_text(table, header::kOemId, "WEIR  ");
  put_text(table, header::kOemTableId, "WEIRDMAR");
  put(table, header::kOemRevision, std::uint32_t{1});
  put_text(table, header::kCreatorId, "WEIR");
  put(table, header::kCreatorRevision, std::uint32_t{1});
  put(table, header::kHostAddressWidth, static_cast<std::uint8_t>(options.host_address_bits - 1));
  put(table, header::kFlags,
      static_cast<std::uint8_t>(header::kInterruptRemapping.of(options.interrupt_remapping)));
  for (const UnitCoverage& unit : coverage.units) append_unit(table, unit);
  put(table, header::kLength, static_cast<std::uint32_t>(table.size()));
  put(table, header::kChecksum, static_cast<std::uint8_t>(-sum(table)));
  return table;
}

}  // namespace weir::vtd
