// SPDX-License-Identifier: Apache-2.0
//
// The commands of the command buffer (48882 section 2.4): their layout, and what each of them means
// in neutral values. A command with an unknown opcode, a reserved bit, or a feature that the unit
// lacks is illegal (2.5.6).
//
// Constexpr values and pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>

#include "base/address.h"
#include "base/ids.h"
#include "iotlb/invalidation.h"
#include "vendors/amdvi/options.h"

namespace weir::amdvi {

using CommandWords = std::array<std::uint64_t, 2>;
inline constexpr std::uint64_t kCommandBytes = sizeof(CommandWords);

// Everything queued before it is complete.
struct CompletionWait {
  std::optional<Gpa> store_at;
  std::uint64_t data = 0;
  bool interrupt = false;
};
// INVALIDATE_DEVTAB_ENTRY: what is known of the device.
struct ForgetDevice {
  Requester device;
};
// INVALIDATE_IOMMU_PAGES, and the invalidation that a PREFETCH asks for first.
struct ForgetPages {
  DomainId domain;
  std::optional<Pasid> pasid;  // GN: guest addresses of this PASID
  bool everything = false;     // of the domain, or of the PASID
  AddressRange<Iova> range;
  bool tables_too = false;  // PDE
};
// INVALIDATE_IOTLB_PAGES: the device's own cache.
struct ForgetInDevice {
  Requester device;
  std::optional<Pasid> pasid;
  AddressRange<Iova> range;
};
struct ForgetInterrupts {
  Requester device;
};
// PREFETCH_IOMMU_PAGES. A hint; but with Inval, what is to be prefetched is forgotten first.
struct Prefetch {
  Requester device;
  std::optional<Pasid> pasid;
  AddressRange<Iova> range;
  bool forget = false;
};
// COMPLETE_PPR_REQUEST.
struct AnswerRequest {
  Requester device;
  std::optional<Pasid> pasid;
  std::uint16_t tag = 0;
  std::uint8_t status = 0;
};
struct ForgetAll {};

using Command = std::variant<CompletionWait, ForgetDevice, ForgetPages, ForgetInDevice,
                             ForgetInterrupts, Prefetch, AnswerRequest, ForgetAll>;

// Nothing: illegal.
[[nodiscard]] std::optional<Command> decode_command(const CommandWords& words,
                                                    const Options& options, std::uint16_t segment);

// The pages that an address names (2.4.3): one of 4 KiB, or with S as many as its lowest zero bit
// from bit 12 on says. Nothing: all of the address space.
[[nodiscard]] std::optional<AddressRange<Iova>> pages_of(std::uint64_t address, bool sized);

}  // namespace weir::amdvi
