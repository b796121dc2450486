// SPDX-License-Identifier: Apache-2.0
//
// Every field that weir knows of a table, as bytes at an offset: what a table is said to hold, laid
// out again from names and values. A visitor (vendors/common/acpi/fields.h) of its own.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <variant>

#include "tests/tools/acpi/real_tables.h"
#include "tools/acpi/table.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/virtio_iommu/viot_fields.h"
#include "vendors/vtd/dmar_fields.h"

namespace weir::tools::acpi::test {

class FieldMap {
 public:
  // REQUIRES: a parsed table (its structures know where they lie).
  explicit FieldMap(const Table& table) {
    Table copy = table;
    std::visit([this](auto& each) { describe(*this, each); }, copy);
  }

  // Whether fields begin and end there, and what they hold; empty: they do not.
  [[nodiscard]] Bytes at(std::size_t offset, std::size_t length) const {
    if (!borders_.contains(offset) || !borders_.contains(offset + length)) return {};
    Bytes found;
    for (std::size_t i = offset; i < offset + length; ++i) {
      const auto byte = bytes_.find(i);
      if (byte == bytes_.end()) return {};
      found.push_back(byte->second);
    }
    return found;
  }

  void head(std::size_t bytes) { next_ = std::max(next_, base_ + bytes); }
  template <typename T>
  void number(std::string_view, std::size_t at, T& value, weir::acpi::Style) {
    put(at, &value, sizeof value);
  }
  template <typename T>
  void parts(std::string_view, std::size_t at, T& value, std::span<const weir::acpi::Part>) {
    put(at, &value, sizeof value);
  }
  template <std::size_t N>
  void text(std::string_view, std::size_t at, std::array<char, N>& value) {
    put(at, value.data(), N);
  }
  template <std::size_t N>
  void raw(std::string_view, std::size_t at, std::array<std::byte, N>& value) {
    put(at, value.data(), N);
  }
  void path(std::string_view, std::vector<PathStep>& steps) {
    for (const PathStep step : steps) {
      const std::array<std::uint8_t, 2> bytes{step.device, step.function};
      put(next_ - base_, bytes.data(), bytes.size());
    }
  }
  void string(std::string_view, std::string& text, std::vector<std::byte>& rest) {
    const std::size_t at = next_;
    put(next_ - base_, text.data(), text.size());
    put(next_ - base_, rest.data(), rest.size());
    // The name with its zero byte, and what fills it up.
    borders_.insert(at + text.size() + 1);
  }
  // Raw: padding, into which iasl reads fields of its own.
  void rest(std::string_view, std::vector<std::byte>& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) borders_.insert(next_ + i);
    put(next_ - base_, bytes.data(), bytes.size());
  }
  void some(std::string_view, std::vector<std::byte>& bytes, std::size_t) { rest("", bytes); }
  template <typename Element>
  void list(std::string_view, std::vector<Element>& elements, std::size_t = 0) {
    const std::size_t outer = base_;
    for (Element& element : elements) {
      base_ = next_ = offset_of(element);
      describe(*this, element);
    }
    base_ = outer;
  }

 private:
  template <typename Element>
  [[nodiscard]] static std::size_t offset_of(const Element& element) {
    if constexpr (requires { element.offset; }) {
      return element.offset;
    } else {
      return std::visit([](const auto& each) { return each.offset; }, element);
    }
  }
  void put(std::size_t at, const void* from, std::size_t size) {
    Bytes bytes(size);
    if (size != 0) std::memcpy(bytes.data(), from, size);
    for (std::size_t i = 0; i < size; ++i) bytes_[base_ + at + i] = bytes[i];
    borders_.insert(base_ + at);
    borders_.insert(base_ + at + size);
    next_ = std::max(next_, base_ + at + size);
  }

  std::map<std::size_t, std::byte> bytes_;
  std::set<std::size_t> borders_;
  std::size_t base_ = 0;
  std::size_t next_ = 0;
};

}  // namespace weir::tools::acpi::test
