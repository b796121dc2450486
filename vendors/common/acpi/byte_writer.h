// SPDX-License-Identifier: Apache-2.0
//
// The visitor that makes the bytes of a table from structures (see fields.h): what byte_reader.h
// reads is written back byte for byte. A structure that its own length field cannot hold is an
// error, kept with where it would have stood.
//
// One thread at a time.
#pragma once

#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "iommu/coverage.h"
#include "vendors/common/acpi/fields.h"

namespace weir::acpi {

class ByteWriter {
 public:
  [[nodiscard]] const std::optional<TableError>& error() const { return error_; }
  [[nodiscard]] std::vector<std::byte>& bytes() { return table_; }

  // Describing takes structures that can be changed, because readers fill them; this one does not.
  template <typename Table>
  void write(const Table& table) {
    describe(*this, const_cast<Table&>(table));
  }

  void head(std::size_t bytes) {
    if (table_.size() < begin_ + bytes) table_.resize(begin_ + bytes);
  }
  template <typename T>
  void number(std::string_view, std::size_t at, T& value, Style) {
    copy(at, &value, sizeof value);
  }
  template <typename T>
  void parts(std::string_view, std::size_t at, T& value, std::span<const Part>) {
    copy(at, &value, sizeof value);
  }
  template <std::size_t N>
  void text(std::string_view, std::size_t at, std::array<char, N>& value) {
    copy(at, value.data(), N);
  }
  template <std::size_t N>
  void raw(std::string_view, std::size_t at, std::array<std::byte, N>& value) {
    copy(at, value.data(), N);
  }

  void path(std::string_view, std::vector<PathStep>& steps) {
    for (const PathStep step : steps) {
      table_.push_back(static_cast<std::byte>(step.device));
      table_.push_back(static_cast<std::byte>(step.function));
    }
  }
  void string(std::string_view, std::string& text, std::vector<std::byte>& rest) {
    for (const char c : text) table_.push_back(static_cast<std::byte>(c));
    table_.insert(table_.end(), rest.begin(), rest.end());
  }
  void rest(std::string_view, std::vector<std::byte>& bytes) {
    table_.insert(table_.end(), bytes.begin(), bytes.end());
  }

  void some(std::string_view name, std::vector<std::byte>& bytes, std::size_t) {
    rest(name, bytes);
  }

  template <typename Element>
  void list(std::string_view, std::vector<Element>& elements) {
    for (Element& element : elements) {
      const std::size_t outer = std::exchange(begin_, table_.size());
      describe(*this, element);
      const auto made = std::span(table_).subspan(begin_);
      if (const auto wrong = Framing<Element>::seal(element, made); !wrong && !error_)
        error_ = TableError{.offset = begin_, .cause = wrong.error()};
      begin_ = outer;
    }
  }
  template <typename Element>
  void list(std::string_view name, std::vector<Element>& elements, std::size_t) {
    list(name, elements);
  }

 private:
  void copy(std::size_t at, const void* from, std::size_t bytes) {
    if (table_.size() < begin_ + at + bytes) table_.resize(begin_ + at + bytes);
    std::memcpy(table_.data() + begin_ + at, from, bytes);
  }

  std::vector<std::byte> table_;
  std::size_t begin_ = 0;  // of the structure
  std::optional<TableError> error_;
};

// The length as `T` at `at`, the structure's own.
template <typename T>
[[nodiscard]] Result<Done, std::string> put_length(std::span<std::byte> structure, std::size_t at) {
  if (structure.size() > std::numeric_limits<T>::max())
    return Failure{std::string("a structure is longer than its length field can say")};
  const auto length = static_cast<T>(structure.size());
  std::memcpy(structure.data() + at, &length, sizeof length);
  return Done{};
}

}  // namespace weir::acpi
