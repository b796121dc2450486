// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/acpi/json.h"
#include "tools/acpi/numbers.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/virtio_iommu/viot_fields.h"
#include "vendors/vtd/dmar_fields.h"

namespace weir::tools::acpi {
namespace {

using Json = nlohmann::ordered_json;

[[nodiscard]] Json number_json(std::uint64_t value, Style style) {
  if (style == Style::kDecimal) return value;
  return number_text(value, style);
}

[[nodiscard]] Json text_json(std::string_view text) {
  if (is_readable(text)) return text;
  return Json{{"raw", hex_text(std::as_bytes(std::span(text)))}};
}

// A visitor (vendors/common/acpi/fields.h) that writes one object.
class Writer {
 public:
  explicit Writer(Json& object) : object_(object) {}

  void head(std::size_t) {}
  template <typename T>
  void number(std::string_view name, std::size_t, T& value, Style style) {
    if (name.starts_with("reserved") && value == 0) return;
    object_[std::string(name)] = number_json(value, style);
  }
  template <typename T>
  void parts(std::string_view name, std::size_t, T& value, std::span<const Part> parts) {
    Json bits = Json::object();
    for (const Part& part : parts)
      bits[std::string(part.name)] = (value & mask_of(part)) >> part.low;
    if (const std::uint64_t other = value & unclaimed(parts, sizeof value))
      bits["reserved"] = number_text(other, Style::kHex);
    object_[std::string(name)] = std::move(bits);
  }
  template <std::size_t N>
  void text(std::string_view name, std::size_t, std::array<char, N>& value) {
    std::string_view all(value.data(), N);
    while (!all.empty() && all.back() == '\0') all.remove_suffix(1);
    object_[std::string(name)] = text_json(all);
  }
  template <std::size_t N>
  void raw(std::string_view name, std::size_t, std::array<std::byte, N>& value) {
    if (std::ranges::any_of(value, [](std::byte b) { return b != std::byte{0}; }))
      object_[std::string(name)] = hex_text(value);
  }
  void path(std::string_view name, std::vector<PathStep>& steps) {
    Json list = Json::array();
    for (const PathStep step : steps) list.push_back(step_text(step));
    object_[std::string(name)] = std::move(list);
  }
  void string(std::string_view name, std::string& text, std::vector<std::byte>& rest) {
    object_[std::string(name)] = text_json(text);
    if (rest.empty()) return;
    if (std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; })) {
      object_[std::string(name) + "_zeros"] = rest.size();
    } else {
      object_[std::string(name) + "_rest"] = hex_text(rest);
    }
  }
  void rest(std::string_view name, std::vector<std::byte>& bytes) {
    if (!bytes.empty()) object_[std::string(name)] = hex_text(bytes);
  }
  void some(std::string_view name, std::vector<std::byte>& bytes, std::size_t) {
    rest(name, bytes);
  }
  template <typename Element>
  void list(std::string_view name, std::vector<Element>& elements, std::size_t = 0) {
    Json list = Json::array();
    for (Element& element : elements) {
      Json one = Json::object();
      one["kind"] = weir::acpi::Framing<Element>::kind(element);
      Writer inner(one);
      describe(inner, element);
      list.push_back(std::move(one));
    }
    object_[std::string(name)] = std::move(list);
  }

 private:
  Json& object_;
};

}  // namespace

Json to_json(const Table& table) {
  Json object = Json::object();
  object["signature"] = signature_of(table);
  // Describing takes tables that can be changed, because readers fill them.
  Table copy = table;
  Writer writer(object);
  std::visit([&writer](auto& each) { describe(writer, each); }, copy);
  return object;
}

}  // namespace weir::tools::acpi
