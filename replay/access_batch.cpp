// SPDX-License-Identifier: Apache-2.0
#include "replay/access_batch.h"

#include <algorithm>

namespace weir::replay {

double AccessBatch::Times::median_ns() const {
  std::vector<Batch> sorted = each;
  std::sort(sorted.begin(), sorted.end(),
            [](const Batch& a, const Batch& b) { return a.ns_each < b.ns_each; });
  std::uint64_t seen = 0;
  for (const Batch& batch : sorted) {
    seen += batch.accesses;
    if (2 * seen >= accesses) return static_cast<double>(batch.ns_each);
  }
  return 0;
}

AccessBatch::AccessBatch() {
  accesses_.reserve(kMost);
  answers_.reserve(kMost);
}

void AccessBatch::add(const PendingAccess& access) {
  accesses_.push_back(access);
  touched_[slot_of(access.iova)] = number_;
}

void AccessBatch::run() {
  if (accesses_.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  for (const PendingAccess& a : accesses_) {
    ModelMachine::Device& device = *a.device;
    if (!device.burst) {
      device.burst.emplace(*device.port);
      open_.push_back(&device);
    }
    const auto result = device.burst->translate(a.iova, 1, a.access);
    if (result)
      answers_.push_back(
          {.gpa = result->gpa, .outcome = result->outcome, .page_lg2 = result->page_lg2});
    else
      answers_.push_back({.outcome = Outcome::kFaulted,
                          .code = result.error().code,
                          .reason = result.error().reason});
  }
  for (ModelMachine::Device* device : open_) device->burst.reset();
  const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - start;
  open_.clear();
  times_.spent += spent;
  times_.each.push_back(
      {.ns_each = static_cast<float>(spent.count()) / static_cast<float>(accesses_.size()),
       .accesses = static_cast<std::uint32_t>(accesses_.size())});
  ++times_.batches;
  times_.accesses += accesses_.size();
}

void AccessBatch::clear() {
  accesses_.clear();
  answers_.clear();
  ++number_;
}

}  // namespace weir::replay
