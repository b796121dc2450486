// SPDX-License-Identifier: Apache-2.0
//
// What a trace says, line by line, as plain values: QemuEvent for the host side (QEMU's own trace
// log), FtraceEvent for the guest side (Linux ftrace). Any thread; a value owns all it holds.
// Nothing is interpreted: invalidation descriptors, context words and leaf entries stay raw, and
// what a trace does not print (direction, length, often PASID) is not there.
//
// Vendor words: the descriptors and words here are VT-d's (Intel VT-d specification 9 and 6.5).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/ids.h"

namespace weir::replay {

// ---- on both sides ---------------------------------------------------------------------------

// Number n was written to mark a point of the workload; the same n appears on both sides.
struct Marker {
  std::uint64_t number = 0;
};

// A raw invalidation descriptor (VT-d 6.5.2), as fetched by the unit or as queued by the guest.
struct InvalidationDescriptor {
  std::array<std::uint64_t, 4> words{};
  std::uint8_t words_known = 2;  // QEMU logs two of four; the others are then 0
  std::uint32_t unit = 0;        // n of Linux' "dmar<n>"; 0 in a QEMU log, which has one unit

  // Type field of VT-d 6.5.2: bits 11:9 above bits 3:0.
  [[nodiscard]] constexpr unsigned type() const {
    return static_cast<unsigned>((words[0] >> 9 & 7) << 4 | (words[0] & 0xf));
  }
};

// ---- QEMU log --------------------------------------------------------------------------------

enum class AccessOutcome : std::uint8_t {
  kHit,          // QEMU's IOTLB had it
  kFill,         // QEMU walked and filled
  kPassThrough,  // the context entry says pass-through: identity, no entry, no domain
  kUnremapped,   // translation was off: identity; only the page of `iova` is known
};

// An access that was translated.
struct LoggedAccess {
  Requester requester;
  Iova iova;                     // to the byte
  Gpa gpa;                       // to the byte
  std::uint64_t page_mask = 0;   // size of the page used, less one
  std::uint64_t leaf_entry = 0;  // the table's leaf with its permission bits; hit and fill only
  DomainId domain;               // hit and fill only
  AccessOutcome outcome = AccessOutcome::kHit;
};

// An access that was not. `reason` is VT-d's fault reason (VT-d 7.1.3 and its tables).
struct LoggedFault {
  Requester requester;
  Iova iova;
  std::uint16_t reason = 0;
  bool write = false;
};

// A fault recording register as filled; its F bit is not yet set here (VT-d 11.4.14).
struct FaultRecordWritten {
  std::uint16_t index = 0;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

// A context entry that an access used. `fetched`: read from memory just now, not from QEMU's cache.
struct ContextSeen {
  Requester requester;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool fetched = false;
};
struct ContextAbsent {
  Requester requester;
};
struct RootAbsent {
  std::uint8_t bus = 0;
};

// The status write of a wait descriptor. Its descriptor comes before it as InvalidationDescriptor.
struct WaitStatusWrite {
  Gpa address;
  std::uint32_t data = 0;
};

struct RegisterWrite {
  std::uint64_t offset = 0;
  std::uint64_t value = 0;
  std::uint8_t size = 0;  // bytes: 4 or 8
};

// What register writes made of the unit. Each follows the RegisterWrite that caused it.
struct GlobalCommand {
  std::uint32_t status = 0;
  std::uint32_t value = 0;
};
struct TranslationEnable {
  bool on = false;
};
struct RootPointerSet {
  Gpa address;
  bool scalable = false;
};
struct QueueSetup {
  Gpa address;
  std::uint32_t entries = 0;
};
struct QueueEnable {
  bool on = false;
};
struct QueueTail {
  std::uint32_t index = 0;
};

// QEMU emptied its IOTLB. For lack of room this comes before the access whose fill did not fit.
struct IotlbReset {
  bool for_lack_of_room = false;
};
struct UnitReset {};

// The device's address space was switched between translated and direct.
struct AddressSpaceSwitch {
  Requester requester;
  bool translated = false;
};

// The machine's run state changed. A capture's tables were dumped at its change to kPaused.
enum class RunState : std::uint8_t { kRunning, kPaused, kShutdown, kOther };
struct RunStateChange {
  RunState to = RunState::kOther;
};

using QemuEventBody =
    std::variant<LoggedAccess, LoggedFault, FaultRecordWritten, ContextSeen, ContextAbsent,
                 RootAbsent, InvalidationDescriptor, WaitStatusWrite, RegisterWrite, GlobalCommand,
                 TranslationEnable, RootPointerSet, QueueSetup, QueueEnable, QueueTail, IotlbReset,
                 UnitReset, AddressSpaceSwitch, RunStateChange, Marker>;

struct QemuEvent {
  std::uint64_t line = 0;     // of an access: where its hit, fill or pass-through is logged
  std::uint64_t time_us = 0;  // of the host's clock, UTC since 1970; 0 if the log has no times
  QemuEventBody what;
};

// ---- Linux ftrace ----------------------------------------------------------------------------

// iommu:map and iommu:unmap. Neither names a device or a domain.
struct GuestMap {
  AddressRange<Iova> range;
  Gpa gpa;
};
struct GuestUnmap {
  AddressRange<Iova> range;
  std::uint64_t unmapped_bytes = 0;
};

enum class CacheKind : std::uint8_t { kIotlb, kDeviceTlb, kNestedIotlb, kNestedDeviceTlb, kOther };

// intel_iommu:cache_tag_flush_*: one flush of one cache, before it becomes a descriptor.
struct CacheTagFlush {
  CacheKind kind = CacheKind::kIotlb;
  DomainId domain;
  std::uint32_t pasid = 0;
  std::optional<AddressRange<Iova>> range;  // nullopt: everything of the domain
  std::uint64_t pages = 0;                  // of the aligned block that covers the range
  std::uint64_t mask = 0;                   // its size, as a power of two of pages
  bool after_map = false;                   // the "_np" form: announced because of caching mode
};

// intel_iommu:cache_tag_assign: the caches now hold entries of this domain; the device that it is
// attached to follows as DeviceAttached.
struct CacheTagAssigned {
  DomainId domain;
};

enum class DmaDirection : std::uint8_t { kBidirectional, kToDevice, kFromDevice, kNone };

// dma:*. `requester` is nullopt for a device that is not a PCI function.
struct DmaMap {
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  Iova iova;
  std::uint64_t size = 0;
  Gpa gpa;
};
struct DmaUnmap {
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  Iova iova;
  std::uint64_t size = 0;
};
struct DmaSegment {
  Iova iova;
  std::uint64_t size = 0;
};
// The kernel prints at most 128 of either list, and says so. The lists may differ in length: pages
// that follow each other become one segment.
struct DmaMapSg {
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  bool truncated = false;
  std::vector<DmaSegment> segments;
  std::vector<Gpa> pages;
};
struct DmaUnmapSg {  // names no IOVA: match it by its pages
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  std::vector<Gpa> pages;
};
struct DmaAlloc {
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  Iova iova;
  std::uint64_t size = 0;
};
struct DmaFree {
  std::optional<Requester> requester;
  DmaDirection direction = DmaDirection::kNone;
  Iova iova;
  std::uint64_t size = 0;
};

struct DeviceAttached {
  std::optional<Requester> requester;
};
struct IoPageFault {
  std::optional<Requester> requester;
  Iova iova;
  std::uint32_t flags = 0;
};
// The kernel's buffer overflowed here. nullopt: it does not say by how many.
struct LostEvents {
  std::uint32_t cpu = 0;
  std::optional<std::uint64_t> count;
};

using FtraceEventBody =
    std::variant<GuestMap, GuestUnmap, InvalidationDescriptor, CacheTagFlush, CacheTagAssigned,
                 DmaMap, DmaUnmap, DmaMapSg, DmaUnmapSg, DmaAlloc, DmaFree, DeviceAttached,
                 IoPageFault, Marker, LostEvents>;

struct FtraceEvent {
  std::uint64_t line = 0;
  std::uint64_t time_us = 0;  // of the trace clock; 0 for LostEvents, which has no time
  std::uint32_t cpu = 0;
  FtraceEventBody what;
};

}  // namespace weir::replay
