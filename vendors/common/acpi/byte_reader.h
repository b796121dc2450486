// SPDX-License-Identifier: Apache-2.0
//
// The visitor that fills structures from the bytes of a table (see fields.h). Nothing is read past
// a structure's end, and nothing after the first error, which it keeps with its offset.
//
// One thread at a time; no exceptions. Work and memory are linear in the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "iommu/coverage.h"
#include "vendors/common/acpi/fields.h"

namespace weir::acpi {

class ByteReader {
 public:
  // Structures are read from `table`; errors call the first one `what`.
  ByteReader(std::span<const std::byte> table, std::string what)
      : table_(table), end_(table.size()), what_(std::move(what)) {}

  [[nodiscard]] const std::optional<TableError>& error() const { return error_; }
  // For what is not described by fields: the first error counts.
  void fail(std::size_t offset, std::string cause) {
    if (!error_) error_ = TableError{.offset = offset, .cause = std::move(cause)};
  }

  void head(std::size_t bytes) {
    if (bytes > end_ - begin_) return fail(begin_, what_ + " is shorter than its fields");
    read_ = std::max(read_, begin_ + bytes);
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
    const auto left = take_rest();
    if (left.size() % 2 != 0) fail(begin_, what_ + " ends inside a path step");
    for (std::size_t i = 0; i + 1 < left.size(); i += 2)
      steps.push_back({.device = std::to_integer<std::uint8_t>(left[i]),
                       .function = std::to_integer<std::uint8_t>(left[i + 1])});
  }
  void string(std::string_view, std::string& text, std::vector<std::byte>& rest) {
    const auto left = take_rest();
    std::size_t i = 0;
    for (; i < left.size() && left[i] != std::byte{0}; ++i)
      text.push_back(static_cast<char>(left[i]));
    rest.assign(left.begin() + static_cast<std::ptrdiff_t>(i), left.end());
  }
  void rest(std::string_view, std::vector<std::byte>& bytes) {
    const auto left = take_rest();
    bytes.assign(left.begin(), left.end());
  }

  void some(std::string_view, std::vector<std::byte>& bytes, std::size_t count) {
    if (count > end_ - read_) return fail(read_, "the table ends before what its header names");
    const auto some = table_.subspan(std::exchange(read_, read_ + count), count);
    bytes.assign(some.begin(), some.end());
  }

  template <typename Element>
  void list(std::string_view, std::vector<Element>& elements) {
    while (!error_ && read_ < end_) one(elements);
  }
  // As many as a count says.
  template <typename Element>
  void list(std::string_view, std::vector<Element>& elements, std::size_t count) {
    for (std::size_t i = 0; i < count && !error_; ++i) one(elements);
  }

 private:
  void copy(std::size_t at, void* to, std::size_t bytes) {
    if (error_) return;
    if (bytes > end_ - begin_ || at > end_ - begin_ - bytes)
      return fail(begin_, what_ + " is shorter than its fields");
    std::memcpy(to, table_.data() + begin_ + at, bytes);
    read_ = std::max(read_, begin_ + at + bytes);
  }

  [[nodiscard]] std::span<const std::byte> take_rest() {
    if (error_) return {};
    const std::size_t from = std::exchange(read_, end_);
    return table_.subspan(from, end_ - from);
  }

  template <typename Element>
  void one(std::vector<Element>& elements) {
    const auto bytes = Framing<Element>::bytes(table_.subspan(read_, end_ - read_));
    if (!bytes) return fail(read_, bytes.error());
    Element element = Framing<Element>::make(table_.subspan(read_, *bytes));
    ByteReader inner(table_, std::string(Framing<Element>::words(element)));
    inner.begin_ = inner.read_ = read_;
    inner.end_ = read_ + *bytes;
    describe(inner, element);
    set_offset(element, read_);
    error_ = std::move(inner.error_);
    read_ += *bytes;
    elements.push_back(std::move(element));
  }

  std::span<const std::byte> table_;
  std::size_t begin_ = 0;  // of the structure
  std::size_t end_ = 0;
  std::size_t read_ = 0;  // all before has been read
  std::string what_;
  std::optional<TableError> error_;
};

}  // namespace weir::acpi
