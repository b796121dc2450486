// SPDX-License-Identifier: Apache-2.0
//
// Tables of real machines, which are data to read and no part of this tree: the folder that
// WEIR_ACPI_TABLES names, else ../shared/acpi beside the source tree or one above. And iasl, where
// it is installed. Tests that find neither say so and are skipped.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace weir::tools::acpi::test {

using Bytes = std::vector<std::byte>;

// Files with a DMAR or an IVRS in them, sorted; empty: no such folder.
[[nodiscard]] std::vector<std::string> real_tables();
[[nodiscard]] Bytes bytes_of_file(const std::string& path);

// A folder of the test's own, gone with the object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string put(const std::string& name, std::span<const std::byte> bytes) const;
  [[nodiscard]] std::string put(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

[[nodiscard]] bool have_iasl();

// One line of what iasl says of a table: where, how long, called what, with which value.
struct IaslField {
  std::size_t offset = 0;
  std::size_t length = 0;
  std::string name;
  Bytes value;        // as bytes of the table; empty: of a form that is none
  bool text = false;  // shown as characters, with a blank for what is none
};

struct Decoded {
  std::vector<IaslField> fields;
  std::string complaints;  // lines with warnings, errors, or what it does not know
  std::string source;      // the file that it compiles again
};
[[nodiscard]] Decoded iasl_decode(const Scratch& scratch, std::span<const std::byte> table);
// What iasl makes of it; empty: it refuses.
[[nodiscard]] Bytes iasl_compile(const Scratch& scratch, const Decoded& decoded);

}  // namespace weir::tools::acpi::test
