// SPDX-License-Identifier: Apache-2.0
#include "tools/json_members.h"

#include <charconv>
#include <utility>

namespace weir::tools {
namespace {

[[nodiscard]] std::optional<std::uint64_t> as_number(const nlohmann::json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (!text.starts_with("0x")) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + 2, end, number, 16);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

JsonMembers::JsonMembers(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) error_ = (where_.empty() ? "the description" : where_) + " is no object";
}

const nlohmann::json* JsonMembers::find(std::string_view name) {
  known_.emplace(name);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

bool JsonMembers::flag(std::string_view name, bool otherwise) {
  const nlohmann::json* const value = find(name);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  refuse(name, "is neither true nor false");
  return otherwise;
}

std::optional<std::uint64_t> JsonMembers::number(std::string_view name, std::uint64_t least,
                                                 std::uint64_t most) {
  const nlohmann::json* const value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto number = as_number(*value);
  if (number && least <= *number && *number <= most) return number;
  refuse(name, "is no number from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<std::string> JsonMembers::text(std::string_view name) {
  const nlohmann::json* const value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  refuse(name, "is no string");
  return std::nullopt;
}

void JsonMembers::refuse(std::string_view name, const std::string& cause) {
  if (error_.empty())
    error_ = (where_.empty() ? "" : where_ + ".") + std::string(name) + " " + cause;
}

std::string JsonMembers::error() {
  if (error_.empty())
    for (const auto& [name, value] : object_.items())
      if (!known_.contains(name)) refuse(name, "is not known");
  return error_;
}

}  // namespace weir::tools
