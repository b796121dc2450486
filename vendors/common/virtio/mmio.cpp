// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/mmio.h"

#include "vendors/common/virtio/mmio_layout.h"
#include "vendors/common/virtio/register_words.h"

namespace weir::virtio {
namespace {

[[nodiscard]] std::uint16_t queue_number(std::uint32_t value) {
  return value > kNoVector ? kNoVector : static_cast<std::uint16_t>(value);
}

}  // namespace

MmioTransport::Selected MmioTransport::selected() const {
  const MutexLock lock(mutex_);
  return selected_;
}

std::uint64_t MmioTransport::read(std::uint64_t offset, unsigned size) {
  if (!is_access(offset, size) || offset > kBytes - size) return 0;
  if (offset >= mmio::kConfig)
    return size == 8 ? 0 : read_config_value(device_, offset - mmio::kConfig, size);
  return size == 4 ? read_register(offset) : 0;
}

void MmioTransport::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (!is_access(offset, size) || offset > kBytes - size) return;
  if (offset >= mmio::kConfig) {
    if (size != 8) write_config_value(device_, offset - mmio::kConfig, size, value);
  } else if (size == 4) {
    write_register(offset, static_cast<std::uint32_t>(value));
  }
}

std::uint32_t MmioTransport::read_register(std::uint64_t offset) {
  const Selected now = selected();
  switch (offset) {
    case mmio::kMagic:
      return mmio::kMagicValue;
    case mmio::kVersion:
      return mmio::kVersionValue;
    case mmio::kDeviceId:
      return device_.device_id();
    case mmio::kVendorId:
      return mmio::kVendorValue;
    case mmio::kDeviceFeatures:
      return feature_word(device_.offered_features(), now.device_features);
    case mmio::kQueueNumMax:
      return device_.queue(queue_number(now.queue)).max_size;
    case mmio::kQueueReady:
      return device_.queue(queue_number(now.queue)).enabled ? 1 : 0;
    case mmio::kInterruptStatus:
      return device_.interrupt_status();
    case mmio::kStatus:
      return device_.status();
    case mmio::kShmLenLow:
    case mmio::kShmLenHigh:
    case mmio::kShmBaseLow:
    case mmio::kShmBaseHigh:
      return mmio::kNoSharedMemory;
    case mmio::kConfigGeneration:
      return device_.config_generation();
    default:
      return 0;
  }
}

void MmioTransport::write_area(Device::Area area, bool high, std::uint32_t value) {
  const std::uint16_t queue = queue_number(selected().queue);
  const Gpa before = area_of(device_.queue(queue), area);
  device_.set_queue_area(queue, area, Gpa(with_half(before.value(), high, value)));
}

void MmioTransport::write_register(std::uint64_t offset, std::uint32_t value) {
  using Area = Device::Area;
  const std::uint16_t queue = queue_number(selected().queue);
  switch (offset) {
    case mmio::kDeviceFeaturesSel: {
      const MutexLock lock(mutex_);
      selected_.device_features = value;
      return;
    }
    case mmio::kDriverFeaturesSel: {
      const MutexLock lock(mutex_);
      selected_.driver_features = value;
      return;
    }
    case mmio::kQueueSel: {
      const MutexLock lock(mutex_);
      selected_.queue = value;
      return;
    }
    case mmio::kDriverFeatures:
      return set_driver_feature_word(device_, selected().driver_features, value);
    case mmio::kQueueNum:
      return device_.set_queue_size(queue, queue_number(value));
    case mmio::kQueueReady:
      return value == 0 ? device_.disable_queue(queue) : device_.enable_queue(queue);
    case mmio::kQueueNotify:
      return device_.kick(queue_number(value));
    case mmio::kInterruptAck:
      return device_.acknowledge(static_cast<std::uint8_t>(value));
    case mmio::kStatus:
      return device_.write_status(static_cast<std::uint8_t>(value));
    case mmio::kQueueDescLow:
      return write_area(Area::kDescriptors, false, value);
    case mmio::kQueueDescHigh:
      return write_area(Area::kDescriptors, true, value);
    case mmio::kQueueDriverLow:
      return write_area(Area::kDriver, false, value);
    case mmio::kQueueDriverHigh:
      return write_area(Area::kDriver, true, value);
    case mmio::kQueueDeviceLow:
      return write_area(Area::kDevice, false, value);
    case mmio::kQueueDeviceHigh:
      return write_area(Area::kDevice, true, value);
    default:
      return;
  }
}

}  // namespace weir::virtio
