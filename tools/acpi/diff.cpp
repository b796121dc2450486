// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/diff.h"

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "tools/acpi/json.h"

namespace weir::tools::acpi {
namespace {

using Json = nlohmann::ordered_json;

class Differences {
 public:
  explicit Differences(std::ostream& out) : out_(out) {}
  [[nodiscard]] bool any() const { return any_; }

  void compare(const std::string& at, const Json& a, const Json& b) {
    if (a == b) return;
    if (a.is_object() && b.is_object()) return compare_objects(at, a, b);
    if (a.is_array() && b.is_array()) return compare_lists(at, a, b);
    only("- ", at, a);
    only("+ ", at, b);
  }

 private:
  void compare_objects(const std::string& at, const Json& a, const Json& b) {
    // A structure of another kind is another structure.
    if (a.value("kind", "") != b.value("kind", "")) {
      only("- ", at, a);
      only("+ ", at, b);
      return;
    }
    for (const auto& [name, value] : a.items()) {
      const auto other = b.find(name);
      if (other == b.end()) {
        only("- ", at + "." + name, value);
      } else {
        compare(at + "." + name, value, *other);
      }
    }
    for (const auto& [name, value] : b.items())
      if (!a.contains(name)) only("+ ", at + "." + name, value);
  }

  // What is equal at both ends is set aside; what is left is compared in pairs where it is as much
  // on both sides, and else stands on one side only.
  void compare_lists(const std::string& at, const Json& a, const Json& b) {
    std::size_t first = 0, a_end = a.size(), b_end = b.size();
    while (first < a_end && first < b_end && a[first] == b[first]) ++first;
    while (a_end > first && b_end > first && a[a_end - 1] == b[b_end - 1]) --a_end, --b_end;
    if (a_end == b_end) {
      for (std::size_t i = first; i < a_end; ++i) compare(element(at, i), a[i], b[i]);
      return;
    }
    for (std::size_t i = first; i < a_end; ++i) only("- ", element(at, i), a[i]);
    for (std::size_t i = first; i < b_end; ++i) only("+ ", element(at, i), b[i]);
  }

  [[nodiscard]] static std::string element(const std::string& at, std::size_t i) {
    return at + "[" + std::to_string(i) + "]";
  }
  void only(const char* side, const std::string& at, const Json& value) {
    any_ = true;
    out_ << side << at.substr(at.starts_with(".") ? 1 : 0) << " " << value.dump() << "\n";
  }

  std::ostream& out_;
  bool any_ = false;
};

}  // namespace

bool print_differences(std::ostream& out, const Table& a, const Table& b) {
  Differences differences(out);
  differences.compare("", to_json(a), to_json(b));
  return differences.any();
}

}  // namespace weir::tools::acpi
