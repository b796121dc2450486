// SPDX-License-Identifier: Apache-2.0
//
// The request queue: takes what the driver has made available as one batch, carries it out, has
// everything that it dropped invalidated in one round, and returns the batch with its statuses once
// that round has drained. A status is a completion (L1): until then the batch stays parked, and
// nothing after it is taken.
//
// The unit's runner only, with no lock held. Never waits. A batch is at most the queue's size; a
// pass ends when the driver has nothing more available.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "iommu/unit.h"
#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/queue.h"
#include "vendors/virtio_iommu/domains.h"
#include "vendors/virtio_iommu/graveyard.h"
#include "vendors/virtio_iommu/guest_access.h"
#include "vendors/virtio_iommu/options.h"
#include "vendors/virtio_iommu/places.h"

namespace weir::virtio_iommu {

// The domains and what was taken out of them, under the lock that lets others than the runner look.
struct Structures {
  Structures(const Options& options, Endpoints& all_endpoints)
      : endpoints(all_endpoints), domains(options, all_endpoints, graveyard) {}

  Mutex mutex;
  Graveyard graveyard WEIR_GUARDED_BY(mutex);
  Endpoints& endpoints;
  Domains domains WEIR_GUARDED_BY(mutex);
};

struct RequestCounts {
  std::uint64_t requests = 0;  // returned, whatever their status
  std::uint64_t refused = 0;   // with a status other than OK
  std::uint64_t unparsed = 0;  // returned as they were
  std::uint64_t batches = 0;
  std::uint64_t rounds = 0;  // invalidation rounds
};

class RequestQueue {
 public:
  RequestQueue(UnitHost& host, const Options& options, Structures& structures,
               virtio::Device& device)
      : host_(host), options_(options), structures_(structures), device_(device), memory_(host) {}

  void set_features(std::uint64_t accepted) WEIR_EXCLUDES(structures_.mutex);
  void start(const virtio::QueueConfig& config);
  // The rings are not touched any more; a batch under way is never returned.
  void drop(Parking& parking);
  void run(Parking& parking) WEIR_EXCLUDES(structures_.mutex);
  [[nodiscard]] const RequestCounts& counts() const { return counts_; }

 private:
  struct Item {
    virtio::Chain chain;
    bool answered = false;  // false: returned as it is
    Status status = Status::kOk;
    std::uint64_t tail_at = 0;            // into the writable part
    std::vector<std::byte> properties{};  // of PROBE, before the tail
  };

  // False: nothing is available.
  [[nodiscard]] bool take_batch();
  [[nodiscard]] Result<bool, virtio::QueueError> fill_batch();
  void carry_out(Item& item);
  void answer_probe(const Probe& request, Item& item);
  void begin_round();
  void finish_batch();
  [[nodiscard]] std::uint32_t write_answer(Item& item);
  void fail(virtio::QueueError error);

  // Constant after construction.
  UnitHost& host_;
  const Options& options_;
  Structures& structures_;
  virtio::Device& device_;

  GuestAccess memory_;
  std::uint64_t features_ = 0;
  std::optional<virtio::Queue> queue_;
  std::uint16_t size_ = 0;
  std::vector<Item> items_;  // kept from batch to batch, with their room
  std::size_t taken_ = 0;    // of items_, in the batch under way
  std::vector<virtio::Used> used_;
  bool open_ = false;  // a batch is under way
  Ticket ticket_{};    // and waits for this
  RequestCounts counts_;
};

}  // namespace weir::virtio_iommu
