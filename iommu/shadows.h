// SPDX-License-Identifier: Apache-2.0
//
// What listeners have been told, function by function, and how it is brought up to date: a change
// names a range; the guest's tables are asked what is in it now; the differences are told. Private
// pages are left out of what they are told.
//
// Private to this room. Any thread. A function's listener is called under that function's own lock,
// which nothing takes on the way of a request.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "iommu/map_listener.h"
#include "iotlb/invalidation.h"

namespace weir::core {

class IommuCore;
class Port;
class UnitCore;

class Shadow final : public Listening {
 public:
  Shadow(Port& port, MapListener& listener) : port_(port), listener_(listener) {}
  ~Shadow() override;

  // Something inside `range` may have changed, if the function's domain is one that `what` speaks
  // of.
  void update(const iotlb::Invalidation& what, AddressRange<Iova> range) WEIR_EXCLUDES(mutex_);
  // What lies at `range` of guest-physical memory is something else now.
  void replace(AddressRange<Gpa> range) WEIR_EXCLUDES(mutex_);
  [[nodiscard]] const UnitCore* unit() const;
  [[nodiscard]] Requester requester() const;
  [[nodiscard]] const Port* port() const { return &port_; }
  [[nodiscard]] bool lost() const;

 private:
  // More than any guest maps in good faith; and as many steps at most to find out.
  static constexpr std::size_t kMaxMappings = std::size_t{1} << 20;
  static constexpr std::size_t kMaxSteps = std::size_t{1} << 21;

  using Mappings = std::map<std::uint64_t, Mapping>;  // by first byte

  struct Space;
  [[nodiscard]] Space read_space() const;
  // False: beyond what can be followed.
  [[nodiscard]] bool list(const Space& space, AddressRange<Iova> range, Mappings& found) const;
  void lose() WEIR_REQUIRES(mutex_);

  Port& port_;
  MapListener& listener_;

  mutable Mutex mutex_;
  Mappings told_ WEIR_GUARDED_BY(mutex_);
  bool lost_ WEIR_GUARDED_BY(mutex_) = false;
};

class Shadows {
 public:
  void add(Shadow& shadow);
  void remove(Shadow& shadow);
  // Translations or contexts of `unit` were dropped.
  void changed(const UnitCore& unit, const iotlb::Invalidation& what);
  void host_changed(AddressRange<Gpa> range);
  // These functions have other routes.
  void replaced(std::span<const Port* const> ports);
  // Pages became private or shared.
  void pages_turned();

 private:
  // Takes no lock where nobody listens, so that units do not meet there.
  void for_each(const std::function<void(Shadow&)>& call);

  std::atomic<std::size_t> count_{0};  // of shadows_; changed under the mutex
  Mutex mutex_;
  std::vector<Shadow*> shadows_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::core
