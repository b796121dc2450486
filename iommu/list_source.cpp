// SPDX-License-Identifier: Apache-2.0
#include "iommu/list_source.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace weir {
namespace {

[[nodiscard]] std::optional<std::uint64_t> digits(std::string_view text, int base,
                                                  std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || value > most)
    return std::nullopt;
  return value;
}

[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  return digits(text.substr(hex ? 2 : 0), hex ? 16 : 10, ~std::uint64_t{0});
}

// "1c.4"
[[nodiscard]] std::optional<PathStep> step(std::string_view text) {
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) return std::nullopt;
  const auto device = digits(text.substr(0, point), 16, 0x1f);
  const auto function = digits(text.substr(point + 1), 16, 7);
  if (!device || !function) return std::nullopt;
  return PathStep{static_cast<std::uint8_t>(*device), static_cast<std::uint8_t>(*function)};
}

// "00:1c.4", and more steps after slashes.
[[nodiscard]] std::optional<DeviceScope> scope(std::string_view text, DeviceScope::Kind kind) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto bus = digits(text.substr(0, colon), 16, 0xff);
  if (!bus) return std::nullopt;
  DeviceScope made{.kind = kind, .start_bus = static_cast<std::uint8_t>(*bus)};
  for (std::string_view left = text.substr(colon + 1);;) {
    const std::size_t slash = left.find('/');
    const auto next = step(left.substr(0, slash));
    if (!next) return std::nullopt;
    made.path.push_back(*next);
    if (slash == std::string_view::npos) return made;
    left = left.substr(slash + 1);
  }
}

[[nodiscard]] std::optional<std::uint16_t> bdf(std::string_view text) {
  const auto one = scope(text, DeviceScope::Kind::kEndpoint);
  if (!one || one->path.size() != 1) return std::nullopt;
  return Requester::from_bdf(one->start_bus, one->path[0].device, one->path[0].function).bdf;
}

class Parse {
 public:
  explicit Parse(std::string_view text) : text_(text) {}

  [[nodiscard]] Result<Coverage, TableError> run() {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      line = line.substr(0, line.find('#'));
      if (const char* const wrong = take(line)) return Failure{TableError{at, wrong}};
      at = end + 1;
    }
    return std::move(coverage_);
  }

 private:
  [[nodiscard]] static std::string_view word(std::string_view& line) {
    constexpr std::string_view kBlank = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    const std::string_view first = line.substr(0, line.find_first_of(kBlank));
    line.remove_prefix(first.size());
    return first;
  }

  // Null: good.
  [[nodiscard]] const char* take(std::string_view line) {
    const std::string_view what = word(line);
    if (what.empty()) return nullptr;
    const std::string_view value = word(line);
    if (what == "unit") return take_unit(value, line);
    if (!word(line).empty()) return "more on the line than belongs there";
    if (coverage_.units.empty()) return "comes before any unit";
    UnitCoverage& unit = coverage_.units.back();
    using Kind = DeviceScope::Kind;
    if (what == "function" || what == "path") return add(unit, value, Kind::kEndpoint);
    if (what == "below") return add(unit, value, Kind::kSubHierarchy);
    if (what == "io_apic") return add(unit, value, Kind::kIoApic);
    if (what == "hpet") return add(unit, value, Kind::kHpet);
    if (what == "range") return add_range(unit, value);
    if (what == "rest" && value.empty()) {
      unit.rest_of_segment = true;
      return nullptr;
    }
    if (what == "mmio") {
      const auto base = number(value);
      if (!base) return "is no address";
      unit.mmio_devices.push_back(*base);
      return nullptr;
    }
    return "is no kind of line";
  }

  [[nodiscard]] const char* take_unit(std::string_view value, std::string_view line) {
    const auto base = number(value);
    if (!base) return "a unit has no address";
    UnitCoverage unit{.register_base = *base};
    if (const std::string_view segment = word(line); !segment.empty()) {
      const auto which = digits(word(line), 10, 0xffff);
      if (segment != "segment" || !which || !word(line).empty())
        return "a unit's line goes on with something else than its segment";
      unit.segment = static_cast<std::uint16_t>(*which);
    }
    coverage_.units.push_back(std::move(unit));
    return nullptr;
  }

  [[nodiscard]] static const char* add(UnitCoverage& unit, std::string_view value,
                                       DeviceScope::Kind kind) {
    auto made = scope(value, kind);
    if (!made) return "is no function";
    unit.scopes.push_back(std::move(*made));
    return nullptr;
  }

  [[nodiscard]] static const char* add_range(UnitCoverage& unit, std::string_view value) {
    const std::size_t dash = value.find('-');
    const auto first = bdf(value.substr(0, dash));
    const auto last = dash == std::string_view::npos ? std::nullopt : bdf(value.substr(dash + 1));
    if (!first || !last || *last < *first) return "is no range of functions";
    unit.functions.push_back({*first, *last});
    return nullptr;
  }

  std::string_view text_;
  Coverage coverage_;
};

class ListParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    return Parse({reinterpret_cast<const char*>(table.data()), table.size()}).run();
  }
};

}  // namespace

const TableParser& list_parser() {
  static const ListParser parser;
  return parser;
}

}  // namespace weir
