// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/invalidations.h"

#include <array>

#include "vendors/vtd/capabilities.h"

namespace weir::vtd {
namespace {

// 2^mask pages; address bits below are ignored (6.5.2.3).
[[nodiscard]] AddressRange<Iova> pages(std::uint64_t address, std::uint64_t mask) {
  const std::uint64_t high_bit = kPageLg2 + mask - 1;
  if (high_bit >= 63) return whole_space<Iova>();
  const std::uint64_t inside = bit_mask(static_cast<unsigned>(high_bit), 0);
  return {Iova(address & ~inside), Iova(address | inside)};
}

}  // namespace

iotlb::Invalidation pasid_invalidation(const PasidSelection& selection) {
  iotlb::Invalidation result;
  result.scope = iotlb::Scope::kPasid;
  result.domain = DomainId{static_cast<std::uint32_t>(selection.domain)};
  result.pasid = Pasid{static_cast<std::uint32_t>(selection.pasid)};
  return result;
}

iotlb::Invalidation page_invalidation(const PasidSelection& selection) {
  iotlb::Invalidation result = pasid_invalidation(selection);
  result.scope = iotlb::Scope::kRange;
  result.range = pages(selection.address, selection.mask);
  result.leaf_only = selection.leaf_only;
  return result;
}

std::optional<Granularity> decode_granularity(std::uint64_t field) {
  switch (field) {
    case 1:
      return Granularity::kGlobal;
    case 2:
      return Granularity::kDomain;
    case 3:
      return Granularity::kSelective;
    default:
      return std::nullopt;
  }
}

iotlb::Invalidation context_invalidation(Granularity granularity,
                                         const ContextSelection& selection) {
  // FM: which of the source-id's function bits 2:0 need not match.
  static constexpr std::array<std::uint16_t, 4> kFunctionMasks = {
      0, static_cast<std::uint16_t>(bit_mask(2, 2)), static_cast<std::uint16_t>(bit_mask(2, 1)),
      static_cast<std::uint16_t>(bit_mask(2, 0))};
  iotlb::Invalidation result;
  result.domain = DomainId{static_cast<std::uint32_t>(selection.domain)};
  switch (granularity) {
    case Granularity::kGlobal:
      result.scope = iotlb::Scope::kContextAll;
      break;
    case Granularity::kDomain:
      result.scope = iotlb::Scope::kContextDomain;
      break;
    case Granularity::kSelective:
      // Whatever domain the context was cached under: under caching mode a not-present one has 0.
      result.scope = iotlb::Scope::kContextDevice;
      result.requester =
          Requester::from_sid(static_cast<std::uint16_t>(selection.source), selection.segment);
      result.requester_mask = kFunctionMasks[selection.function_mask % kFunctionMasks.size()];
      break;
  }
  return result;
}

std::optional<iotlb::Invalidation> iotlb_invalidation(Granularity granularity,
                                                      const PageSelection& selection,
                                                      const Options& options) {
  iotlb::Invalidation result;
  result.domain = DomainId{static_cast<std::uint32_t>(selection.domain)};
  switch (granularity) {
    case Granularity::kGlobal:
      result.scope = iotlb::Scope::kAll;
      break;
    case Granularity::kDomain:
      result.scope = iotlb::Scope::kDomain;
      break;
    case Granularity::kSelective: {
      if (selection.mask > options.max_address_mask) return std::nullopt;
      // Under PASID entries the pages are the second stage's; the first-stage and nested entries of
      // the domain go wherever they lie (6.5.2.3).
      result.scope = options.scalable ? iotlb::Scope::kStage2Range : iotlb::Scope::kRange;
      result.leaf_only = selection.leaf_only;
      result.range = pages(selection.address, selection.mask);
      break;
    }
  }
  return result;
}

namespace descriptor {
namespace {

[[nodiscard]] bool clean(const Words& words, const Layout& low, const Layout& high) {
  return (words.low & low.reserved) == 0 && (words.high & high.reserved) == 0 &&
         words.upper == decltype(words.upper){};
}

[[nodiscard]] Result<Command, Error> decode_context(const Words& words, std::uint16_t segment) {
  using namespace context;
  const auto granularity = decode_granularity(kGranularity.get(words.low));
  if (!clean(words, kLow, kHigh) || !granularity) return Failure{Error::kReservedField};
  return Command(context_invalidation(*granularity, {.domain = kDomain.get(words.low),
                                                     .source = kSource.get(words.low),
                                                     .function_mask = kFunctionMask.get(words.low),
                                                     .segment = segment}));
}

[[nodiscard]] Result<Command, Error> decode_iotlb(const Words& words, const Options& options) {
  using namespace translation;
  const auto granularity = decode_granularity(kGranularity.get(words.low));
  if (!clean(words, kLow, kHigh) || !granularity) return Failure{Error::kReservedField};
  const auto invalidation = iotlb_invalidation(*granularity,
                                               {.domain = kDomain.get(words.low),
                                                .address = kAddress.in_place(words.high),
                                                .mask = kMask.get(words.high),
                                                .leaf_only = kHint.is_set(words.high)},
                                               options);
  if (!invalidation) return Failure{Error::kReservedField};
  return Command(*invalidation);
}

[[nodiscard]] Result<Command, Error> decode_wait(const Words& words, const Options& options) {
  using namespace wait;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  // Page requests that came before are in their queue already, so that a drain of them adds
  // nothing.
  if (kDrainPages.is_set(words.low) && !options.page_requests)
    return Failure{Error::kReservedField};
  // FN needs no word of its own: descriptors are always taken up in order, and none after a wait
  // before it has completed.
  Wait result;
  if (kStatusWrite.is_set(words.low)) result.status_at = Gpa(kAddress.in_place(words.high));
  result.status = static_cast<std::uint32_t>(kData.get(words.low));
  result.interrupt = kInterrupt.is_set(words.low);
  return Command(result);
}

[[nodiscard]] Result<Command, Error> decode_pasid_iotlb(const Words& words) {
  using namespace pasid_translation;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  const PasidSelection selection{.domain = kDomain.get(words.low),
                                 .pasid = kPasid.get(words.low),
                                 .address = kAddress.in_place(words.high),
                                 .mask = kMask.get(words.high),
                                 .leaf_only = kHint.is_set(words.high)};
  switch (kGranularity.get(words.low)) {
    case kPasidSelective:
      return Command(pasid_invalidation(selection));
    case kPageSelective:
      return Command(page_invalidation(selection));
    default:
      return Failure{Error::kReservedField};
  }
}

[[nodiscard]] Result<Command, Error> decode_pasid_cache(const Words& words) {
  using namespace pasid_cache;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  iotlb::Invalidation result;
  result.domain = DomainId{static_cast<std::uint32_t>(kDomain.get(words.low))};
  switch (kGranularity.get(words.low)) {
    case kDomainSelective:
      result.scope = iotlb::Scope::kContextDomain;
      return Command(result);
    case kPasidSelective:
      result.scope = iotlb::Scope::kContextPasid;
      result.pasid = Pasid{static_cast<std::uint32_t>(kPasid.get(words.low))};
      return Command(result);
    case kGlobal:
      result.scope = iotlb::Scope::kContextAll;
      return Command(result);
    default:
      return Failure{Error::kReservedField};
  }
}

[[nodiscard]] Result<Command, Error> decode_interrupt_cache(const Words& words,
                                                            const Options& options) {
  using namespace interrupt_cache;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  // With ECAP.IR 0 no clause calls the type invalid: there is nothing cached to forget, so it
  // completes. Recorded guests of other units, replayed here, post it.
  if (!options.interrupt_remapping) return Command(Nothing{});
  iotlb::Invalidation result{.scope = iotlb::Scope::kInterruptAll};
  if (kGranularity.is_set(words.low)) {
    const std::uint64_t mask = kIndexMask.get(words.low);
    if (mask > vtd::kMaxHandleMask) return Failure{Error::kReservedField};
    // 2^IM entries; index bits below are ignored.
    const std::uint64_t inside = mask == 0 ? 0 : bit_mask(static_cast<unsigned>(mask - 1), 0);
    result.scope = iotlb::Scope::kInterruptRange;
    result.first_interrupt = static_cast<std::uint32_t>(kIndex.get(words.low) & ~inside);
    result.last_interrupt = static_cast<std::uint32_t>(kIndex.get(words.low) | inside);
  }
  return Command(result);
}

// One page, or as many as the lowest address bit that is clear says (PCIe 10.3.1).
[[nodiscard]] AddressRange<Iova> device_range(std::uint64_t address, bool sized) {
  unsigned bits = kPageLg2;
  for (; sized && bits < 64 && (address & bit_mask(bits, bits)) != 0; ++bits) {
  }
  return pages(address, sized ? bits - kPageLg2 + 1U : 0);
}

[[nodiscard]] Result<Command, Error> decode_device_tlb(const Words& words, std::uint16_t segment) {
  using namespace device_tlb;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  iotlb::Invalidation result{.scope = iotlb::Scope::kDeviceTlb};
  result.requester =
      Requester::from_sid(static_cast<std::uint16_t>(kSource.get(words.low)), segment);
  result.range = device_range(kAddress.in_place(words.high), kSize.is_set(words.high));
  return Command(result);
}

[[nodiscard]] Result<Command, Error> decode_pasid_device_tlb(const Words& words,
                                                             std::uint16_t segment) {
  using namespace pasid_device_tlb;
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  iotlb::Invalidation result{.scope = iotlb::Scope::kDeviceTlb};
  result.requester =
      Requester::from_sid(static_cast<std::uint16_t>(kSource.get(words.low)), segment);
  result.range = device_range(kAddress.in_place(words.high), kSize.is_set(words.high));
  result.all_pasids = kGlobal.is_set(words.high);
  if (!result.all_pasids) result.pasid = Pasid{static_cast<std::uint32_t>(kPasid.get(words.low))};
  return Command(result);
}

[[nodiscard]] Result<Command, Error> decode_page_response(Words words, std::uint16_t segment) {
  using namespace page_response;
  // Private data of the request comes back in the upper half.
  if (kPrivateData.is_set(words.low)) words.upper = {};
  if (!clean(words, kLow, kHigh)) return Failure{Error::kReservedField};
  Respond result{
      .function = Requester::from_sid(static_cast<std::uint16_t>(kSource.get(words.low)), segment),
      .response = {}};
  if (kPasidPresent.is_set(words.low))
    result.response.pasid = Pasid{static_cast<std::uint32_t>(kPasid.get(words.low))};
  result.response.group = static_cast<std::uint16_t>(kGroup.get(words.high));
  switch (kCode.get(words.low)) {
    case 0:
      result.response.code = PageResponseCode::kSuccess;
      break;
    case 1:
      result.response.code = PageResponseCode::kInvalid;
      break;
    default:
      result.response.code = PageResponseCode::kFailure;
      break;
  }
  return Command(result);
}

// Types that speak of PASIDs: 256-bit descriptors only.
[[nodiscard]] Result<Command, Error> decode_wide(const Words& words, const Options& options,
                                                 std::uint16_t segment) {
  switch (kTypeLow.get(words.low)) {
    case pasid_device_tlb::kType:
      if (!options.device_tlb) return Failure{Error::kType};
      return decode_pasid_device_tlb(words, segment);
    case page_response::kType:
      if (!options.page_requests) return Failure{Error::kType};
      return decode_page_response(words, segment);
    case pasid_translation::kType:
      return decode_pasid_iotlb(words);
    case pasid_cache::kType:
      return decode_pasid_cache(words);
    default:
      return Failure{Error::kType};
  }
}

}  // namespace

Result<Command, Error> decode(const Words& words, Width width, const Options& options,
                              std::uint16_t segment) {
  // The high part of the type makes a number of its own: every type there is has it 0.
  if (kTypeHigh.is_set(words.low)) return Failure{Error::kType};
  switch (kTypeLow.get(words.low)) {
    case context::kType:
      return decode_context(words, segment);
    case translation::kType:
      return decode_iotlb(words, options);
    case device_tlb::kType:
      if (!options.device_tlb) return Failure{Error::kType};
      return decode_device_tlb(words, segment);
    case interrupt_cache::kType:
      return decode_interrupt_cache(words, options);
    case wait::kType:
      return decode_wait(words, options);
    default:
      if (width == Width::k256) return decode_wide(words, options, segment);
      return Failure{Error::kType};
  }
}

}  // namespace descriptor
}  // namespace weir::vtd
