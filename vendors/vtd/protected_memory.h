// SPDX-License-Identifier: Apache-2.0
//
// Protected memory (manual 3.20, 10.4.16): while EPM is set, DMA that no table translates stays out
// of two regions: everything while translation is off, and what passes through or comes translated
// while it is on. Such accesses are blocked and never recorded. What the unit reads and writes
// itself is exempt, and so is what tables translate.
//
// Any thread; store belongs to the runner. Never waits.
#pragma once

#include <array>
#include <atomic>

#include "base/request.h"
#include "iotlb/context.h"
#include "vendors/vtd/register_file.h"

namespace weir::vtd {

class ProtectedMemory {
 public:
  // Beyond every 16-bit id of a guest: the entries that identity leaves in the IOTLB.
  static constexpr DomainId kIdentityDomain{0x10000};

  // The registers as they are when EPM is set; they are not to change while it is.
  void store(const RegisterFile& registers, bool on) {
    namespace region = reg::protected_region;
    const auto last = [](std::uint64_t limit) { return limit | region::kInside.kMask; };
    // Relaxed: published by `on_`, which is off before; and nothing that used the regions is in
    // flight when they change (PRS drains).
    first_[0].store(registers.get(reg::kPlmbase), std::memory_order_relaxed);
    last_[0].store(last(registers.get(reg::kPlmlimit)), std::memory_order_relaxed);
    first_[1].store(registers.get(reg::kPhmbase), std::memory_order_relaxed);
    last_[1].store(last(registers.get(reg::kPhmlimit)), std::memory_order_relaxed);
    // Release: pairs with is_on.
    on_.store(on, std::memory_order_release);
  }
  [[nodiscard]] bool is_on() const {
    // Acquire: pairs with store; who sees it on sees the regions.
    return on_.load(std::memory_order_acquire);
  }
  // A base above its limit is no region.
  [[nodiscard]] bool covers(std::uint64_t first, std::uint64_t last) const {
    for (unsigned i = 0; i < first_.size(); ++i) {
      // Relaxed, both: see store.
      const std::uint64_t from = first_[i].load(std::memory_order_relaxed);
      const std::uint64_t to = last_[i].load(std::memory_order_relaxed);
      if (from <= to && first <= to && from <= last) return true;
    }
    return false;
  }
  // Makes a context of identity one whose every page is looked at.
  static void watch(iotlb::Context& context);
  [[nodiscard]] bool blocks(const Request& translated) const {
    const std::uint64_t first = translated.iova.value();
    return is_on() && covers(first, first + (translated.size == 0 ? 0 : translated.size - 1));
  }

 private:
  std::atomic<bool> on_{false};
  std::array<std::atomic<std::uint64_t>, 2> first_{};
  std::array<std::atomic<std::uint64_t>, 2> last_{};
};

// What a blocked access comes to.
[[nodiscard]] Fault protected_fault(const Request& request);

}  // namespace weir::vtd
