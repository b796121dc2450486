// SPDX-License-Identifier: Apache-2.0
#include "bench/workload.h"

#include <algorithm>
#include <random>

namespace weir::bench {
namespace {

// Every second page of the two large slots, so that no two chosen ones touch.
std::vector<Gpa> spread_pages() {
  std::vector<Gpa> pages;
  for (const Workload::Slot& slot : Workload::kSlots) {
    if (slot.first == 0) continue;
    for (std::uint64_t at = 0; at + kPageSize <= slot.size; at += 2 * kPageSize)
      pages.push_back(Gpa(slot.first + at));
  }
  return pages;
}

}  // namespace

Workload::Workload(const WorkloadOptions& options) : gpas_(spread_pages()) {
  std::mt19937_64 random(20'260'821);  // the same requests in every run
  std::shuffle(gpas_.begin(), gpas_.end(), random);
  gpas_.resize(options.pages);
  std::uniform_int_distribution<std::uint64_t> any(0,
                                                   options.pages * (kPageSize / kRequestBytes) - 1);
  requests_.reserve(options.requests);
  for (std::size_t i = 0; i < options.requests; ++i)
    requests_.push_back(static_cast<std::uint32_t>(any(random) * kRequestBytes));
  for (std::size_t i = 0; i < batches(); ++i) {
    std::uint64_t there = 0;
    std::uint64_t here = 0;
    for (const std::uint32_t request : batch(i)) {
      there += expected(translated_.base + request).value();
      here += (identity_.base + request).value();
    }
    translated_.sums.push_back(there);
    identity_.sums.push_back(here);
  }
}

}  // namespace weir::bench
