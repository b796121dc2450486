// SPDX-License-Identifier: Apache-2.0
#include "replay/flush.h"

namespace weir::replay {
namespace {

[[nodiscard]] std::optional<Flush::Reach> reach_of(std::uint64_t granularity) {
  switch (granularity) {
    case 1:
      return Flush::Reach::kAll;
    case 2:
      return Flush::Reach::kDomain;
    case 3:
      return Flush::Reach::kSelective;
    default:
      return std::nullopt;
  }
}

[[nodiscard]] DomainId domain_at(std::uint64_t word, unsigned shift) {
  return DomainId{static_cast<std::uint32_t>(word >> shift & 0xffff)};
}

// Function mask of 6.5.2.1: how many function bits, from the top, need not match.
[[nodiscard]] std::uint16_t function_bits(std::uint64_t mask) {
  constexpr std::uint16_t kIgnored[] = {0, 4, 6, 7};
  return kIgnored[mask & 3];
}

[[nodiscard]] std::optional<Flush> contexts(std::uint64_t granularity, std::uint64_t word,
                                            unsigned domain_shift, unsigned source_shift,
                                            unsigned mask_shift) {
  const auto reach = reach_of(granularity);
  if (!reach) return std::nullopt;
  return Flush{.of = Flush::Of::kContexts,
               .reach = *reach,
               .domain = domain_at(word, domain_shift),
               .requester = Requester::from_sid(static_cast<std::uint16_t>(word >> source_shift)),
               .requester_mask = function_bits(word >> mask_shift)};
}

// `address` holds the page, the hint and the mask, as IVA_REG and the descriptor's high word do.
[[nodiscard]] std::optional<Flush> translations(std::uint64_t granularity, DomainId domain,
                                                std::uint64_t address) {
  const auto reach = reach_of(granularity);
  if (!reach) return std::nullopt;
  Flush flush{.of = Flush::Of::kTranslations, .reach = *reach, .domain = domain};
  const std::uint64_t lg2 = kPageLg2 + (address & 0x3f);
  if (*reach == Flush::Reach::kSelective && lg2 < 64) {
    const Iova first = Iova(address).page_base(static_cast<unsigned>(lg2));
    flush.range = {first, first + ((std::uint64_t{1} << lg2) - 1)};
  }
  return flush;
}

}  // namespace

std::optional<Flush> flush_of(const InvalidationDescriptor& descriptor) {
  const std::uint64_t low = descriptor.words[0];
  if (descriptor.type() == kContextDescriptor) return contexts(low >> 4 & 3, low, 16, 32, 48);
  if (descriptor.type() == kIotlbDescriptor)
    return translations(low >> 4 & 3, domain_at(low, 16), descriptor.words[1]);
  // 6.5.2.4: granularities 2 (of a PASID) and 3 (pages).
  if (descriptor.type() == kPasidIotlbDescriptor)
    return (low >> 4 & 3) < 2
               ? std::nullopt
               : translations(low >> 4 & 3, domain_at(low, 16), descriptor.words[1]);
  // 6.5.2.2: granularities 0 (of a domain), 1 (of a PASID in it) and 3 (all).
  if (descriptor.type() == kPasidCacheDescriptor) {
    const unsigned granularity = low >> 4 & 3;
    if (granularity == 2) return std::nullopt;
    return Flush{.of = Flush::Of::kContexts,
                 .reach = granularity == 3 ? Flush::Reach::kAll : Flush::Reach::kDomain,
                 .domain = domain_at(low, 16)};
  }
  return std::nullopt;
}

std::optional<Flush> flush_of_context_command(std::uint64_t ccmd) {
  if (ccmd >> 63 == 0) return std::nullopt;
  return contexts(ccmd >> 61 & 3, ccmd, 0, 16, 32);
}

std::optional<Flush> flush_of_iotlb_command(std::uint64_t iotlb, std::uint64_t iva) {
  if (iotlb >> 63 == 0) return std::nullopt;
  return translations(iotlb >> 60 & 3, domain_at(iotlb, 32), iva);
}

}  // namespace weir::replay
