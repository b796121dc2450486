// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/pci.h"

#include <array>
#include <cstring>

#include "vendors/common/virtio/register_words.h"

namespace weir::virtio {
namespace {

namespace common = pci::common;
namespace capability = pci::capability;

// Where each field begins and how wide it is; halves of 64-bit fields count as fields.
struct FieldWidth {
  std::uint64_t offset;
  unsigned bytes;
};
constexpr std::array kFields = {FieldWidth{common::kDeviceFeatureSelect, 4},
                                FieldWidth{common::kDeviceFeature, 4},
                                FieldWidth{common::kDriverFeatureSelect, 4},
                                FieldWidth{common::kDriverFeature, 4},
                                FieldWidth{common::kConfigVector, 2},
                                FieldWidth{common::kQueueCount, 2},
                                FieldWidth{common::kStatus, 1},
                                FieldWidth{common::kGeneration, 1},
                                FieldWidth{common::kQueueSelect, 2},
                                FieldWidth{common::kQueueSize, 2},
                                FieldWidth{common::kQueueVector, 2},
                                FieldWidth{common::kQueueEnable, 2},
                                FieldWidth{common::kQueueNotifyOff, 2},
                                FieldWidth{common::kQueueDescLow, 4},
                                FieldWidth{common::kQueueDescHigh, 4},
                                FieldWidth{common::kQueueDriverLow, 4},
                                FieldWidth{common::kQueueDriverHigh, 4},
                                FieldWidth{common::kQueueDeviceLow, 4},
                                FieldWidth{common::kQueueDeviceHigh, 4}};

consteval bool fields_are_sound() {
  std::uint64_t end = 0;
  for (const FieldWidth& field : kFields) {
    if (field.offset != end) return false;
    end += field.bytes;
  }
  return end == common::kBytes;
}
static_assert(fields_are_sound());

[[nodiscard]] bool is_field(std::uint64_t offset, unsigned size) {
  for (const FieldWidth& field : kFields)
    if (field.offset == offset) return field.bytes == size;
  return false;
}

struct Structure {
  std::uint8_t type;
  std::uint64_t at;
  std::uint64_t bytes;
};
constexpr std::array kStructures = {
    Structure{capability::kCommon, pci::kCommonAt, common::kBytes},
    Structure{capability::kIsr, pci::kIsrAt, 1},
    Structure{capability::kDevice, pci::kDeviceAt, pci::kStructureBytes},
    Structure{capability::kNotify, pci::kNotifyAt, pci::kStructureBytes},
    Structure{capability::kWindow, 0, 0}};

[[nodiscard]] bool is_long(std::uint8_t type) {
  return type == capability::kNotify || type == capability::kWindow;
}

void put32(std::vector<std::byte>& bytes, std::size_t at, std::uint64_t value) {
  const auto word = static_cast<std::uint32_t>(value);
  std::memcpy(bytes.data() + at, &word, sizeof word);
}

}  // namespace

std::vector<std::byte> PciTransport::capabilities(std::uint8_t bar, std::uint8_t first_at,
                                                  std::uint8_t next) const {
  std::vector<std::byte> all;
  for (const Structure& structure : kStructures) {
    const std::size_t length =
        is_long(structure.type) ? capability::kLongBytes : capability::kBytes;
    std::vector<std::byte> one(length);
    const bool last = structure.type == kStructures.back().type;
    const auto link = static_cast<std::uint8_t>(first_at + all.size() + length);
    one[capability::kId] = std::byte{capability::kVendorSpecific};
    one[capability::kNext] = std::byte{last ? next : link};
    one[capability::kLength] = static_cast<std::byte>(length);
    one[capability::kType] = std::byte{structure.type};
    if (structure.type != capability::kWindow) one[capability::kBar] = std::byte{bar};
    put32(one, capability::kOffset, structure.at);
    put32(one, capability::kStructureLength, structure.bytes);
    if (structure.type == capability::kNotify)
      put32(one, capability::kNotifyMultiplier, pci::kNotifyMultiplierValue);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

PciTransport::Selected PciTransport::selected() const {
  const MutexLock lock(mutex_);
  return selected_;
}

std::uint64_t PciTransport::read(std::uint64_t offset, unsigned size) {
  if (!is_access(offset, size) || offset > kBarBytes - size) return 0;
  if (offset < pci::kIsrAt) {
    if (size != 8) return is_field(offset, size) ? read_common(offset) : 0;
    // Both halves of a 64-bit field.
    if (!is_field(offset, 4) || offset < common::kQueueDescLow) return 0;
    return with_half(with_half(0, false, half_of(read_common(offset), false)), true,
                     half_of(read_common(offset + 4), false));
  }
  if (offset < pci::kDeviceAt) {
    if (offset != pci::kIsrAt) return 0;
    const std::uint8_t causes = device_.interrupt_status();
    device_.acknowledge(causes);  // 4.1.4.5: reading is acknowledging
    return causes;
  }
  if (offset < pci::kNotifyAt) return read_config_value(device_, offset - pci::kDeviceAt, size);
  return 0;
}

void PciTransport::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (!is_access(offset, size) || offset > kBarBytes - size) return;
  if (offset < pci::kIsrAt) {
    if (size != 8) {
      if (is_field(offset, size)) write_common(offset, value);
    } else if (is_field(offset, 4) && offset >= common::kQueueDescLow) {
      write_common(offset, half_of(value, false));
      write_common(offset + 4, half_of(value, true));
    }
  } else if (offset >= pci::kNotifyAt) {
    const std::uint64_t queue = (offset - pci::kNotifyAt) / pci::kNotifyMultiplierValue;
    if (queue < device_.queue_count()) device_.kick(static_cast<std::uint16_t>(queue));
  } else if (offset >= pci::kDeviceAt) {
    write_config_value(device_, offset - pci::kDeviceAt, size, value);
  }
}

std::uint64_t PciTransport::read_common(std::uint64_t offset) {
  const Selected now = selected();
  const QueueRegisters queue = device_.queue(now.queue);
  switch (offset) {
    case common::kDeviceFeatureSelect:
      return now.device_features;
    case common::kDeviceFeature:
      return feature_word(device_.offered_features(), now.device_features);
    case common::kDriverFeatureSelect:
      return now.driver_features;
    case common::kDriverFeature:
      return feature_word(device_.driver_features(), now.driver_features);
    case common::kConfigVector:
      return device_.config_vector();
    case common::kQueueCount:
      return device_.queue_count();
    case common::kStatus:
      return device_.status();
    case common::kGeneration:
      return device_.config_generation();
    case common::kQueueSelect:
      return now.queue;
    case common::kQueueSize:
      return queue.size;
    case common::kQueueVector:
      return queue.vector;
    case common::kQueueEnable:
      return queue.enabled ? 1 : 0;
    case common::kQueueNotifyOff:
      return now.queue < device_.queue_count() ? now.queue : 0;
    case common::kQueueDescLow:
    case common::kQueueDescHigh:
      return half_of(queue.descriptors.value(), offset == common::kQueueDescHigh);
    case common::kQueueDriverLow:
    case common::kQueueDriverHigh:
      return half_of(queue.driver.value(), offset == common::kQueueDriverHigh);
    case common::kQueueDeviceLow:
    case common::kQueueDeviceHigh:
      return half_of(queue.device.value(), offset == common::kQueueDeviceHigh);
    default:
      return 0;
  }
}

void PciTransport::write_area(Device::Area area, bool high, std::uint64_t value) {
  const std::uint16_t queue = selected().queue;
  const Gpa before = area_of(device_.queue(queue), area);
  device_.set_queue_area(queue, area,
                         Gpa(with_half(before.value(), high, static_cast<std::uint32_t>(value))));
}

void PciTransport::write_common(std::uint64_t offset, std::uint64_t value) {
  using Area = Device::Area;
  const auto word = static_cast<std::uint32_t>(value);
  const auto number = static_cast<std::uint16_t>(value);
  const std::uint16_t queue = selected().queue;
  switch (offset) {
    case common::kDeviceFeatureSelect: {
      const MutexLock lock(mutex_);
      selected_.device_features = word;
      return;
    }
    case common::kDriverFeatureSelect: {
      const MutexLock lock(mutex_);
      selected_.driver_features = word;
      return;
    }
    case common::kQueueSelect: {
      const MutexLock lock(mutex_);
      selected_.queue = number;
      return;
    }
    case common::kDriverFeature:
      return set_driver_feature_word(device_, selected().driver_features, word);
    case common::kConfigVector:
      return device_.set_config_vector(number);
    case common::kStatus:
      return device_.write_status(static_cast<std::uint8_t>(value));
    case common::kQueueSize:
      return device_.set_queue_size(queue, number);
    case common::kQueueVector:
      return device_.set_queue_vector(queue, number);
    case common::kQueueEnable:
      // 4.1.4.3.2: a driver never writes 0.
      if (number == 1) device_.enable_queue(queue);
      return;
    case common::kQueueDescLow:
    case common::kQueueDescHigh:
      return write_area(Area::kDescriptors, offset == common::kQueueDescHigh, value);
    case common::kQueueDriverLow:
    case common::kQueueDriverHigh:
      return write_area(Area::kDriver, offset == common::kQueueDriverHigh, value);
    case common::kQueueDeviceLow:
    case common::kQueueDeviceHigh:
      return write_area(Area::kDevice, offset == common::kQueueDeviceHigh, value);
    default:
      return;
  }
}

}  // namespace weir::virtio
