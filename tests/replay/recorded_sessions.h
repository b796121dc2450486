// SPDX-License-Identifier: Apache-2.0
//
// Machines that are recorded while a model of their guest's driver maps, unmaps and flushes and
// their devices read, write, pin and interrupt, all by chance but from a seed. Test code; for one
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "iommu/stats.h"

namespace weir::replay::test {

// Moves on with every look.
class TickingClock final : public Clock {
 public:
  [[nodiscard]] Duration now() const override {
    // Relaxed: a number that grows.
    return Duration(now_.fetch_add(1000, std::memory_order_relaxed) + 1000);
  }

 private:
  mutable std::atomic<Duration::rep> now_{0};
};

struct Session {
  std::uint64_t seed = 1;
  int steps = 2000;
};

// Each records into `path` and gives the books of the machine that was recorded.
[[nodiscard]] Stats record_vtd_legacy(const std::string& path, const Session& session = {});
[[nodiscard]] Stats record_vtd_first_stage(const std::string& path, const Session& session = {});
[[nodiscard]] Stats record_amdvi(const std::string& path, const Session& session = {});
[[nodiscard]] Stats record_virtio(const std::string& path, const Session& session = {});
// VT-d legacy mode, the guest and two devices on a thread each.
[[nodiscard]] Stats record_threads(const std::string& path, const Session& session = {});
// With a device TLB that is asked, invalidated, silent, and late.
[[nodiscard]] Stats record_device_tlb(const std::string& path);

}  // namespace weir::replay::test
