// SPDX-License-Identifier: Apache-2.0
#include "pagetables/host_map.h"

#include <algorithm>

namespace weir::pagetables {

Result<MemorySlots, std::string> MemorySlots::create(std::vector<MemorySlot> slots) {
  for (const MemorySlot& s : slots) {
    if (s.size == 0) return Failure{std::string("a memory slot is empty")};
    if (s.first + (s.size - 1) < s.first || s.to + (s.size - 1) < s.to)
      return Failure{std::string("a memory slot wraps around")};
  }
  std::sort(slots.begin(), slots.end(),
            [](const MemorySlot& a, const MemorySlot& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < slots.size(); ++i)
    if (slots[i - 1].first + (slots[i - 1].size - 1) >= slots[i].first)
      return Failure{std::string("two memory slots overlap")};
  return MemorySlots(std::move(slots));
}

MemorySlots MemorySlots::identity(const GuestMemory& memory) {
  std::vector<MemorySlot> slots;
  for (const MemoryRegion& region : memory.regions())
    slots.push_back({Gpa(region.first.value()), region.size, region.first, region.permissions});
  return MemorySlots(std::move(slots));
}

Result<HostMapping, WalkFailure> MemorySlots::lookup(Gpa at) const {
  auto after = std::upper_bound(slots_.begin(), slots_.end(), at,
                                [](Gpa a, const MemorySlot& s) { return a < s.first; });
  const bool below_all = after == slots_.begin();
  if (below_all || at - (after - 1)->first >= (after - 1)->size)
    return Failure{WalkFailure{.reason = FaultReason::kHostMapAbsent, .stage = Stage::kHostMap}};
  const MemorySlot& slot = *(after - 1);
  return HostMapping{.hpa = slot.to + (at - slot.first),
                     .window = {slot.first, slot.first + (slot.size - 1)},
                     .permissions = slot.permissions,
                     .references = 0};
}

}  // namespace weir::pagetables
