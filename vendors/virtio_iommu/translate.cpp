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

// Of the tables that faults are told in terms of: bits a level, and the level above all others,
// whose one entry stands for the whole space.
constexpr unsigned kIndexBits = 9;
constexpr std::uint8_t kTopLevel = 7;

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

// For those who list mappings: the fewer blocks the better.
[[nodiscard]] std::uint8_t largest_block_lg2(const pagetables::Mapping& mapping, Iova at) {
  for (std::uint8_t lg2 = 63; lg2 != 0; --lg2)
    if (holds_block(mapping, at, lg2)) return lg2;
  return 0;
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

std::uint8_t empty_level(const pagetables::IntervalMap& mappings, Iova at) {
  const auto nothing_in = [&](AddressRange<Iova> block) {
    const auto next = mappings.first_at_or_after(block.first);
    if (!next || next->range.first > block.last) return true;
    return !next->permissions.can_read() && !next->permissions.can_write() &&
           next->range.contains(block.first) && next->range.contains(block.last);
  };
  std::uint8_t level = 0;
  for (std::uint8_t next = 1; next <= kTopLevel; ++next) {
    const unsigned lg2 = kPageLg2 + kIndexBits * (next - 1U);
    const AddressRange<Iova> block =
        lg2 < 64 ? AddressRange<Iova>{at.page_base(lg2), at.page_base(lg2) + last_of_block(lg2)}
                 : whole_space<Iova>();
    if (!nothing_in(block)) break;
    level = next;
  }
  return level;
}

Result<pagetables::Leaf<Gpa>, Fault> walk_mappings(const iotlb::Context& context,
                                                   const Request& piece, pagetables::Trace trace) {
  const bool listing = !trace.updates();
  const pagetables::IntervalMap& mappings = domain_of(context).mappings;
  const auto mapping = mappings.lookup(piece.iova);
  if (!mapping || !mapping->permissions.allows(piece.access)) {
    Fault fault =
        make_fault(piece, fault::Reason::kMapping,
                   mapping ? pagetables::missing_permission(mapping->permissions, piece.access)
                           : FaultReason::kNotPresent);
    if (listing) fault.level = empty_level(mappings, piece.iova);
    return Failure{fault};
  }
  const std::uint8_t lg2 =
      listing ? largest_block_lg2(*mapping, piece.iova) : block_lg2(*mapping, piece.iova);
  return pagetables::Leaf<Gpa>{.page = mapping->translate(piece.iova.page_base(lg2)),
                               .page_lg2 = lg2,
                               .level = 1,
                               .permissions = mapping->permissions};
}

}  // namespace weir::virtio_iommu
