// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/guest_cr3.h"

#include "pagetables/readers.h"
#include "pagetables/walk.h"
#include "vendors/amdvi/translate.h"

namespace weir::amdvi {
namespace {

using iotlb::Context;
using iotlb::ContextKind;

[[nodiscard]] std::uint64_t index_at(unsigned level, std::uint32_t pasid) {
  if (level == 1) return gcr3::kIndex1.get(pasid);
  return level == 2 ? gcr3::kIndex2.get(pasid) : gcr3::kIndex3.get(pasid);
}
// PASID bits that a table of that many levels tells apart.
[[nodiscard]] bool reaches(unsigned levels, std::uint32_t pasid) {
  const std::uint64_t covered = gcr3::kIndex1.kMask | (levels > 1 ? gcr3::kIndex2.kMask : 0) |
                                (levels > 2 ? gcr3::kIndex3.kMask : 0);
  return (pasid & ~covered) == 0;
}

}  // namespace

Result<Context, Fault> read_guest_context(const Request& request, Context context,
                                          const DeviceEntry& entry,
                                          const pagetables::PhysicalMemory& memory,
                                          const Capabilities& capabilities,
                                          const Settings& settings) {
  const std::uint32_t pasid = request.pasid ? request.pasid->value : 0;
  const bool nested = context.stage2_levels != 0;
  const auto levels = static_cast<unsigned>(dte0::kGcr3Levels.get(entry[0]) + 1);
  if (!reaches(levels, pasid) || pasid > bit_mask(capabilities.options.pasid_bits - 1, 0))
    return Failure{make_page_fault(request, context, FaultReason::kPasidUnsupported, 0)};

  pagetables::DirectReader reader(memory);
  const auto& rules = capabilities.rules_for(updates_of(context));
  std::uint64_t table = gcr3_root::of(entry);
  bool through_host = nested && reg::control::kGcr3RootMode.is_set(settings.control);
  std::uint32_t references = 0;
  for (unsigned level = levels; level > 0; --level) {
    const Ipa entry_at(table + index_at(level, pasid) * sizeof(std::uint64_t));
    Gpa at(entry_at.value());
    if (through_host) {
      const auto below = pagetables::walk<pagetables::AmdV1>(
          rules, reader, Gpa(context.stage2_root), context.stage2_levels, entry_at.value(), Ask{});
      references += below ? below->references : below.error().references;
      if (!below) {
        Fault fault = host_stage_fault(request, context, below.error(), entry_at);
        fault.references = references;
        return Failure{fault};
      }
      at = below->translate(entry_at.value());
    }
    const auto word = memory.load64(at, &references);
    ++references;
    Fault fault;
    if (!word) {
      fault = table_error(request, context, at, FaultReason::kTableUnreadable);
    } else if (!gcr3::kValid.is_set(*word)) {
      fault = make_page_fault(request, context, FaultReason::kNotPresent, 0);
    } else if ((*word & (gcr3::kLayout.reserved | capabilities.beyond_host_width)) != 0) {
      fault = make_page_fault(request, context, FaultReason::kReservedBits,
                              event::kPresent.kMask | event::kReserved.kMask);
    }
    if (fault.code != 0) {
      fault.stage = Stage::kStage1;
      fault.entry_at = at.value();
      fault.references = references;
      return Failure{fault};
    }
    table = gcr3::kAddress.in_place(*word);
    // What the table points to are the guest's addresses, whatever its own root is.
    through_host = nested;
  }

  context.kind = nested ? ContextKind::kNested : ContextKind::kStage1;
  context.stage1_root = table;
  constexpr std::uint8_t kLeastLevels = 4;
  context.stage1_levels =
      static_cast<std::uint8_t>(kLeastLevels + dte2::kGuestLevels.get(entry[2]));
  context.pasid = pasid;
  context.input_bits = 64;  // its own rules for addresses; see walk_guest
  if (pasid == 0 && dte0::kGuestIo.is_set(entry[0]))
    context.vendor_bits |= vendor_bits::kWholeRange.kMask;
  return context;
}

}  // namespace weir::amdvi
