// SPDX-License-Identifier: Apache-2.0
//
// The host map (GPA -> HPA) is the embedder's, never the guest's; every route ends in it, bypass
// too. Memory slots are the default: a few ranges, no table references. Flat arrays and radix
// tables stand behind the same interface.
//
// A HostMap is immutable: a change is another HostMap, replaced as a whole. All members may be
// called from any thread and never block, log or allocate.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/guest_memory.h"
#include "base/result.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

struct HostMapping {
  Hpa hpa;                       // where the asked-for byte lies
  AddressRange<Gpa> window;      // the largest range around it that maps uniformly; holds the byte
  Permissions permissions;       // of the window
  std::uint32_t references = 0;  // table entries read to find it
};

class HostMap {
 public:
  virtual ~HostMap() = default;
  // Fails with stage kHostMap where nothing is mapped.
  [[nodiscard]] virtual Result<HostMapping, WalkFailure> lookup(Gpa at) const = 0;
  // What was cached of `range` is out of date. For maps that cache; any thread.
  virtual void forget(AddressRange<Gpa> /*range*/) const {}
  // True if the map is itself a radix table: then at most one guest stage may stand on it.
  [[nodiscard]] virtual bool is_radix() const { return false; }
};

struct MemorySlot {
  Gpa first;
  std::uint64_t size = 0;
  Hpa to;
  Permissions permissions = Permissions::read_write();
};

class MemorySlots final : public HostMap {
 public:
  // Refuses, in one sentence, slots that are empty, wrap (on either side) or overlap in GPA.
  [[nodiscard]] static Result<MemorySlots, std::string> create(std::vector<MemorySlot> slots);
  // Every region of `memory` at the GPA of the same number: what an embedder without a map of its
  // own means.
  [[nodiscard]] static MemorySlots identity(const GuestMemory& memory);

  [[nodiscard]] Result<HostMapping, WalkFailure> lookup(Gpa at) const override;
  [[nodiscard]] std::span<const MemorySlot> slots() const { return slots_; }

 private:
  explicit MemorySlots(std::vector<MemorySlot> slots) : slots_(std::move(slots)) {}

  std::vector<MemorySlot> slots_;  // constant after construction; sorted, disjoint
};

}  // namespace weir::pagetables
