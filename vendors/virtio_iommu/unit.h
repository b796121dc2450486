// SPDX-License-Identifier: Apache-2.0
//
// The front door of a virtio-iommu (virtio 1.4, 5.13): a unit whose tables are requests. Made by
// Iommu::add_unit<virtio_iommu::Unit>(name, options); a guest reaches it through device(), with a
// transport in front (vendors/common/virtio/mmio.h, pci.h).
//
// Vendor words: an *endpoint* is a function behind the unit, numbered as the guest's tables number
// it; a *domain* is an address space of byte ranges, created by the first ATTACH that names it and
// gone with the last endpoint; *bypass* is weir's pass-through.
//
// Requests are carried out on the thread that kicks; no call waits for a device. A batch whose
// round has not drained stays parked and goes on from poll(). The event queue has its own turn, on
// the threads whose requests fault. All members: any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/access.h"
#include "iommu/unit.h"
#include "vendors/common/virtio/device.h"
#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

// The largest range around an address that is translated alike, with all that it permits.
struct Window {
  AddressRange<Iova> range{};
  Gpa output;  // of range.first
  Permissions permissions;
  bool mmio = false;  // mapped as device registers
};

struct UnitCounts {
  std::uint64_t requests = 0;  // returned, whatever their status
  std::uint64_t refused = 0;   // with a status other than OK
  std::uint64_t unparsed = 0;  // returned as they were
  std::uint64_t batches = 0;
  std::uint64_t rounds = 0;  // invalidation rounds: one for a batch that has to have one
  std::uint64_t faults_reported = 0;
  std::uint64_t faults_dropped = 0;
};

class Unit final : public weir::Unit {
 public:
  // REQUIRES: options as their comments say; ids and requesters of the endpoints are unique;
  // `probe_size` holds the properties of each.
  Unit(UnitHost& host, const Options& options);
  ~Unit() override;

  [[nodiscard]] virtio::Device& device();

  // What a request of the function at that address would meet, as a whole range: for whoever keeps
  // mappings of its own (a vhost back end). Nothing: it would fault. The answer is as of this call;
  // the completion of a later UNMAP does not wait for its user.
  [[nodiscard]] std::optional<Window> window(Requester requester, Iova iova);

  // Exact when nothing is under way.
  [[nodiscard]] UnitCounts counts();

  // The core's side.
  [[nodiscard]] Result<iotlb::Context, Fault> read_context(
      const Request& request, const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context& context,
                                           const Request& request) override;
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override;
  // Who asks is about to listen: from the first time on MAP is announced as UNMAP is, and costs an
  // invalidation, for which its status does not wait. Never where a granule is less than a page.
  [[nodiscard]] bool announces_mappings() const override;
  void record(const Fault& fault) override;
  void poll() override;
  void reset() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::virtio_iommu
