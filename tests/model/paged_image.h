// SPDX-License-Identifier: Apache-2.0
//
// A few pages of memory from address 0 up, any of them absent or read-only: what the generators of
// worlds build tables in. Not for several threads while it changes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tests/model/model.h"

namespace weir::model {

class PagedImage : public Image {
 public:
  using Words = std::array<std::uint64_t, 512>;

  explicit PagedImage(std::size_t pages) : pages_(pages) {}

  [[nodiscard]] std::optional<std::uint64_t> load(std::uint64_t address) const override {
    if (!holds(address)) return std::nullopt;
    return pages_[address / kPageBytes].words[address % kPageBytes / 8];
  }
  [[nodiscard]] bool writable(std::uint64_t address) const override {
    return holds(address) && !pages_[address / kPageBytes].read_only;
  }
  // REQUIRES: the page exists, absent or not.
  void store(std::uint64_t address, std::uint64_t word) {
    pages_.at(address / kPageBytes).words.at(address % kPageBytes / 8) = word;
  }

  // Page n is at address n * 4096.
  [[nodiscard]] std::size_t page_count() const { return pages_.size(); }
  [[nodiscard]] std::span<const std::uint64_t> words(std::size_t page) const {
    return pages_.at(page).words;
  }
  [[nodiscard]] bool absent(std::size_t page) const { return pages_.at(page).absent; }
  [[nodiscard]] bool read_only(std::size_t page) const { return pages_.at(page).read_only; }
  void make_absent(std::size_t page) { pages_.at(page).absent = true; }
  void make_read_only(std::size_t page) { pages_.at(page).read_only = true; }

  static constexpr std::uint64_t kPageBytes = 4096;

 private:
  struct Page {
    Words words{};
    bool absent = false;
    bool read_only = false;
  };

  [[nodiscard]] bool holds(std::uint64_t address) const {
    const std::uint64_t page = address / kPageBytes;
    return page < pages_.size() && !pages_[page].absent;
  }

  std::vector<Page> pages_;
};

}  // namespace weir::model
