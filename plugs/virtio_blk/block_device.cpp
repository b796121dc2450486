// SPDX-License-Identifier: Apache-2.0
#include "plugs/virtio_blk/block_device.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "vendors/common/virtio/features.h"

namespace weir::virtio_blk {
namespace {

using Kind = BlockRequest::Kind;

// After as many, others get their turn on the server's thread.
constexpr int kMostAtOnce = 64;
constexpr std::size_t kBufferBytes = 65536;
constexpr std::array<char, kIdBytes> kId = {'w', 'e', 'i', 'r'};

[[nodiscard]] bool moves_data(const BlockRequest& request) {
  return request.kind == Kind::kIn || request.kind == Kind::kOut;
}

}  // namespace

BlockDevice::BlockDevice(std::unique_ptr<Storage> storage, const Options& options)
    : storage_(std::move(storage)), options_(options), buffer_(kBufferBytes) {
  queues_.resize(options.queues);
}

void BlockDevice::start(vfio_user::FunctionHost& host, virtio::Device& device) {
  host_ = &host;
  device_ = &device;
  memory_.emplace(host.dma());
}

std::uint64_t BlockDevice::offered_features() const {
  namespace common = virtio::feature;
  std::uint64_t offered =
      common::kVersion1.kMask | common::kAccessPlatform.kMask | common::kIndirect.kMask |
      common::kEventIndex.kMask | feature::kSizeMax.kMask | feature::kSegMax.kMask |
      feature::kBlockSize.kMask | feature::kFlush.kMask | feature::kDiscard.kMask |
      feature::kWriteZeroes.kMask;
  if (options_.packed) offered |= common::kPackedRing.kMask;
  if (options_.queues > 1) offered |= feature::kMultiQueue.kMask;
  return offered;
}

std::vector<std::uint16_t> BlockDevice::queue_sizes() const {
  return std::vector<std::uint16_t>(options_.queues, options_.queue_size);
}

void BlockDevice::read_config(std::uint64_t offset, std::span<std::byte> to) {
  constexpr std::uint32_t kMostSectors = kMostBytes / kSectorBytes;
  const Config config{.capacity = storage_->bytes() / kSectorBytes,
                      .size_max = kMostSegmentBytes,
                      .seg_max = kMostSegments,
                      .blk_size = kSectorBytes,
                      .num_queues = options_.queues,
                      .max_discard_sectors = kMostSectors,
                      .max_discard_seg = 1,
                      .discard_sector_alignment = 1,
                      .max_write_zeroes_sectors = kMostSectors,
                      .max_write_zeroes_seg = 1,
                      .write_zeroes_may_unmap = 1};
  const auto bytes = std::as_bytes(std::span(&config, 1));
  std::ranges::fill(to, std::byte{0});
  if (offset >= bytes.size()) return;
  const auto there = bytes.subspan(offset, std::min(to.size(), bytes.size() - offset));
  std::ranges::copy(there, to.begin());
}

void BlockDevice::start_queue(std::uint16_t queue, const virtio::QueueConfig& config) {
  auto ring = virtio::Queue::create(config, *memory_);
  if (!ring) return break_down(queue);
  queues_[queue].emplace(
      OpenQueue{.ring = std::move(ring.value()), .number = next_id_++, .most = config.size});
}

void BlockDevice::stop_queue(std::uint16_t queue) {
  std::erase_if(transfers_, [&](const auto& entry) { return entry.second.queue == queue; });
  queues_[queue].reset();
  device_->queue_stopped(queue);
}

void BlockDevice::reset() {
  transfers_.clear();
  for (auto& queue : queues_) queue.reset();
  device_->reset_done();
}

void BlockDevice::release_pins() {
  for (auto& [id, transfer] : transfers_) transfer.pins.clear();
}

// The driver broke its rings, or took their memory away.
void BlockDevice::break_down(std::uint16_t index) {
  ++counts_.broken_rings;
  queues_[index].reset();
  std::erase_if(transfers_, [&](const auto& entry) { return entry.second.queue == index; });
  device_->needs_reset();
}

void BlockDevice::post_run(std::uint16_t index) {
  OpenQueue& queue = *queues_[index];
  if (queue.posted) return;
  queue.posted = true;
  host_->post([this, index, number = queue.number] {
    if (!queues_[index] || queues_[index]->number != number) return;
    queues_[index]->posted = false;
    run(index);
  });
}

void BlockDevice::run(std::uint16_t index) {
  if (!queues_[index]) return;
  if (auto done = queues_[index]->ring.suppress_kicks(); !done) return break_down(index);
  for (int served = 0; queues_[index]; ++served) {
    OpenQueue& queue = *queues_[index];
    // What lands makes it go on.
    if (queue.in_flight >= queue.most) return tell_driver(index);
    if (served == kMostAtOnce) {
      post_run(index);
      return tell_driver(index);
    }
    auto popped = queue.ring.pop(chain_);
    if (popped && !popped.value()) {
      // Nothing left; only now may the driver's kicks come again.
      popped = queue.ring.want_kicks();
      if (popped && !popped.value()) return tell_driver(index);
      if (popped) {
        if (auto done = queue.ring.suppress_kicks(); !done) return break_down(index);
        popped = queue.ring.pop(chain_);
        if (popped && !popped.value()) continue;
      }
    }
    if (!popped) return break_down(index);
    serve(index, chain_);
  }
}

void BlockDevice::serve(std::uint16_t index, const virtio::Chain& chain) {
  const auto request = read_request(*memory_, chain, storage_->bytes());
  if (!request) {
    // Nothing to say it with: the chain comes back as it is.
    ++counts_.requests;
    ++counts_.refused;
    const virtio::Used used{.id = chain.id, .slots = chain.slots};
    if (!queues_[index]->ring.use(std::span(&used, 1))) break_down(index);
    return;
  }
  if (options_.rogue && request->touches(options_.rogue->sector)) go_astray(*request);
  if (options_.latency > Clock::Duration::zero() && moves_data(*request))
    return take(index, chain, *request);
  give_back(index, chain, *request, carry_out(chain, *request));
}

Status BlockDevice::carry_out(const virtio::Chain& chain, const BlockRequest& request) {
  const auto status = [](bool good) { return good ? Status::kOk : Status::kIoError; };
  switch (request.kind) {
    case Kind::kIn:
    case Kind::kOut:
      return status(move(chain, request));
    case Kind::kFlush:
      return status(storage_->flush());
    case Kind::kId: {
      const auto id = std::as_bytes(std::span(kId)).first(std::min(kIdBytes, request.status_at));
      return status(copy_to(*memory_, chain.writable, 0, id));
    }
    case Kind::kZero:
      return status(storage_->zero(request.at, request.bytes));
    case Kind::kRefused:
      break;
  }
  return request.refusal;
}

bool BlockDevice::move(const virtio::Chain& chain, const BlockRequest& request) {
  for (std::uint64_t done = 0; done < request.bytes; done += kBufferBytes) {
    const auto piece =
        std::span(buffer_).first(std::min<std::uint64_t>(kBufferBytes, request.bytes - done));
    if (request.kind == Kind::kIn) {
      if (!storage_->read(request.at + done, piece) ||
          !copy_to(*memory_, chain.writable, request.data_at + done, piece))
        return false;
      counts_.bytes_read += piece.size();
    } else {
      if (!copy_from(*memory_, chain.readable, request.data_at + done, piece) ||
          !storage_->write(request.at + done, piece))
        return false;
      counts_.bytes_written += piece.size();
    }
  }
  return true;
}

// Nothing: the guest has not mapped it. Empty: it is not memory that can be pinned.
std::optional<std::vector<Pin>> BlockDevice::pin(const virtio::Chain& chain,
                                                 const BlockRequest& request) {
  const bool in = request.kind == Kind::kIn;
  std::vector<Pin> pins;
  std::uint64_t skip = request.data_at;
  std::uint64_t left = request.bytes;
  for (const virtio::Part& part : in ? chain.writable : chain.readable) {
    const std::uint64_t first = std::min<std::uint64_t>(skip, part.bytes);
    skip -= first;
    const std::uint64_t bytes = std::min(part.bytes - first, left);
    if (bytes == 0) continue;
    left -= bytes;
    auto pinned = host_->dma().map(as_iova(part.at) + first, bytes,
                                   in ? Access::kWrite : Access::kRead);
    if (!pinned && pinned.error().reason == FaultReason::kNotPinnable) return std::vector<Pin>();
    if (!pinned) return std::nullopt;
    pins.push_back(std::move(pinned.value()));
  }
  return pins;
}

// The rest of it happens in land().
void BlockDevice::take(std::uint16_t index, const virtio::Chain& chain,
                       const BlockRequest& request) {
  auto pins = pin(chain, request);
  if (!pins) return give_back(index, chain, request, Status::kIoError);
  if (!pins->empty()) ++counts_.pinned;
  Transfer transfer{.queue = index, .chain = chain, .request = request, .pins = std::move(*pins)};
  if (options_.returns_early && request.kind == Kind::kIn) {
    transfer.returned = true;
    give_back(index, chain, request, Status::kOk);
    if (!queues_[index]) return;
  }
  ++queues_[index]->in_flight;
  const std::uint64_t id = next_id_++;
  transfers_.emplace(id, std::move(transfer));
  host_->post_after(options_.latency, [this, id] { land(id); });
}

void BlockDevice::land(std::uint64_t id) {
  auto found = transfers_.extract(id);
  if (found.empty()) return;  // a reset came between
  Transfer& transfer = found.mapped();
  const bool good = transfer.pins.empty() ? move(transfer.chain, transfer.request)
                                          : move_pinned(transfer);
  // Before the driver hears of it: its invalidation must find nobody to wait for.
  transfer.pins.clear();
  const std::uint16_t index = transfer.queue;
  --queues_[index]->in_flight;
  if (!transfer.returned)
    give_back(index, transfer.chain, transfer.request, good ? Status::kOk : Status::kIoError);
  run(index);
}

bool BlockDevice::move_pinned(const Transfer& transfer) {
  std::uint64_t at = transfer.request.at;
  for (const Pin& pin : transfer.pins) {
    for (const Pin::Span& span : pin.spans()) {
      const std::span bytes(span.host, span.size);
      const bool in = transfer.request.kind == Kind::kIn;
      if (in ? !storage_->read(at, bytes) : !storage_->write(at, bytes)) return false;
      (in ? counts_.bytes_read : counts_.bytes_written) += span.size;
      at += span.size;
    }
  }
  // Fewer: somebody took a pin away (Iommu::revoke).
  return at == transfer.request.at + transfer.request.bytes;
}

void BlockDevice::go_astray(const BlockRequest& request) {
  std::array<std::byte, 4> word{};
  word.fill(std::byte{0xa5});
  const Iova where = options_.rogue->address;
  const bool landed = request.kind == Kind::kIn ? host_->dma().write(where, word).ok()
                                                : host_->dma().read(where, word).ok();
  ++(landed ? counts_.astray_landed : counts_.astray_refused);
}

void BlockDevice::give_back(std::uint16_t index, const virtio::Chain& chain,
                            const BlockRequest& request, Status status) {
  ++counts_.requests;
  if (status != Status::kOk) ++counts_.refused;
  const auto byte = static_cast<std::byte>(status);
  const bool all = status == Status::kOk && request.kind != Kind::kId;
  // 2.7.8.2: what it says was written has been, from the first byte on.
  const virtio::Used used{
      .id = chain.id,
      .slots = chain.slots,
      .written = static_cast<std::uint32_t>(all || request.status_at == 0 ? chain.writable_bytes
                                                                          : 0)};
  if (!copy_to(*memory_, chain.writable, request.status_at, std::span(&byte, 1)) ||
      !queues_[index]->ring.use(std::span(&used, 1)))
    break_down(index);
}

void BlockDevice::tell_driver(std::uint16_t index) {
  const auto wanted = queues_[index]->ring.interrupt_wanted();
  if (!wanted) return break_down(index);
  if (wanted.value()) device_->interrupt(index);
}

}  // namespace weir::virtio_blk
