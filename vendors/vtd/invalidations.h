// SPDX-License-Identifier: Apache-2.0
//
// From the guest's words to the neutral Invalidation: the granularities that the invalidation
// registers (10.4.7, 10.4.8) and the queue's descriptors (6.5.2) share, and the descriptors
// themselves.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/address.h"
#include "base/result.h"
#include "iommu/ats.h"
#include "iotlb/invalidation.h"
#include "vendors/vtd/descriptors.h"
#include "vendors/vtd/options.h"

namespace weir::vtd {

// CIRG, CAIG and G of context descriptors; IIRG, IAIG and G of IOTLB descriptors.
enum class Granularity : std::uint8_t { kGlobal = 1, kDomain = 2, kSelective = 3 };
[[nodiscard]] std::optional<Granularity> decode_granularity(std::uint64_t field);

struct ContextSelection {
  std::uint64_t domain = 0;
  std::uint64_t source = 0;
  std::uint64_t function_mask = 0;  // 0…3
  std::uint16_t segment = 0;
};
[[nodiscard]] iotlb::Invalidation context_invalidation(Granularity granularity,
                                                       const ContextSelection& selection);

// Of the first stage: tags of a domain and a PASID; no limit on the mask (CAP.MAMV speaks of the
// second stage).
struct PasidSelection {
  std::uint64_t domain = 0;
  std::uint64_t pasid = 0;
  std::uint64_t address = 0;
  std::uint64_t mask = 0;  // 2^mask pages; 0…63
  bool leaf_only = false;
};
[[nodiscard]] iotlb::Invalidation pasid_invalidation(const PasidSelection& selection);
[[nodiscard]] iotlb::Invalidation page_invalidation(const PasidSelection& selection);

struct PageSelection {
  std::uint64_t domain = 0;
  std::uint64_t address = 0;
  std::uint64_t mask = 0;  // 2^mask pages
  bool leaf_only = false;
};
// Nothing if a page-selective request exceeds CAP.MAMV.
[[nodiscard]] std::optional<iotlb::Invalidation> iotlb_invalidation(Granularity granularity,
                                                                    const PageSelection& selection,
                                                                    const Options& options);

namespace descriptor {

// The completion of everything queued before it.
struct Wait {
  std::optional<Gpa> status_at;
  std::uint32_t status = 0;
  bool interrupt = false;
};
// A descriptor with nothing behind it: device-TLBs while none is attached, the interrupt-entry
// cache while there is none.
struct Nothing {};

// The answer to a group of page requests.
struct Respond {
  Requester function;
  PageResponse response;
};

using Command = std::variant<Nothing, iotlb::Invalidation, Wait, Respond>;

[[nodiscard]] Result<Command, Error> decode(const Words& words, Width width, const Options& options,
                                            std::uint16_t segment);

}  // namespace descriptor
}  // namespace weir::vtd
