// SPDX-License-Identifier: Apache-2.0
//
// A recorded unit, made again and driven through its front door; and which firmware table is read
// by whose parser. For one thread; the Iommu that owns the unit must outlive it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>

#include "base/result.h"
#include "replay/binary_trace.h"
#include "vendors/amdvi/unit.h"
#include "vendors/virtio_iommu/unit.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {

// By the table's signature; null: none of ours.
[[nodiscard]] const TableParser* parser_for(std::span<const std::byte> table);

class PlayedUnit {
 public:
  // Refused in one sentence: a vendor or options that are not known here.
  [[nodiscard]] static Result<PlayedUnit, std::string> make(Iommu& iommu, const TraceUnit& unit);

  // A call of kFrontDoor.
  [[nodiscard]] Result<Done, std::string> carry_out(const TraceCall& call);

 private:
  using Any = std::variant<vtd::Unit*, amdvi::Unit*, virtio_iommu::Unit*>;
  explicit PlayedUnit(Any unit) : unit_(unit) {}
  Any unit_;
};

}  // namespace weir::replay
