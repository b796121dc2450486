// SPDX-License-Identifier: Apache-2.0
//
// A host map made of page tables in any format: the plain sense of "stage 1 over stage 2" for an
// embedder whose GPA -> HPA tables exist already (nested paging, a hypervisor's own). The tables
// lie in the embedder's memory at the addresses that they themselves use.
//
// lookup: any thread. The tables may change at any time; whoever changes a page that devices may be
// using completes the change through Iommu::host_map_changed.
#pragma once

#include <memory>

#include "pagetables/host_map.h"
#include "pagetables/readers.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

template <RadixFormat Format>
class RadixHostMap final : public HostMap {
 public:
  // REQUIRES: `rules` that leave dirty bits alone. Writes are told to the dirty sink; a lookup does
  // not know which accesses will follow.
  RadixHostMap(std::shared_ptr<const GuestMemory> memory, typename Format::Rules rules, Hpa root,
               unsigned levels)
      : memory_(std::move(memory)), rules_(rules), root_(root), levels_(levels) {}

  // What the tables allow is asked access by access, so a page is mapped if it can be read or
  // written.
  [[nodiscard]] Result<HostMapping, WalkFailure> lookup(Gpa at) const override {
    HostReader reader(*memory_);
    auto leaf = walk<Format>(rules_, reader, root_, levels_, at.value(), Ask{});
    if (!leaf && leaf.error().reason == FaultReason::kNoReadPermission) {
      auto written =
          walk<Format>(rules_, reader, root_, levels_, at.value(), Ask{.access = Access::kWrite});
      const std::uint32_t references = leaf.error().references;
      (written ? written->references : written.error().references) += references;
      // An entry without any right is one that the read stopped at.
      if (written || written.error().reason != FaultReason::kNoWritePermission)
        leaf = written;
      else
        leaf.error().references = written.error().references;
    }
    if (!leaf) {
      WalkFailure failure = leaf.error();
      failure.stage = Stage::kHostMap;
      return Failure{failure};
    }
    const Gpa page = at.page_base(leaf->page_lg2);
    return HostMapping{.hpa = leaf->translate(at.value()),
                       .window = {page, page + bit_mask(leaf->page_lg2 - 1U, 0)},
                       .permissions = leaf->permissions,
                       .references = leaf->references};
  }
  [[nodiscard]] bool is_radix() const override { return true; }

 private:
  // Constant after construction.
  const std::shared_ptr<const GuestMemory> memory_;
  const typename Format::Rules rules_;
  const Hpa root_;
  const unsigned levels_;
};

}  // namespace weir::pagetables
