// SPDX-License-Identifier: Apache-2.0
#include "iommu/device_tlb_client.h"

#include <algorithm>

#include "base/seam.h"

namespace weir {
namespace {

[[nodiscard]] bool allows(Permissions permissions, Access access, bool execute) {
  return permissions.allows(access) && (!execute || permissions.can_execute());
}

}  // namespace

std::shared_ptr<DeviceTlbClient> DeviceTlbClient::attach(DmaPort& port, std::size_t entries) {
  std::shared_ptr<DeviceTlbClient> made(new DeviceTlbClient(port, entries));
  port.set_ats_device(made);
  return made;
}

// The burst began before the lookup. If an invalidation of what is found arrives in between, its
// completion waits for the burst, because it waits for all that began before the acknowledgement.
Result<Translation, Fault> DeviceTlbClient::translate(DmaPort::Burst& burst, Iova iova,
                                                      std::uint64_t size, Access access,
                                                      const DmaAttributes& attributes) {
  const iotlb::DeviceTlb::Asker asker{attributes.pasid, attributes.privileged};
  std::optional<iotlb::Hit> hit = tlb_.lookup(asker, iova);
  if (!hit || !allows(hit->permissions, access, attributes.execute)) {
    hit.reset();
    const iotlb::FillTicket ticket = tlb_.begin_fill(asker);
    const AtsTranslation answer =
        port_.request_translation(iova, {.pasid = attributes.pasid,
                                         .no_write = !writes(access),
                                         .privileged = attributes.privileged,
                                         .execute = attributes.execute});
    WEIR_SEAM(kAnswered);
    if (answer.status == AtsStatus::kSuccess && !answer.untranslated_only &&
        allows(answer.permissions, access, attributes.execute)) {
      (void)tlb_.fill(WEIR_BUG(kDeviceTlbUnchecked) ? tlb_.begin_fill(asker) : ticket, asker,
                      answer.page, answer.page_lg2, answer.output, answer.permissions);
      hit = iotlb::Hit{.output = answer.output.value() + iova.page_offset(answer.page_lg2),
                       .page_lg2 = answer.page_lg2,
                       .permissions = answer.permissions};
    }
  }
  if (!hit) return burst.translate(iova, size, access, attributes);
  const std::uint64_t left = (std::uint64_t{1} << hit->page_lg2) - iova.page_offset(hit->page_lg2);
  // A translated address has no PASID to it any more.
  return burst.translate(Iova(hit->output), std::min(size, left), access,
                         {.address_type = AddressType::kTranslated});
}

void DeviceTlbClient::on_invalidate(const AtsInvalidation& what) {
  (void)tlb_.invalidate(what.pasid, what.all_pasids, what.range);
  (void)port_.acknowledge_invalidation(what.id);
}

}  // namespace weir
