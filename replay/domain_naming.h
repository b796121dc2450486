// SPDX-License-Identifier: Apache-2.0
//
// Finds out whose a guest's maps and unmaps are. iommu:map and iommu:unmap name neither device nor
// domain; what happens around them on the same processor does:
//
//   a page-selective flush that covers the range      names the domain of the last map or unmap
//   there dma_map_*, dma_alloc, dma_unmap_page after it     name the device, and so the device's
//   domain dma_unmap_sg, dma_free just before an unmap       likewise attach_device_to_domain after
//   unnamed maps        names their domain: reserved regions at boot
//
// A flush is believed before a device. The domain of a device is the one that the last
// cache_tag_assign (or, before Linux 6.12, the last domain-selective flush) before its attachment
// named, or that a flush gave a map of its own. For this, events are held back until a fixed number
// of others has been read.
//
// For one thread. It knows events only: no tables, no unit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"
#include "replay/trace_event.h"

namespace weir::replay {

enum class NamedBy : std::uint8_t { kNothing, kFlush, kDevice, kAttachment };

// An event, and what others tell of it.
struct NamedEvent {
  FtraceEvent event;
  std::uint64_t number = 0;              // of all events
  std::uint64_t settled = 0;             // number of the last event that told something of it
  std::optional<DomainId> domain{};      // of a map, an unmap, or an attachment
  std::optional<Requester> requester{};  // of a map or an unmap
  std::optional<Access> access{};        // of a map: the device's direction
  NamedBy by = NamedBy::kNothing;
};

class DomainNaming {
 public:
  // A scatter list of 256 pages is as many maps before the event that names them.
  static constexpr std::size_t kLookAhead = 512;

  void push(FtraceEvent event);

  [[nodiscard]] bool empty() const { return window_.empty(); }
  // Whether the first event has seen all that it may.
  [[nodiscard]] bool ready() const { return window_.size() > kLookAhead; }
  // REQUIRES: !empty().
  [[nodiscard]] NamedEvent pop();
  // The event after the one popped last; nullptr at the end.
  [[nodiscard]] const FtraceEvent* next() const {
    return window_.empty() ? nullptr : &window_.front().event;
  }

 private:
  enum class Kind : std::uint8_t { kEither, kMap, kUnmap };
  // What an event says of maps or unmaps in a range.
  struct Told {
    AddressRange<Iova> range;
    Kind kind = Kind::kEither;
    std::optional<DomainId> domain;
    std::optional<Requester> requester;
    std::optional<Access> access;
  };
  // Of one processor.
  struct Recent {
    std::optional<DomainId> assigned;  // since the last attachment
    std::optional<DomainId> flushed;   // likewise: by a domain-selective flush
    std::optional<Requester> freeing;  // the device whose unmap comes next
  };

  void tell(const Told& told);
  void name(NamedEvent& event, const Told& told);
  void dma(const std::optional<Requester>& requester, DmaDirection direction, Iova iova,
           std::uint64_t size, Kind kind);
  void take(const InvalidationDescriptor& descriptor);
  void take(const CacheTagAssigned& assigned);
  void take(const DeviceAttached& attached);
  void take(const GuestUnmap& unmap);
  void take(const DmaMap& map) {
    dma(map.requester, map.direction, map.iova, map.size, Kind::kMap);
  }
  void take(const DmaAlloc& a) { dma(a.requester, a.direction, a.iova, a.size, Kind::kMap); }
  void take(const DmaUnmap& u) { dma(u.requester, u.direction, u.iova, u.size, Kind::kUnmap); }
  void take(const DmaMapSg& map);
  void take(const DmaUnmapSg& unmap) { recent().freeing = unmap.requester; }
  void take(const DmaFree& free) {
    if (free.size != 0) recent().freeing = free.requester;
  }
  template <typename Other>
  void take(const Other&) {}

  [[nodiscard]] Recent& recent() { return recent_[window_.back().event.cpu]; }
  [[nodiscard]] std::optional<DomainId> domain_of(const std::optional<Requester>& requester) const;

  std::deque<NamedEvent> window_;
  std::uint64_t read_ = 0;
  bool assignments_ = false;  // the kernel traces them
  std::map<std::uint32_t, Recent> recent_;
  std::map<Requester, DomainId> domains_;
};

}  // namespace weir::replay
