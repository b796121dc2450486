// SPDX-License-Identifier: Apache-2.0
//
// One line of a QEMU trace log, taken by itself: qemu_log.h puts accesses together from two of
// them. For QemuLogReader only. Pure functions, any thread; they know no file and keep no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "replay/trace_event.h"
#include "replay/trace_line.h"

namespace weir::replay {

// vtd_iotlb_page_hit and _update: the first half of an access.
struct AccessHalf {
  Requester requester;
  Iova iova;
  std::uint64_t leaf_entry = 0;
  DomainId domain;
  AccessOutcome outcome = AccessOutcome::kHit;
};
// vtd_translate_pt: the first half of an access that passes through.
struct PassThroughHalf {
  Requester requester;
  Iova iova;
};
// vtd_dmar_translate: the second half. Both addresses are those of the page.
struct TranslatedHalf {
  Requester requester;
  Iova iova;
  Gpa gpa;
  std::uint64_t page_mask = 0;
};
// An event that says nothing a replay needs, or repeats what another line says.
struct SkippedLine {};
// An event of an IOMMU model that weir cannot replay yet.
struct ForeignIommu {
  std::string_view model;
};

using QemuLine = std::variant<SkippedLine, QemuEventBody, AccessHalf, PassThroughHalf,
                              TranslatedHalf, ForeignIommu>;

// The failure is a cause without file and line.
[[nodiscard]] Result<QemuLine, std::string> parse_qemu_text(const QemuLineHead& head,
                                                            std::string_view line);

}  // namespace weir::replay
