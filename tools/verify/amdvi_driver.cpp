// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/amdvi_driver.h"

#include <bit>

namespace weir::verify {
namespace {

// Offsets and bits as Linux has them (drivers/iommu/amd/amd_iommu_types.h).
constexpr std::uint64_t kDeviceTable = 0x0, kCommandBase = 0x8, kEventBase = 0x10, kControl = 0x18,
                        kCommandHead = 0x2000, kCommandTail = 0x2008, kEventHead = 0x2010,
                        kEventTail = 0x2018, kStatus = 0x2020;
constexpr std::uint64_t kEnable = 1,
                        kOthers = 1 << 2 | 1 << 3 | 1 << 12;  // log, its interrupt, ring
constexpr std::uint64_t kLength256 = std::uint64_t{8} << 56;
constexpr std::uint32_t kRingBytes = 256 * 16;
constexpr std::uint64_t kOpcodeAt = 60;
// Nothing is in flight when the driver waits, so a unit that needs more is stuck.
constexpr int kPatience = 100;

}  // namespace

AmdDriver::Outcome AmdDriver::start(Gpa device_table, unsigned pages) {
  const auto write = [this](std::uint64_t at, std::uint64_t value) {
    unit_.write_register(at, 8, value);
  };
  device_table_ = device_table;
  write(kDeviceTable, device_table.value() | (pages - 1));
  write(kCommandBase, pages_.commands.value() | kLength256);
  write(kCommandHead, 0);
  write(kCommandTail, 0);
  write(kEventBase, pages_.events.value() | kLength256);
  write(kEventHead, 0);
  write(kEventTail, 0);
  write(kControl, kOthers | kEnable);
  constexpr std::uint64_t kRunning = 1 << 3 | 1 << 4;
  if ((unit_.read_register(kStatus, 8) & kRunning) != kRunning)
    return Failure{std::string("the status register does not say that log and ring run")};
  return forget_everything();
}

AmdDriver::Outcome AmdDriver::set_translation(bool on) {
  unit_.write_register(kControl, 8, on ? kOthers | kEnable : kOthers);
  constexpr std::uint64_t kCommandRun = 1 << 4;
  for (int i = 0; i < kPatience; ++i) {
    if (((unit_.read_register(kStatus, 8) & kCommandRun) != 0) == on) return Done{};
    iommu_.poll();
  }
  return Failure{std::string("Status.CmdBufRun does not follow Control.IommuEn")};
}

void AmdDriver::queue(std::uint64_t low, std::uint64_t high) {
  ram_.store64(pages_.commands + tail_, low);
  ram_.store64(pages_.commands + tail_ + 8, high);
  tail_ = (tail_ + 16) % kRingBytes;
  unit_.write_register(kCommandTail, 4, tail_);
}

AmdDriver::Outcome AmdDriver::submit(std::uint64_t low, std::uint64_t high) {
  // With translation off the ring does not run: what is queued waits for it.
  queue(low, high);
  queue(pages_.semaphore.value() | 1 | std::uint64_t{1} << kOpcodeAt, ++sequence_);
  if ((unit_.read_register(kControl, 8) & kEnable) == 0) return Done{};
  for (int i = 0; i < kPatience; ++i) {
    if (ram_.load64(pages_.semaphore) == sequence_) return Done{};
    iommu_.poll();
  }
  return Failure{std::string("COMPLETION_WAIT does not store its data")};
}

AmdDriver::Outcome AmdDriver::forget_entry(std::uint16_t device) {
  return submit(device | std::uint64_t{2} << kOpcodeAt, 0);
}

AmdDriver::Outcome AmdDriver::forget_pages(const ForgetPages& pages) {
  const std::uint64_t low = std::uint64_t{pages.domain} << 32 | std::uint64_t{3} << kOpcodeAt;
  const std::uint64_t page = pages.address >> 12 << 12;
  return submit(low, page | (pages.sized ? 1U : 0U) | (pages.directories ? 2U : 0U));
}

AmdDriver::Outcome AmdDriver::forget_everything() {
  return submit(std::uint64_t{8} << kOpcodeAt, 0);
}

bool AmdDriver::ends_in_next_level_size(std::uint16_t device, std::uint64_t iova) const {
  constexpr std::uint64_t kAddress = 0xffffffffff000;
  constexpr unsigned kEncoded = 7;
  std::uint64_t entry = ram_.load64(device_table_ + device * 32U);
  for (unsigned level = entry >> 9 & 7; level != 0 && level != kEncoded;) {
    const Gpa at((entry & kAddress) + (iova >> 9 * level & 0xff8));
    if (!ram_.holds(at, 8)) return false;
    entry = ram_.load64(at);
    const unsigned next = entry >> 9 & 7;
    if (next == kEncoded) {
      const auto size = static_cast<unsigned>(std::countr_one((entry & kAddress) >> 12)) + 13;
      return size == 12 + 9 * level;
    }
    if ((entry & 1) == 0 || next >= level) return false;
    level = next;
  }
  return false;
}

std::vector<AmdEvent> AmdDriver::take_events() {
  std::vector<AmdEvent> events;
  const auto tail = static_cast<std::uint32_t>(unit_.read_register(kEventTail, 4));
  auto head = static_cast<std::uint32_t>(unit_.read_register(kEventHead, 4));
  while (head != tail && events.size() < kRingBytes / 16) {
    const std::uint64_t low = ram_.load64(pages_.events + head);
    const auto flag = [low](unsigned bit) { return (low >> (48 + bit) & 1) != 0; };
    events.push_back({.code = static_cast<unsigned>(low >> 60),
                      .device = static_cast<std::uint16_t>(low),
                      .domain = static_cast<std::uint16_t>(low >> 32),
                      .address = ram_.load64(pages_.events + head + 8),
                      .interrupt = flag(3),
                      .present = flag(4),
                      .write = flag(5),
                      .permission = flag(6),
                      .reserved = flag(7)});
    head = (head + 16) % kRingBytes;
  }
  unit_.write_register(kEventHead, 4, head);
  // Overflow and interrupt, as an interrupt handler clears them.
  unit_.write_register(kStatus, 4, 3);
  return events;
}

}  // namespace weir::verify
