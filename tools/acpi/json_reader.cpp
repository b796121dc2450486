// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "tools/acpi/json.h"
#include "tools/acpi/numbers.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/virtio_iommu/viot_fields.h"
#include "vendors/vtd/dmar_fields.h"

namespace weir::tools::acpi {
namespace {

using Json = nlohmann::ordered_json;

[[nodiscard]] std::optional<std::uint64_t> number_in(const Json& json) {
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_string()) return number_of(json.get_ref<const std::string&>());
  return std::nullopt;
}

[[nodiscard]] std::optional<std::string> text_in(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_object() || json.size() != 1 || !json.contains("raw") || !json["raw"].is_string())
    return std::nullopt;
  const auto bytes = bytes_of(json["raw"].get_ref<const std::string&>());
  if (!bytes) return std::nullopt;
  std::string text;
  for (const std::byte b : *bytes) text.push_back(static_cast<char>(b));
  return text;
}

// A visitor (vendors/common/acpi/fields.h) that reads one object. The first error counts.
class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[nodiscard]] std::optional<std::string> finish() {
    for (const auto& [name, value] : object_.items())
      if (!known_.contains(name)) fail(name, "is no field");
    return std::move(error_);
  }
  // Names that are not fields of the table.
  void allow(const char* name) { known_.insert(name); }

  void head(std::size_t) {}
  template <typename T>
  void number(std::string_view name, std::size_t, T& value, Style) {
    const Json* const json = find(name);
    if (json == nullptr) {
      if (!name.starts_with("reserved")) fail(name, "is missing");
      value = 0;
      return;
    }
    const auto read = number_in(*json);
    if (!read || *read > std::numeric_limits<T>::max())
      return fail(name, "is no number of " + std::to_string(sizeof value) + " bytes");
    value = static_cast<T>(*read);
  }
  template <typename T>
  void parts(std::string_view name, std::size_t, T& value, std::span<const Part> parts) {
    const Json* const json = find(name);
    if (json == nullptr) return fail(name, "is missing");
    if (!json->is_object()) return fail(name, "is no object of bit fields");
    std::uint64_t all = 0;
    std::size_t seen = 0;
    for (const Part& part : parts) {
      const auto field = json->find(std::string(part.name));
      if (field == json->end()) continue;  // 0
      ++seen;
      all |= bits(name, *field, part.name, mask_of(part) >> part.low) << part.low;
    }
    if (const auto field = json->find("reserved"); field != json->end()) {
      ++seen;
      const std::uint64_t other = bits(name, *field, "reserved", ~std::uint64_t{0});
      if ((other & ~unclaimed(parts, sizeof value)) != 0)
        return fail(name, "has reserved bits that are a field's");
      all |= other;
    }
    if (seen != json->size()) return fail(name, "has a part that is no bit field of it");
    value = static_cast<T>(all);
  }
  template <std::size_t N>
  void text(std::string_view name, std::size_t, std::array<char, N>& value) {
    const Json* const json = find(name);
    if (json == nullptr) return fail(name, "is missing");
    const auto read = text_in(*json);
    if (!read || read->size() > N)
      return fail(name, "is no text of at most " + std::to_string(N) + " characters");
    value = {};
    read->copy(value.data(), N);
  }
  template <std::size_t N>
  void raw(std::string_view name, std::size_t, std::array<std::byte, N>& value) {
    value = {};
    const auto bytes = optional_bytes(name);
    if (bytes.empty()) return;
    if (bytes.size() != N) return fail(name, "is not " + std::to_string(N) + " bytes long");
    std::ranges::copy(bytes, value.begin());
  }
  void path(std::string_view name, std::vector<PathStep>& steps) {
    const Json* const json = find(name);
    if (json == nullptr || !json->is_array()) return fail(name, "is no list of steps");
    for (const Json& each : *json) {
      const auto step =
          each.is_string() ? step_of(each.get_ref<const std::string&>()) : std::nullopt;
      if (!step) return fail(name, "has a step that is not of the form 1c.4");
      steps.push_back(*step);
    }
  }
  void string(std::string_view name, std::string& text, std::vector<std::byte>& rest) {
    const Json* const json = find(name);
    const auto read = json == nullptr ? std::nullopt : text_in(*json);
    if (!read || read->find('\0') != std::string::npos) return fail(name, "is no text");
    text = *read;
    rest = optional_bytes(std::string(name) + "_rest");
    if (const Json* const zeros = find(std::string(name) + "_zeros")) {
      const auto count = number_in(*zeros);
      if (!count || *count > 0xffff || !rest.empty())
        return fail(std::string(name) + "_zeros", "is no count of zero bytes");
      rest.assign(*count, std::byte{0});
    }
  }
  void rest(std::string_view name, std::vector<std::byte>& bytes) { bytes = optional_bytes(name); }
  void some(std::string_view name, std::vector<std::byte>& bytes, std::size_t) {
    rest(name, bytes);
  }
  template <typename Element>
  void list(std::string_view name, std::vector<Element>& elements, std::size_t = 0) {
    const Json* const json = find(name);
    if (json == nullptr || !json->is_array()) return fail(name, "is no list");
    for (std::size_t i = 0; i < json->size() && !error_; ++i) {
      const Json& each = (*json)[i];
      const std::string where = where_ + std::string(name) + "[" + std::to_string(i) + "].";
      const auto kind = each.is_object() ? each.find("kind") : each.end();
      auto element = kind != each.end() && kind->is_string()
                         ? weir::acpi::Framing<Element>::of(kind->get_ref<const std::string&>())
                         : std::nullopt;
      if (!element) {
        error_ = where + "kind: is no kind of structure here";
        return;
      }
      Reader inner(each, where);
      inner.allow("kind");
      describe(inner, *element);
      error_ = inner.finish();
      elements.push_back(std::move(*element));
    }
  }

 private:
  [[nodiscard]] const Json* find(std::string_view name) {
    known_.insert(std::string(name));
    const auto found = object_.find(std::string(name));
    return found == object_.end() ? nullptr : &*found;
  }
  void fail(std::string_view name, const std::string& cause) {
    if (!error_) error_ = where_ + std::string(name) + ": " + cause;
  }
  [[nodiscard]] std::uint64_t bits(std::string_view name, const Json& json, std::string_view part,
                                   std::uint64_t most) {
    const auto value = number_in(json);
    if (value && *value <= most) return *value;
    fail(std::string(name) + "." + std::string(part), "is no number up to " + std::to_string(most));
    return 0;
  }
  [[nodiscard]] std::vector<std::byte> optional_bytes(std::string_view name) {
    const Json* const json = find(name);
    if (json == nullptr) return {};
    const auto bytes =
        json->is_string() ? bytes_of(json->get_ref<const std::string&>()) : std::nullopt;
    if (bytes) return *bytes;
    fail(name, "is not hexadecimal bytes");
    return {};
  }

  const Json& object_;
  std::string where_;
  std::set<std::string> known_;
  std::optional<std::string> error_;
};

}  // namespace

Result<Table, std::string> from_json(const Json& json) {
  const auto signature = json.is_object() ? json.find("signature") : json.end();
  if (signature == json.end() || !signature->is_string() ||
      !is_supported(signature->get_ref<const std::string&>()))
    return Failure{std::string("signature: is none of DMAR, IVRS and VIOT")};
  Table table = empty_table(signature->get_ref<const std::string&>());
  Reader reader(json, "");
  reader.allow("signature");
  std::visit([&reader](auto& each) { describe(reader, each); }, table);
  if (auto wrong = reader.finish()) return Failure{std::move(*wrong)};
  return table;
}

}  // namespace weir::tools::acpi
