// SPDX-License-Identifier: Apache-2.0
//
// Takes the members of a JSON object one by one, each with its type and range, and at the end
// refuses what nobody asked for. The first thing that is wrong is remembered, as one sentence that
// names the member. One thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace weir::tools {

class JsonMembers {
 public:
  // `where` for messages: "devices[0]"; empty: the whole.
  JsonMembers(const nlohmann::json& object, std::string where);

  [[nodiscard]] const nlohmann::json* find(std::string_view name);
  [[nodiscard]] bool flag(std::string_view name, bool otherwise);
  // A number, or a string that begins with 0x.
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name, std::uint64_t least,
                                                    std::uint64_t most);
  [[nodiscard]] std::uint64_t number_or(std::string_view name, std::uint64_t least,
                                        std::uint64_t most, std::uint64_t otherwise) {
    return number(name, least, most).value_or(otherwise);
  }
  [[nodiscard]] std::optional<std::string> text(std::string_view name);

  void refuse(std::string_view name, const std::string& cause);
  // What was refused so far; empty: nothing.
  [[nodiscard]] const std::string& refused() const { return error_; }
  // The same, after the last member. Empty: everything was understood.
  [[nodiscard]] std::string error();

 private:
  const nlohmann::json& object_;
  const std::string where_;
  std::set<std::string, std::less<>> known_;
  std::string error_;
};

}  // namespace weir::tools
