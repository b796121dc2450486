// SPDX-License-Identifier: Apache-2.0
//
// Start here for an emulated device behind weir. A virtio block device (virtio 1.4, 5.2) with one
// or several queues, over a Storage. It shows the two ways in which devices reach memory: a fast
// one copies at once (DmaPort::read and write); one whose storage takes its time pins the buffers
// when it takes a request and lets go of them when the data has moved (DmaPort::map). It never
// asks what stands behind its port: with an IOMMU or without, it is the same code.
//
// Two of its options break it on purpose, for tests of the IOMMU in front of it.
//
// Thread rules: all members on the server's thread. No call waits; a kick serves a bounded number
// of requests and posts the rest. What a guest breaks in its rings makes the device ask for a reset
// (2.1.2); what it breaks in a request ends as that request's status.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "plugs/vfio_user/pci_function.h"
#include "plugs/virtio_blk/dma_memory.h"
#include "plugs/virtio_blk/request.h"
#include "plugs/virtio_blk/storage.h"
#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/queue.h"

namespace weir::virtio_blk {

struct Rogue {
  // Requests that touch it go astray first: four bytes written to `address` by a request that reads
  // the disk, and read from there by one that writes it.
  std::uint64_t sector = 0;
  Iova address;
};

struct Options {
  std::uint16_t queues = 1;  // 1…7
  std::uint16_t queue_size = 256;
  bool packed = false;  // offer packed virtqueues as well
  // How long the storage takes for the data of a request. The buffers are pinned meanwhile.
  Clock::Duration latency{};

  // Broken on purpose: a request that reads the disk is returned when it is taken, and its data
  // lands only after `latency`. A guest that unmaps its buffers strictly does not notice, because
  // the completion of its invalidation waits for the pin (L1).
  bool returns_early = false;
  // Broken on purpose.
  std::optional<Rogue> rogue{};
};

struct Counts {
  std::uint64_t requests = 0;  // returned, whatever their status
  std::uint64_t refused = 0;   // with a status other than OK
  std::uint64_t bytes_read = 0;  // of the disk
  std::uint64_t bytes_written = 0;
  std::uint64_t pinned = 0;        // requests whose buffers were pinned
  std::uint64_t broken_rings = 0;  // after which only a reset helped
  std::uint64_t astray_landed = 0;
  std::uint64_t astray_refused = 0;
};

class BlockDevice final : public virtio::DeviceType {
 public:
  // REQUIRES: options as their comments say.
  BlockDevice(std::unique_ptr<Storage> storage, const Options& options);

  // Once, before the first kick; both outlive the device's use.
  void start(vfio_user::FunctionHost& host, virtio::Device& device);
  // What is pinned is let go; the requests of it end in an error.
  void release_pins();
  [[nodiscard]] const Counts& counts() const { return counts_; }

  [[nodiscard]] std::uint16_t device_id() const override { return kDeviceId; }
  [[nodiscard]] std::uint64_t offered_features() const override;
  [[nodiscard]] std::vector<std::uint16_t> queue_sizes() const override;
  void read_config(std::uint64_t offset, std::span<std::byte> to) override;
  void write_config(std::uint64_t /*offset*/, std::span<const std::byte> /*from*/) override {}
  void features_accepted(std::uint64_t /*features*/) override {}
  void start_queue(std::uint16_t queue, const virtio::QueueConfig& config) override;
  void stop_queue(std::uint16_t queue) override;
  void kick(std::uint16_t queue) override { run(queue); }
  void reset() override;

 private:
  struct OpenQueue {
    virtio::Queue ring;
    std::uint64_t number = 0;    // no queue opened later has it
    std::uint32_t most = 0;      // requests in flight at once
    std::uint32_t in_flight = 0;
    bool posted = false;  // run() will be called again
  };
  // A request between being taken and its data having moved.
  struct Transfer {
    std::uint16_t queue = 0;
    virtio::Chain chain;
    BlockRequest request;
    std::vector<Pin> pins;  // of its data; empty: not pinnable, or let go
    bool returned = false;
  };

  void run(std::uint16_t index);
  void post_run(std::uint16_t index);
  void serve(std::uint16_t index, const virtio::Chain& chain);
  // Does all of it now; for the guest to see.
  [[nodiscard]] Status carry_out(const virtio::Chain& chain, const BlockRequest& request);
  [[nodiscard]] bool move(const virtio::Chain& chain, const BlockRequest& request);
  [[nodiscard]] bool move_pinned(const Transfer& transfer);
  [[nodiscard]] std::optional<std::vector<Pin>> pin(const virtio::Chain& chain,
                                                    const BlockRequest& request);
  void take(std::uint16_t index, const virtio::Chain& chain, const BlockRequest& request);
  void land(std::uint64_t id);
  void go_astray(const BlockRequest& request);
  void give_back(std::uint16_t index, const virtio::Chain& chain, const BlockRequest& request,
                 Status status);
  void tell_driver(std::uint16_t index);
  void break_down(std::uint16_t index);

  const std::unique_ptr<Storage> storage_;
  const Options options_;
  vfio_user::FunctionHost* host_ = nullptr;
  virtio::Device* device_ = nullptr;
  std::optional<DmaMemory> memory_;

  std::vector<std::optional<OpenQueue>> queues_;
  std::map<std::uint64_t, Transfer> transfers_;
  std::uint64_t next_id_ = 0;  // of transfers and of queues
  virtio::Chain chain_;        // reused, so that a busy queue does not allocate
  std::vector<std::byte> buffer_;
  Counts counts_;
};

}  // namespace weir::virtio_blk
