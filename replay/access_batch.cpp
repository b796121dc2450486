// SPDX-License-Identifier: Apache-2.0
#include "replay/access_batch.h"

namespace weir::replay {

AccessBatch::AccessBatch() {
  accesses_.reserve(kMost);
  answers_.reserve(kMost);
}

void AccessBatch::add(const PendingAccess& access) {
  accesses_.push_back(access);
  holds_fault_ = holds_fault_ || access.expected == Expected::kFault;
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
  times_.spent += std::chrono::steady_clock::now() - start;
  open_.clear();
  ++times_.batches;
  times_.accesses += accesses_.size();
}

void AccessBatch::clear() {
  accesses_.clear();
  answers_.clear();
  holds_fault_ = false;
}

}  // namespace weir::replay
