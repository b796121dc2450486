// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/copy_function.h"

#include <algorithm>

#include "plugs/vfio_user/register_access.h"

namespace weir::vfio_user {
namespace {

constexpr unsigned kRegistersBar = 0, kMsixBar = 1;
constexpr std::size_t kSource = 0, kDestination = 2, kLength = 4, kGo = 5, kStatus = 6, kCount = 7;
constexpr std::uint32_t kMostBytes = 1U << 16;
constexpr std::uint32_t kSourceFaulted = 1, kDestinationFaulted = 2;

}  // namespace

CopyFunction::CopyFunction()
    : config_({.vendor = 0x1234, .device = 0x7766, .class_code = 0x080100}),  // a DMA controller
      buffer_(kMostBytes) {
  config_.add_bar(kRegistersBar, bar_size(kRegistersBar));
  config_.add_bar(kMsixBar, bar_size(kMsixBar));
  config_.add_msix(1, kMsixBar, 0, 0x800);
}

void CopyFunction::read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) {
  std::ranges::fill(to, std::byte{0});
  if (bar != kRegistersBar) return;
  const auto bytes = std::as_bytes(std::span(words_));
  for (std::size_t i = 0; i < to.size() && offset + i < bytes.size(); ++i)
    to[i] = bytes[offset + i];
}

void CopyFunction::write_bar(unsigned bar, std::uint64_t offset, std::span<const std::byte> from) {
  if (bar != kRegistersBar) return;
  for_each_unit<4>(offset, from.size(), [&](std::uint64_t here, std::size_t at, unsigned size) {
    const std::size_t word = here / 4;
    if (size != 4 || word > kGo) return;
    std::memcpy(&words_[word], from.data() + at, size);
    if (word == kGo) copy();
  });
}

void CopyFunction::copy() {
  const auto address = [this](std::size_t low) {
    return Iova(std::uint64_t{words_[low + 1]} << 32 | words_[low]);
  };
  const auto bytes = std::span(buffer_).first(std::min(words_[kLength], kMostBytes));
  DmaPort& port = host_->dma();
  words_[kStatus] = 0;
  if (!port.read(address(kSource), bytes))
    words_[kStatus] = kSourceFaulted;
  else if (!port.write(address(kDestination), bytes))
    words_[kStatus] = kDestinationFaulted;
  ++words_[kCount];
  host_->raise(InterruptKind::kMsix, 0);
}

void CopyFunction::reset() {
  words_ = {};
  config_.reset();
}

}  // namespace weir::vfio_user
