// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/amdvi_function.h"

#include <array>
#include <cstring>

#include "plugs/vfio_user/config_layout.h"

namespace weir::vfio_user {
namespace {

// Family 15h: known to drivers, and to no quirk of theirs.
constexpr ConfigSpace::Identity kIdentity{
    .vendor = 0x1022, .device = 0x1419, .class_code = 0x080600};  // IOMMU

}  // namespace

AmdviFunction::AmdviFunction(amdvi::Unit& unit, const amdvi::Options& options,
                             std::uint64_t register_base)
    : unit_(unit), config_(kIdentity) {
  // As firmware leaves it: registers on, their base locked, so that nothing of it can be written.
  namespace c = amdvi::capability;
  amdvi::CapabilityBlock block(options, register_base);
  block.write(c::kBaseLow, block.read(c::kBaseLow) | word_mask(c::kEnable));
  std::array<std::byte, c::kBytes> bytes{};
  for (std::uint32_t at = 0; at < c::kBytes; at += 4) {
    const std::uint32_t word = block.read(at);
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
  config_.add_capabilities(bytes);
  msi_at_ = config_.add_msi();
}

void AmdviFunction::write_config(std::uint64_t offset, std::span<const std::byte> from) {
  config_.write(offset, from);
  tell_msi();
}

void AmdviFunction::reset() {
  config_.reset();
  tell_msi();
}

void AmdviFunction::tell_msi() {
  const auto word = [this](std::size_t at) {
    return config_.word(static_cast<std::uint8_t>(msi_at_ + at));
  };
  if (!msi::kEnable.is_set(word(0))) return unit_.set_msi(std::nullopt);
  unit_.set_msi(
      Msi{.address = std::uint64_t{word(msi::kAddressHigh)} << 32 | word(msi::kAddressLow),
          .data = word(msi::kData)});
}

}  // namespace weir::vfio_user
