// SPDX-License-Identifier: Apache-2.0
//
// What one tree of page tables is meant to say, leaf by leaf: the model driver's own notes of what
// it wrote, from which it tells a change from a repetition, and by which answers are judged. As in
// the tables, a leaf of 2 MiB or 1 GiB and the smaller ones below it exclude one another.
//
// For one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/access.h"
#include "base/address.h"

namespace weir::replay {

inline constexpr std::uint8_t kPage2mLg2 = 21;
inline constexpr std::uint8_t kPage1gLg2 = 30;

struct MappedLeaf {
  Iova iova;  // its first byte
  std::uint8_t page_lg2 = kPageLg2;
  Gpa gpa;
  Permissions permissions;

  friend bool operator==(const MappedLeaf&, const MappedLeaf&) = default;

  [[nodiscard]] Gpa translate(Iova at) const { return gpa + (at - iova); }
  [[nodiscard]] AddressRange<Iova> range() const {
    return {iova, iova + ((std::uint64_t{1} << page_lg2) - 1)};
  }
};

class LeafMap {
 public:
  // The leaf that `iova` lies in.
  [[nodiscard]] std::optional<MappedLeaf> find(Iova iova) const;

  // Puts a leaf of 4 KiB, 2 MiB or 1 GiB, `iova` and `gpa` multiples of its size, `permissions` not
  // empty. Gives the leaves that went for it, itself not among them if it was there already.
  std::vector<MappedLeaf> put(const MappedLeaf& leaf);
  // Takes away the leaf that `iova` lies in.
  std::optional<MappedLeaf> take(Iova iova);

 private:
  static constexpr unsigned kEntries = 512;
  using Table = std::array<std::uint64_t, kEntries>;  // gpa | permission bits; 0: no leaf

  [[nodiscard]] Table* table_of(Iova iova) const;
  void take_table(Iova first_of_2m, std::vector<MappedLeaf>& gone);
  void take_larger(Iova iova, std::uint8_t page_lg2, std::vector<MappedLeaf>& gone);

  std::unordered_map<std::uint64_t, std::unique_ptr<Table>> tables_;  // by iova >> 21
  std::unordered_map<std::uint64_t, std::uint64_t> pages_2m_;         // by iova >> 21
  std::unordered_map<std::uint64_t, std::uint64_t> pages_1g_;         // by iova >> 30
  // The table looked at last: accesses come in neighbourhoods.
  mutable std::uint64_t last_ = ~std::uint64_t{0};
  mutable Table* last_table_ = nullptr;
};

}  // namespace weir::replay
