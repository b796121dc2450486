// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/translate.h"

#include <array>
#include <bit>

#include "base/bits.h"

namespace weir::virtio_iommu {
namespace {

// The sizes that cache entries have, largest first: a lookup asks for every size that is in use, so
// they are few. 4 KiB, 64 KiB, 2 MiB, 1 GiB.
constexpr std::array<std::uint8_t, 4> kCachedSizes = {30, 21, 16, kPageLg2};

// A context names its domain by the domain's address, which stays good for as long as the burst
// that the context was read in, or in which it was found to be current.
[[nodiscard]] std::uint64_t word_of(const Domain* domain) {
  return std::bit_cast<std::uint64_t>(domain);
}
[[nodiscard]] const Domain& domain_of(const iotlb::Context& context) {
  return *std::bit_cast<const Domain*>(context.stage2_root);
}

// Where a block of 2^lg2 bytes ends, counted from its first.
[[nodiscard]] std::uint64_t last_of_block(unsigned lg2) {
  return lg2 == 0 ? 0 : bit_mask(lg2 - 1, 0);
}

[[nodiscard]] bool holds_block(const pagetables::Mapping& mapping, Iova at, unsigned lg2) {
  const Iova first = at.page_base(lg2);
  return mapping.range.contains(first) && mapping.range.contains(first + last_of_block(lg2));
}

}  // namespace

Fault make_fault(const Request& request, fault::Reason code, FaultReason reason) {
  return {.request = request,
          .reason = reason,
          .stage = code == fault::Reason::kMapping ? Stage::kStage2 : Stage::kNone,
          .code = static_cast<std::uint16_t>(code),
          .recorded = true};
}

Result<iotlb::Context, Fault> context_of(const Endpoint* endpoint, bool bypass,
                                         const Request& request) {
  if (endpoint == nullptr) {
    // Nothing that a report could name (5.13.6.9: a valid endpoint ID).
    Fault fault = make_fault(request, fault::Reason::kUnknown, FaultReason::kContextNotPresent);
    fault.recorded = false;
    return Failure{fault};
  }
  // Acquire: pairs with the release in Domains; the domain that it names is complete.
  const Domain* const domain = endpoint->domain.load(std::memory_order_acquire);
  iotlb::Context context;
  context.input_bits = 64;
  if (domain == nullptr) {
    if (!bypass)
      return Failure{make_fault(request, fault::Reason::kDomain, FaultReason::kContextNotPresent)};
    context.kind = iotlb::ContextKind::kPassThrough;
    return context;
  }
  context.kind = domain->bypass ? iotlb::ContextKind::kPassThrough : iotlb::ContextKind::kStage2;
  context.domain = DomainId{domain->id};
  context.stage2_root = word_of(domain);
  return context;
}

std::optional<Fault> refuse_special(const Request& request) {
  if (request.pasid)
    return make_fault(request, fault::Reason::kUnknown, FaultReason::kPasidUnsupported);
  if (request.address_type != AddressType::kUntranslated)
    return make_fault(request, fault::Reason::kUnknown, FaultReason::kRequestTypeBlocked);
  return std::nullopt;
}

std::uint8_t block_lg2(const pagetables::Mapping& mapping, Iova at) {
  // An entry's output has no bits below a page's.
  const bool pages = is_aligned(mapping.output - Gpa(mapping.range.first.value()), kPageLg2);
  if (pages)
    for (const std::uint8_t lg2 : kCachedSizes)
      if (holds_block(mapping, at, lg2)) return lg2;
  for (std::uint8_t lg2 = kPageLg2 - 1; lg2 != 0; --lg2)
    if (holds_block(mapping, at, lg2)) return lg2;
  return 0;
}

Result<pagetables::Leaf<Gpa>, Fault> walk_mappings(const iotlb::Context& context,
                                                   const Request& piece) {
  const auto mapping = domain_of(context).mappings.lookup(piece.iova);
  if (!mapping)
    return Failure{make_fault(piece, fault::Reason::kMapping, FaultReason::kNotPresent)};
  if (!mapping->permissions.allows(piece.access))
    return Failure{make_fault(piece, fault::Reason::kMapping,
                              pagetables::missing_permission(mapping->permissions, piece.access))};
  const std::uint8_t lg2 = block_lg2(*mapping, piece.iova);
  return pagetables::Leaf<Gpa>{.page = mapping->translate(piece.iova.page_base(lg2)),
                               .page_lg2 = lg2,
                               .level = 1,
                               .permissions = mapping->permissions};
}

}  // namespace weir::virtio_iommu
