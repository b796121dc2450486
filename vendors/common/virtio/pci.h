// SPDX-License-Identifier: Apache-2.0
//
// The virtio-pci transport, modern part, register level (virtio 1.4, 4.1): the BAR that holds
// common configuration, notifications, ISR status and device configuration, and the capabilities
// that tell a driver where. The PCI function around it is the embedder's: its configuration space
// (which copies the capabilities), its MSI-X table (InterruptSink::on_interrupt names the entry)
// and its interrupt line. The window that VIRTIO_PCI_CAP_PCI_CFG offers into the BAR is in the
// configuration space too; it calls read and write like the BAR itself.
//
// Any thread. Accesses of 1, 2, 4 or 8 bytes at a multiple of their size; one to a field of another
// width reads 0 and writes nothing, but for 64-bit fields, which may be accessed whole or in
// halves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/pci_layout.h"

namespace weir::virtio {

class PciTransport {
 public:
  static constexpr std::uint64_t kBarBytes = pci::kBarBytes;

  explicit PciTransport(Device& device) : device_(device) {}  // which must outlive it

  // For the function's header (4.1.2); the revision is 1.
  [[nodiscard]] std::uint16_t pci_device_id() const {
    return static_cast<std::uint16_t>(pci::kDeviceBase + device_.device_id());
  }
  // The vendor-specific capabilities, linked to one another, as they stand in the configuration
  // space from `first_at` on; the last one's link is `next`. `bar`: the number of the BAR.
  [[nodiscard]] std::vector<std::byte> capabilities(std::uint8_t bar, std::uint8_t first_at,
                                                    std::uint8_t next = 0) const;

  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size);
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);

 private:
  struct Selected {
    std::uint32_t device_features = 0;
    std::uint32_t driver_features = 0;
    std::uint16_t queue = 0;
  };

  [[nodiscard]] Selected selected() const;
  [[nodiscard]] std::uint64_t read_common(std::uint64_t offset);
  void write_common(std::uint64_t offset, std::uint64_t value);
  void write_area(Device::Area area, bool high, std::uint64_t value);

  Device& device_;
  mutable Mutex mutex_;
  Selected selected_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::virtio
