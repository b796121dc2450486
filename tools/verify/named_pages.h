// SPDX-License-Identifier: Apache-2.0
//
// Every page of RAM that a case says anything about, or could by a word taken as a pointer; and
// pages that it does not, for a driver's own rings.
//
// For one thread.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "tools/verify/case_parts.h"
#include "tools/verify/guest_ram.h"

namespace weir::verify {

class NamedPages {
 public:
  void add(std::uint64_t address) { pages_.insert(address >> kPageLg2); }
  void add(const std::vector<MemoryRun>& runs);
  void add(const Dma& dma);

  // `count` pages of RAM that are not named; fewer if the case names too much of it.
  [[nodiscard]] std::vector<Gpa> others(const GuestRam& ram, std::size_t count) const;

 private:
  std::set<std::uint64_t> pages_;
};

}  // namespace weir::verify
