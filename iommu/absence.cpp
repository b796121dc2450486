// SPDX-License-Identifier: Apache-2.0
//
// Caching mode, second-stage tables: that nothing is there may be kept too, under the context's own
// domain, until the guest announces a mapping. Such an entry allows nothing, and has where a page
// would lie what the fault was. (Contexts that are not present are kept as blocked ones, under the
// domain that the vendor gives them; first-stage tables have nothing of the kind.)
#include "iommu/pipeline.h"

namespace weir::core {
namespace {

inline constexpr Field<63, 48> kCode{"code", "of the vendor"};
inline constexpr Field<47, 40> kReason{"reason"};
inline constexpr Field<39, 36> kLevel{"level"};
inline constexpr Field<35, 34> kStage{"stage"};
inline constexpr Bit<33> kRecorded{"recorded"};
inline constexpr Bit<32> kWrite{"W", "met by a write; reads are told otherwise"};

[[nodiscard]] bool may_be_kept(const iotlb::Context& context) {
  return context.coherence == iotlb::Coherence::kCaching &&
         context.kind == iotlb::ContextKind::kStage2;
}

[[nodiscard]] bool says_nothing_is_there(const Fault& fault) {
  return fault.reason == FaultReason::kNotPresent ||
         fault.reason == FaultReason::kNoReadPermission ||
         fault.reason == FaultReason::kNoWritePermission;
}

}  // namespace

void remember_absence(DmaPort::Burst::State& burst, const Request& request, const Fault& fault,
                      const FillTickets& tickets) {
  if (!may_be_kept(burst.context) || !says_nothing_is_there(fault) || is_question(request) ||
      request.access == Access::kReadWrite)
    return;
  UnitCore& unit = *burst.route->unit;
  // A page that refused one access may allow the other: only one that allows neither is absent.
  Request other = request;
  other.access = writes(request.access) ? Access::kRead : Access::kWrite;
  const auto leaf = unit.unit->walk(
      burst.context, other,
      {burst.port.core.memory(), unit.no_walk_caches, {}, pagetables::Trace::kNone});
  if (leaf || !says_nothing_is_there(leaf.error())) return;
  const std::uint64_t what =
      kCode.of(fault.code) | kReason.of(static_cast<std::uint64_t>(fault.reason)) |
      kLevel.of(fault.level) | kStage.of(static_cast<std::uint64_t>(fault.stage)) |
      kRecorded.of(fault.recorded) | kWrite.of(writes(request.access));
  count_fill(burst, unit.iotlb.fill(burst.key, tickets.translation,
                                    {.page = request.iova.page_base(kPageLg2),
                                     .output = what,
                                     .permissions = Permissions::none()}));
}

std::optional<Fault> absent(const iotlb::Context& context, const Request& request,
                            const iotlb::Hit& hit) {
  if (hit.permissions != Permissions::none() || !may_be_kept(context) || is_question(request) ||
      kWrite.is_set(hit.output) != writes(request.access))
    return std::nullopt;
  Fault fault{.request = request,
              .reason = static_cast<FaultReason>(kReason.get(hit.output)),
              .stage = static_cast<Stage>(kStage.get(hit.output)),
              .level = static_cast<std::uint8_t>(kLevel.get(hit.output))};
  fault.code = static_cast<std::uint16_t>(kCode.get(hit.output));
  fault.recorded = kRecorded.is_set(hit.output);
  return fault;
}

}  // namespace weir::core
