// SPDX-License-Identifier: Apache-2.0
//
// A function's own TLB: answers to its ATS translation requests, by PASID. For device emulators, of
// whatever size the device has. It keeps nothing that was asked for before an invalidation of it
// arrived (L2): take the ticket before the request, show it with the answer.
//
// lookup, begin_fill and fill: any thread. invalidate: any thread. What an answer may be used for,
// and for how long, is its user's business (iommu/device_tlb_client.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"
#include "iotlb/entry.h"
#include "iotlb/iotlb.h"

namespace weir::iotlb {

class DeviceTlb {
 public:
  // Whose answer: of a PASID or none, asked for with privilege or without.
  struct Asker {
    std::optional<Pasid> pasid{};
    bool privileged = false;
  };

  explicit DeviceTlb(std::size_t entries) : answers_({.entries = entries}) {}

  [[nodiscard]] std::optional<Hit> lookup(Asker asker, Iova iova) {
    return answers_.lookup(tag_of(asker), iova);
  }
  [[nodiscard]] FillTicket begin_fill(Asker asker) const {
    return answers_.begin_fill(tag_of(asker).domain);
  }
  FillResult fill(FillTicket ticket, Asker asker, Iova page, std::uint8_t page_lg2, Gpa output,
                  Permissions permissions) {
    return answers_.fill(ticket, {.tag = tag_of(asker),
                                  .page = page,
                                  .output = output.value(),
                                  .page_lg2 = page_lg2,
                                  .permissions = permissions});
  }
  // Of `pasid`, or of none, or, with `all_pasids`, of whomever.
  std::uint64_t invalidate(std::optional<Pasid> pasid, bool all_pasids, AddressRange<Iova> range);

  [[nodiscard]] std::size_t size() const { return answers_.size(); }

 private:
  static constexpr DomainId kUser{0};
  static constexpr DomainId kPrivileged{1};

  [[nodiscard]] static Tag tag_of(Asker asker) {
    return {asker.privileged ? kPrivileged : kUser,
            asker.pasid ? asker.pasid->value : Context::kNoPasid};
  }

  Iotlb answers_;
};

}  // namespace weir::iotlb
