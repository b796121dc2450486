// SPDX-License-Identifier: Apache-2.0
//
// The virtio-mmio transport, register level: what a guest reads and writes at the device's window
// (virtio 1.4, 4.2.2). It holds only what the registers select; everything else is the Device's.
// The embedder maps the window and wires InterruptSink::on_line to the device's interrupt.
//
// Any thread. Accesses to the control registers are 4 bytes and aligned (4.2.2.2); of 1, 2 or 4
// bytes, aligned, in the configuration space. Anything else reads 0 and writes nothing.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "vendors/common/virtio/device.h"

namespace weir::virtio {

class MmioTransport {
 public:
  static constexpr std::uint64_t kBytes = 0x200;

  explicit MmioTransport(Device& device) : device_(device) {}  // which must outlive it

  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size);
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);

 private:
  struct Selected {
    std::uint32_t device_features = 0;
    std::uint32_t driver_features = 0;
    std::uint32_t queue = 0;
  };

  [[nodiscard]] Selected selected() const;
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint32_t value);
  void write_area(Device::Area area, bool high, std::uint32_t value);

  Device& device_;
  mutable Mutex mutex_;
  Selected selected_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::virtio
