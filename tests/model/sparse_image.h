// SPDX-License-Identifier: Apache-2.0
//
// Memory made of whichever pages a test puts there. For one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "tests/model/model.h"

namespace weir::model {

class SparseImage : public Image {
 public:
  // Makes the word's page present, with zeros around it.
  void put(std::uint64_t address, std::uint64_t word) {
    pages_[address / 4096][address % 4096 / 8] = word;
  }
  void make_read_only(std::uint64_t page_address) { read_only_.insert(page_address / 4096); }

  [[nodiscard]] std::optional<std::uint64_t> load(std::uint64_t address) const override {
    const auto page = pages_.find(address / 4096);
    if (page == pages_.end()) return std::nullopt;
    return page->second[address % 4096 / 8];
  }
  [[nodiscard]] bool writable(std::uint64_t address) const override {
    return pages_.contains(address / 4096) && !read_only_.contains(address / 4096);
  }

 private:
  std::map<std::uint64_t, std::array<std::uint64_t, 512>> pages_;
  std::set<std::uint64_t> read_only_;
};

}  // namespace weir::model
