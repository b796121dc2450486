// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/text.h"

#include <algorithm>
#include <array>
#include <ostream>
#include <string>

#include "base/ids.h"
#include "iommu/topology.h"
#include "tools/acpi/numbers.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/virtio_iommu/viot_fields.h"
#include "vendors/vtd/dmar_fields.h"

namespace weir::tools::acpi {
namespace {

// A visitor (vendors/common/acpi/fields.h) that prints one line, and the structures within below.
class Printer {
 public:
  Printer(std::ostream& out, std::size_t depth) : out_(out), depth_(depth) {}

  void begin(std::size_t offset, std::string_view kind) {
    line_ = number_text(offset, Style::kHex);
    line_.resize(std::max<std::size_t>(line_.size(), 7), ' ');
    line_ += std::string(depth_ * 2, ' ') + std::string(kind);
  }
  void end() {
    if (!line_.empty()) out_ << line_ << "\n";
    line_.clear();
  }

  void head(std::size_t) {}
  template <typename T>
  void number(std::string_view name, std::size_t, T& value, Style style) {
    if (name.starts_with("reserved") && value == 0) return;
    say(name, number_text(value, style));
  }
  template <typename T>
  void parts(std::string_view name, std::size_t, T& value, std::span<const Part> parts) {
    std::string text;
    for (const Part& part : parts) {
      const std::uint64_t bits = (value & mask_of(part)) >> part.low;
      if (bits == 0) continue;
      if (!text.empty()) text += ' ';
      text += part.name;
      if (part.high != part.low) text.append("=").append(std::to_string(bits));
    }
    if (const std::uint64_t other = value & unclaimed(parts, sizeof value)) {
      if (!text.empty()) text += ' ';
      text += "reserved=";
      text += number_text(other, Style::kHex);
    }
    if (!text.empty()) say(name, text, "{", "}");
  }
  template <std::size_t N>
  void text(std::string_view name, std::size_t, std::array<char, N>& value) {
    std::string_view all(value.data(), N);
    while (!all.empty() && all.back() == '\0') all.remove_suffix(1);
    quote(name, all);
  }
  template <std::size_t N>
  void raw(std::string_view name, std::size_t, std::array<std::byte, N>& value) {
    if (std::ranges::any_of(value, [](std::byte b) { return b != std::byte{0}; }))
      say(name, hex_text(value));
  }
  void path(std::string_view name, std::vector<PathStep>& steps) {
    std::string text;
    for (const PathStep step : steps) {
      if (!text.empty()) text += ' ';
      text += step_text(step);
    }
    say(name, text);
  }
  void string(std::string_view name, std::string& text, std::vector<std::byte>&) {
    quote(name, text);
  }
  void rest(std::string_view name, std::vector<std::byte>& bytes) {
    if (!bytes.empty()) say(name, hex_text(bytes));
  }
  void some(std::string_view name, std::vector<std::byte>& bytes, std::size_t) {
    rest(name, bytes);
  }
  template <typename Element>
  void list(std::string_view, std::vector<Element>& elements, std::size_t = 0) {
    end();
    for (Element& element : elements) {
      Printer inner(out_, depth_ + 1);
      inner.begin(offset_of(element), weir::acpi::Framing<Element>::kind(element));
      describe(inner, element);
      inner.end();
    }
  }

 private:
  template <typename Element>
  [[nodiscard]] static std::size_t offset_of(const Element& element) {
    if constexpr (requires { element.offset; }) {
      return element.offset;
    } else {
      return std::visit([](const auto& each) { return each.offset; }, element);
    }
  }
  void say(std::string_view name, std::string_view value, std::string_view before = "",
           std::string_view after = "") {
    line_.append("  ").append(name).append(" ").append(before).append(value).append(after);
  }
  void quote(std::string_view name, std::string_view value) {
    if (is_readable(value)) return say(name, value, "\"", "\"");
    say(name, hex_text(std::as_bytes(std::span(value))));
  }

  std::ostream& out_;
  std::size_t depth_;
  std::string line_;
};

[[nodiscard]] std::string words_for(const DeviceScope& scope, std::uint16_t segment) {
  constexpr std::array<const char*, 5> kKinds = {"", "all below ", "I/O APIC ", "HPET ",
                                                 "named device "};
  std::string text = kKinds[static_cast<std::size_t>(scope.kind)];
  const PathStep first = scope.path.front();
  text += to_string(Requester::from_bdf(scope.start_bus, first.device, first.function, segment));
  for (std::size_t i = 1; i < scope.path.size(); ++i)
    text.append("/").append(step_text(scope.path[i]));
  return text;
}

[[nodiscard]] std::string words_for(FunctionRange range, std::uint16_t segment) {
  const std::string first = to_string(Requester::from_sid(range.first, segment));
  if (range.first == range.last) return first;
  std::string text = first;
  return text.append("-").append(to_string(Requester::from_sid(range.last, segment)));
}

void print_unit(std::ostream& out, const UnitCoverage& unit) {
  out << "unit " << number_text(unit.register_base, Style::kHex) << ", segment " << unit.segment
      << ":";
  const char* separator = " ";
  const auto say = [&](const std::string& text) {
    out << separator << text;
    separator = ", ";
  };
  for (const DeviceScope& scope : unit.scopes) say(words_for(scope, unit.segment));
  for (const FunctionRange range : unit.functions) say(words_for(range, unit.segment));
  for (const std::uint64_t base : unit.mmio_devices)
    say("the device at " + number_text(base, Style::kHex));
  if (unit.rest_of_segment) say("every function that no other unit names");
  out << "\n";
}

}  // namespace

void print_table(std::ostream& out, const Table& table) {
  // Describing takes tables that can be changed, because readers fill them.
  Table copy = table;
  Printer printer(out, 0);
  printer.begin(0, signature_of(table));
  std::visit([&printer](auto& each) { describe(printer, each); }, copy);
  printer.end();
  out << "\nWho is behind which unit; everything else bypasses:\n";
  const auto coverage = coverage_of(table);
  if (!coverage) {
    out << "nothing can be said: offset " << coverage.error().offset << ": "
        << coverage.error().cause << "\n";
    return;
  }
  if (coverage->units.empty()) out << "nobody\n";
  for (const UnitCoverage& unit : coverage->units) print_unit(out, unit);
}

}  // namespace weir::tools::acpi
