// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/fields.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "replay/trace_error.h"

namespace weir::verify {
namespace {

using Json = nlohmann::json;

const Json& empty_object() {
  static const Json kEmpty = Json::object();
  return kEmpty;
}

constexpr std::size_t kMostHexDigits = 16;

}  // namespace

Fields::Fields(const Json& value, std::string where, Problem& problem)
    : value_(&value), where_(std::move(where)), problem_(&problem) {
  if (!value.is_object()) {
    problem.set((where_.empty() ? std::string("the line") : where_) + " is not a JSON object");
    value_ = &empty_object();
  }
}

void Fields::complain(const char* key, std::string_view cause) const {
  const std::string dot = where_.empty() ? "" : ".";
  problem_->set(where_ + dot + key + ": " + std::string(cause));
}

bool Fields::has(const char* key) const { return value_->contains(key); }

const Json* Fields::find(const char* key) const {
  const auto at = value_->find(key);
  if (at != value_->end()) return &*at;
  complain(key, "field is missing");
  return nullptr;
}

const Json* Fields::find_list(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr || value->is_array()) return value;
  complain(key, "is not a list");
  return nullptr;
}

std::uint64_t Fields::number_value(const char* key, const Json& value, std::uint64_t most) const {
  if (!value.is_number_unsigned()) {
    complain(key, "is not a whole number of 64 bits or less");
    return 0;
  }
  const auto number = value.get<std::uint64_t>();
  if (number <= most) return number;
  complain(key, std::to_string(number) + " is above " + std::to_string(most));
  return 0;
}

std::uint64_t Fields::hex_value(const char* key, const Json& value, std::uint64_t most) const {
  const auto* digits = value.get_ptr<const std::string*>();
  if (digits == nullptr) {
    complain(key, "is not a string of hexadecimal digits");
    return 0;
  }
  std::uint64_t number = 0;
  const char* const end = digits->data() + digits->size();
  const auto parsed = std::from_chars(digits->data(), end, number, 16);
  if (digits->empty() || digits->size() > kMostHexDigits || parsed.ec != std::errc{} ||
      parsed.ptr != end) {
    complain(key, replay::in_quotes(*digits) + " is not 1 to 16 hexadecimal digits");
    return 0;
  }
  if (number <= most) return number;
  complain(key, replay::in_quotes(*digits) + " is out of range");
  return 0;
}

std::uint64_t Fields::number(const char* key, std::uint64_t most) const {
  const Json* value = find(key);
  return value == nullptr ? 0 : number_value(key, *value, most);
}

std::uint64_t Fields::hex(const char* key, std::uint64_t most) const {
  const Json* value = find(key);
  return value == nullptr ? 0 : hex_value(key, *value, most);
}

std::vector<std::uint64_t> Fields::number_or_list(const char* key, std::uint64_t most) const {
  std::vector<std::uint64_t> numbers;
  const Json* value = find(key);
  if (value == nullptr) return numbers;
  if (!value->is_array()) return {number_value(key, *value, most)};
  for (const Json& one : *value) numbers.push_back(number_value(key, one, most));
  return numbers;
}

std::string Fields::text(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (const auto* text = value->get_ptr<const std::string*>()) return *text;
  complain(key, "is not a string");
  return {};
}

std::vector<std::string> Fields::texts(const char* key) const {
  std::vector<std::string> all;
  const Json* list = find_list(key);
  if (list == nullptr) return all;
  for (const Json& one : *list) {
    const auto* text = one.get_ptr<const std::string*>();
    if (text == nullptr) {
      complain(key, "holds something other than strings");
      return {};
    }
    all.push_back(*text);
  }
  return all;
}

Fields Fields::object(const char* key) const {
  const Json* value = find(key);
  return {value == nullptr ? empty_object() : *value, where_.empty() ? key : where_ + "." + key,
          *problem_};
}

std::vector<Fields> Fields::objects(const char* key) const {
  std::vector<Fields> all;
  const Json* list = find_list(key);
  if (list == nullptr) return all;
  const std::string prefix = where_.empty() ? key : where_ + "." + key;
  for (const Json& one : *list) {
    all.emplace_back(one, prefix + "[" + std::to_string(all.size()) + "]", *problem_);
  }
  return all;
}

std::vector<std::vector<std::uint64_t>> Fields::hex_rows(const char* key, std::size_t least) const {
  std::vector<std::vector<std::uint64_t>> rows;
  const Json* list = find_list(key);
  if (list == nullptr) return rows;
  for (const Json& row : *list) {
    if (!row.is_array() || row.size() < least) {
      complain(key, "holds something other than lists of at least " + std::to_string(least) +
                        " hexadecimal strings");
      return {};
    }
    auto& numbers = rows.emplace_back();
    for (const Json& one : row) numbers.push_back(hex_value(key, one, ~std::uint64_t{0}));
  }
  return rows;
}

std::vector<std::uint64_t> Fields::hex_list(const char* key) const {
  std::vector<std::uint64_t> numbers;
  const Json* list = find_list(key);
  if (list == nullptr) return numbers;
  for (const Json& one : *list) numbers.push_back(hex_value(key, one, ~std::uint64_t{0}));
  return numbers;
}

std::string Fields::dump() const { return value_->dump(); }

std::string Fields::dump(const char* key) const {
  const auto at = value_->find(key);
  return at == value_->end() ? std::string() : at->dump();
}

}  // namespace weir::verify
