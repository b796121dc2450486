// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/virtio_function.h"

#include <algorithm>
#include <cstring>

#include "plugs/vfio_user/config_layout.h"
#include "plugs/vfio_user/register_access.h"

namespace weir::vfio_user {
namespace {

namespace capability = virtio::pci::capability;

constexpr unsigned kStructuresBar = 0;
constexpr unsigned kMsixBar = 1;
constexpr std::uint64_t kMsixBarBytes = 0x1000;
constexpr std::uint32_t kPendingAt = 0x800;

}  // namespace

void VirtioFunction::serve(virtio::Device& device) {
  device_ = &device;
  transport_.emplace(device);
  config_.emplace(ConfigSpace::Identity{.vendor = virtio::pci::kVendor,
                                        .device = transport_->pci_device_id(),
                                        .class_code = options_.class_code,
                                        .revision = 1,  // 4.1.2.1: not a transitional device
                                        .subsystem_vendor = virtio::pci::kVendor,
                                        .subsystem = transport_->pci_device_id()});
  config_->add_bar(kStructuresBar, virtio::PciTransport::kBarBytes);
  config_->add_bar(kMsixBar, kMsixBarBytes);
  config_->add_msix(options_.vectors, kMsixBar, 0, kPendingAt);
  const auto list = transport_->capabilities(kStructuresBar, config_->next_free());
  const std::uint8_t first = config_->add_capabilities(list);
  window_at_ = static_cast<std::uint8_t>(first + list.size() - capability::kLongBytes);
  // 4.1.4.9: the driver says which bytes of which BAR the window shows.
  config_->make_writable(static_cast<std::uint8_t>(window_at_ + capability::kBar), 0xff);
  for (const std::size_t field :
       {capability::kOffset, capability::kStructureLength, capability::kWindowData})
    config_->make_writable(static_cast<std::uint8_t>(window_at_ + field), ~std::uint32_t{0});
}

std::uint64_t VirtioFunction::bar_size(unsigned bar) const {
  if (bar == kStructuresBar) return virtio::PciTransport::kBarBytes;
  return bar == kMsixBar ? kMsixBarBytes : 0;
}

// The MSI-X table is the client's: it emulates it in front of the BAR.
void VirtioFunction::read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) {
  if (bar == kStructuresBar)
    read_registers(*transport_, offset, to);
  else
    std::ranges::fill(to, std::byte{0});
}

void VirtioFunction::write_bar(unsigned bar, std::uint64_t offset,
                               std::span<const std::byte> from) {
  if (bar == kStructuresBar) write_registers(*transport_, offset, from);
}

std::optional<VirtioFunction::Window> VirtioFunction::window() const {
  const auto field = [this](std::size_t at) {
    return config_->word(static_cast<std::uint8_t>(window_at_ + at));
  };
  const Window at{field(capability::kOffset), field(capability::kStructureLength)};
  const bool known = (field(capability::kBar) & 0xff) == kStructuresBar &&
                     (at.size == 1 || at.size == 2 || at.size == 4) && at.offset % at.size == 0;
  return known ? std::optional(at) : std::nullopt;
}

bool VirtioFunction::touches_window(std::uint64_t offset, std::size_t size) const {
  const std::uint64_t data = window_at_ + capability::kWindowData;
  return offset < data + sizeof(std::uint32_t) && data < offset + size;
}

void VirtioFunction::read_config(std::uint64_t offset, std::span<std::byte> to) {
  if (touches_window(offset, to.size())) {
    if (const auto at = window())
      config_->set_word(static_cast<std::uint8_t>(window_at_ + capability::kWindowData),
                        static_cast<std::uint32_t>(transport_->read(at->offset, at->size)));
  }
  config_->read(offset, to);
}

void VirtioFunction::write_config(std::uint64_t offset, std::span<const std::byte> from) {
  config_->write(offset, from);
  if (!touches_window(offset, from.size())) return;
  if (const auto at = window())
    transport_->write(
        at->offset, at->size,
        config_->word(static_cast<std::uint8_t>(window_at_ + capability::kWindowData)) &
            ((std::uint64_t{1} << 8 * at->size) - 1));
}

void VirtioFunction::reset() {
  device_->write_status(0);
  config_->reset();
}

void VirtioFunction::on_interrupt(const virtio::Interrupt& interrupt) {
  if (host_ != nullptr && interrupt.vector != virtio::kNoVector)
    host_->raise(InterruptKind::kMsix, interrupt.vector);
}

}  // namespace weir::vfio_user
