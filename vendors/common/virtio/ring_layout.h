// SPDX-License-Identifier: Apache-2.0
//
// Layout of virtqueues in guest memory: split rings (virtio 1.4, 2.7) and packed rings (2.8). A
// descriptor is two 64-bit words, the address and a word of small fields, so that each can be read
// once and whole.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::virtio {

struct DescriptorWords {
  std::uint64_t address = 0;
  std::uint64_t rest = 0;
};
inline constexpr std::uint64_t kDescriptorBytes = 16;
inline constexpr unsigned kDescriptorAlignLg2 = 4;
static_assert(sizeof(DescriptorWords) == kDescriptorBytes);

// Bits of a descriptor's flags, alike in both formats.
namespace descriptor_flag {
inline constexpr Bit<0> kNext{"VIRTQ_DESC_F_NEXT", "the chain goes on", "2.7.5"};
inline constexpr Bit<1> kWrite{"VIRTQ_DESC_F_WRITE", "for the device to write", "2.7.5"};
inline constexpr Bit<2> kIndirect{"VIRTQ_DESC_F_INDIRECT", "a table of descriptors", "2.7.5.3"};
inline constexpr Bit<7> kAvailable{"VIRTQ_DESC_F_AVAIL", "packed: made available", "2.8.1"};
inline constexpr Bit<15> kUsed{"VIRTQ_DESC_F_USED", "packed: used", "2.8.1"};
inline constexpr auto kSplit = layout<16>(kNext, kWrite, kIndirect);
inline constexpr auto kPacked = layout<16>(kNext, kWrite, kIndirect, kAvailable, kUsed);
}  // namespace descriptor_flag

namespace split {
// The second word of a descriptor (struct virtq_desc).
namespace descriptor {
inline constexpr Field<31, 0> kLength{"len", "bytes", "2.7.5"};
inline constexpr Field<47, 32> kFlags{"flags", "", "2.7.5"};
inline constexpr Field<63, 48> kNext{"next", "number of the next descriptor", "2.7.5"};
inline constexpr auto kLayout = layout<64>(kLength, kFlags, kNext);
}  // namespace descriptor

// Available ring (struct virtq_avail): flags, idx, entries, used_event; 16 bits each.
namespace available {
inline constexpr unsigned kAlignLg2 = 1;
inline constexpr std::uint64_t kFlags = 0;
inline constexpr Bit<0> kNoInterrupt{"VIRTQ_AVAIL_F_NO_INTERRUPT", "", "2.7.6"};
inline constexpr std::uint64_t kIndex = 2;
inline constexpr std::uint64_t kEntries = 4;
inline constexpr std::uint64_t kEntryBytes = 2;
[[nodiscard]] constexpr std::uint64_t used_event(std::uint16_t size) {
  return kEntries + kEntryBytes * size;
}
}  // namespace available

// Used ring (struct virtq_used): flags, idx, entries of two 32-bit words, avail_event.
namespace used {
inline constexpr unsigned kAlignLg2 = 2;
inline constexpr std::uint64_t kFlags = 0;
inline constexpr Bit<0> kNoNotify{"VIRTQ_USED_F_NO_NOTIFY", "", "2.7.8"};
inline constexpr std::uint64_t kIndex = 2;
inline constexpr std::uint64_t kEntries = 4;
inline constexpr std::uint64_t kEntryBytes = 8;
inline constexpr Field<31, 0> kId{"id", "first descriptor of the chain", "2.7.8"};
inline constexpr Field<63, 32> kLength{"len", "bytes written", "2.7.8"};
inline constexpr auto kEntry = layout<64>(kId, kLength);
[[nodiscard]] constexpr std::uint64_t available_event(std::uint16_t size) {
  return kEntries + kEntryBytes * size;
}
}  // namespace used
}  // namespace split

namespace packed {
// The second word of a descriptor (struct pvirtq_desc).
namespace descriptor {
inline constexpr Field<31, 0> kLength{"len", "bytes", "2.8.13"};
inline constexpr Field<47, 32> kId{"id", "buffer", "2.8.13"};
inline constexpr Field<63, 48> kFlags{"flags", "", "2.8.13"};
inline constexpr auto kLayout = layout<64>(kLength, kId, kFlags);
inline constexpr std::uint64_t kRestAt = 8;
}  // namespace descriptor

// Event suppression (struct pvirtq_event_suppress), one 32-bit word.
namespace event {
inline constexpr unsigned kAlignLg2 = 2;
inline constexpr Field<14, 0> kOffset{"desc_event_off", "descriptor in the ring", "2.8.14"};
inline constexpr Bit<15> kWrap{"desc_event_wrap", "wrap counter", "2.8.14"};
inline constexpr Field<17, 16> kFlags{"desc_event_flags", "", "2.8.14"};
inline constexpr auto kLayout = layout<32>(kOffset, kWrap, kFlags);
inline constexpr std::uint64_t kEnable = 0;    // RING_EVENT_FLAGS_ENABLE
inline constexpr std::uint64_t kDisable = 1;   // RING_EVENT_FLAGS_DISABLE
inline constexpr std::uint64_t kSpecific = 2;  // RING_EVENT_FLAGS_DESC
}  // namespace event
}  // namespace packed

}  // namespace weir::virtio
