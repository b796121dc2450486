// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/capability_block.h"

namespace weir::amdvi {

using namespace capability;

CapabilityBlock::CapabilityBlock(const Options& options, std::uint64_t register_base,
                                 std::uint8_t next)
    : options_(options),
      next_(next),
      base_low_(static_cast<std::uint32_t>(kBase.in_place(register_base))),
      base_high_(static_cast<std::uint32_t>(kHighHalf.get(register_base))) {}

std::uint32_t CapabilityBlock::read(std::uint32_t offset) const {
  constexpr std::uint64_t kSecureDevice = 0x0f, kIommu = 3, kFirstRevision = 1;
  constexpr std::uint64_t kGuestVirtual48 = 2, kVirtualBits = 64;
  std::uint64_t value = 0;
  switch (offset) {
    case kHeader:
      value = kId.of(kSecureDevice) | kNext.of(next_) | kType.of(kIommu) |
              kRevision.of(kFirstRevision) | kDeviceTlb.of(options_.device_tlb) |
              kNpCache.of(options_.caching_mode) | kFeatures.of(1) | kExtended.of(1);
      break;
    case kBaseLow:
      return base_low_;
    case kBaseHigh:
      return base_high_;
    case kMisc0:
      value = kGuestVirtual.of(kGuestVirtual48) | kPhysical.of(options_.host_address_bits) |
              kVirtual.of(kVirtualBits);
      break;
    default:
      break;  // the range (RngValid = 0), misc 1, and what is beyond
  }
  return static_cast<std::uint32_t>(value);
}

void CapabilityBlock::write(std::uint32_t offset, std::uint32_t value) {
  if (enabled()) return;
  if (offset == kBaseLow)
    base_low_ = static_cast<std::uint32_t>(kBase.in_place(value) | kEnable.in_place(value));
  if (offset == kBaseHigh) base_high_ = value;
}

std::uint64_t CapabilityBlock::register_base() const {
  return kHighHalf.of(base_high_) | kBase.in_place(base_low_);
}

}  // namespace weir::amdvi
