// SPDX-License-Identifier: Apache-2.0
//
// A JSON object read field by field, for input that may be hostile. The first thing that is wrong
// is kept as a sentence and everything read after it is zero or empty, so that a reader takes all
// the fields it wants in plain code and asks once, at the end, whether they were there.
//
// A Fields is a view: the JSON value and the Problem must outlive it. For one thread. Never throws
// (but for std::bad_alloc) and never prints.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace weir::verify {

// What was wrong first; empty while nothing was.
class Problem {
 public:
  void set(std::string cause) {
    if (cause_.empty()) cause_ = std::move(cause);
  }
  void clear() { cause_.clear(); }
  [[nodiscard]] bool found() const { return !cause_.empty(); }
  [[nodiscard]] const std::string& cause() const { return cause_; }

 private:
  std::string cause_;
};

class Fields {
 public:
  // `where` names the object in messages: "ops[3]"; empty for the line's own object.
  Fields(const nlohmann::json& value, std::string where, Problem& problem);

  [[nodiscard]] bool has(const char* key) const;
  // A decimal number, 0…most.
  [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t most) const;
  // A string of 1…16 hexadecimal digits without 0x, value 0…most.
  [[nodiscard]] std::uint64_t hex(const char* key, std::uint64_t most = ~std::uint64_t{0}) const;
  // The number 0 or 1.
  [[nodiscard]] bool flag(const char* key) const { return number(key, 1) != 0; }
  // The number 0 or 1, or a list of such: what a field may read.
  [[nodiscard]] std::vector<std::uint64_t> number_or_list(const char* key,
                                                          std::uint64_t most) const;
  [[nodiscard]] std::string text(const char* key) const;
  // A list of strings.
  [[nodiscard]] std::vector<std::string> texts(const char* key) const;
  [[nodiscard]] Fields object(const char* key) const;
  [[nodiscard]] std::vector<Fields> objects(const char* key) const;
  // A list of lists of hexadecimal strings, each at least `least` long.
  [[nodiscard]] std::vector<std::vector<std::uint64_t>> hex_rows(const char* key,
                                                                 std::size_t least) const;
  // A list of hexadecimal strings.
  [[nodiscard]] std::vector<std::uint64_t> hex_list(const char* key) const;

  // This object as compact JSON, and one of its fields.
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] std::string dump(const char* key) const;

  // Keeps "<where>.<key>: <cause>"; for checks that are beyond types and ranges.
  void complain(const char* key, std::string_view cause) const;
  [[nodiscard]] bool ok() const { return !problem_->found(); }

 private:
  // The field, or null after a complaint that it is missing.
  [[nodiscard]] const nlohmann::json* find(const char* key) const;
  [[nodiscard]] std::uint64_t hex_value(const char* key, const nlohmann::json& value,
                                        std::uint64_t most) const;
  [[nodiscard]] std::uint64_t number_value(const char* key, const nlohmann::json& value,
                                           std::uint64_t most) const;
  [[nodiscard]] const nlohmann::json* find_list(const char* key) const;

  const nlohmann::json* value_;
  std::string where_;
  Problem* problem_;
};

}  // namespace weir::verify
