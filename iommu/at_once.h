// SPDX-License-Identifier: Apache-2.0
//
// The way of nearly every request through DmaPort::Burst::translate, and a part of dma_port.h:
// steps 1 to 5 and 8 of docs/request-path.md for bytes of one 4 KiB page that a bypass or an answer
// at first sight leads to, behind which the embedder has a pointer. It asks all that the whole way
// asks of such a request and leaves the same trace, in one line of instructions; whatever else is
// the case goes the whole way (translate.cpp), which asks all of it again.
//
// On the burst's thread; takes no lock, allocates nothing, never blocks.
#pragma once

#include "base/access.h"
#include "iommu/dma_port.h"
#include "iommu/interrupts.h"

namespace weir {

[[nodiscard, gnu::always_inline]] inline Result<Translation, Fault> DmaPort::Burst::translate(
    Iova iova, std::uint64_t size, Access access) {
  State& s = state_;
  // Acquire: pairs with set_bus_master, whose drain counts on bursts of its epoch seeing it.
  // Bytes of one such page cannot lie on both sides of the border of the interrupt range.
  if (s.open->load(std::memory_order_acquire) && !kInterruptRange.contains(iova) &&
      size - 1 < kPageSize - iova.page_offset(kPageLg2)) [[likely]] {
    iotlb::Hit hit;
    bool found = false;
    Outcome outcome = Outcome::kHit;
    if (s.changes != nullptr) {
      // Acquire: as in ContextCache::changes().
      found = s.changes->load(std::memory_order_acquire) == s.ready_changes &&
              iova.value() <= s.last_input && s.iotlb->look_at_once(s.key, iova, hit);
      hit.permissions = hit.permissions & s.context.rights;
    } else {
      hit.output = iova.value();
      hit.permissions = Permissions::read_write();
      outcome = Outcome::kBypassed;
      found = s.bypasses;
    }
    if (found) [[likely]] {
      const Gpa gpa(hit.output);
      // Acquire: as in IommuCore::memory().
      const auto* piece = s.memory->load(std::memory_order_acquire)->find_bytes(gpa, size);
      if (piece != nullptr) [[likely]] {
        const Permissions allowed = hit.permissions & piece->permissions;
        if (allowed.has(Permissions::needed_by_user(access))) [[likely]] {
          const std::uint64_t inside = gpa - piece->first;
          s.slot.count(static_cast<std::size_t>(outcome));
          return Result<Translation, Fault>(std::in_place, outcome, gpa, piece->hpa + inside, size,
                                            piece->host + inside, piece->offset + inside, allowed,
                                            hit.page_lg2);
        }
      }
    }
  }
  return translate_otherwise(iova, size, access);
}

}  // namespace weir
