// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/request_queue.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/properties.h"
#include "vendors/virtio_iommu/requests.h"

namespace weir::virtio_iommu {
namespace {

// Whether the driver may send such a request at all; if not, it is one of an unknown type.
[[nodiscard]] bool is_available(const RequestBody& body, std::uint64_t accepted,
                                const Options& options) {
  if (std::holds_alternative<Map>(body) || std::holds_alternative<Unmap>(body))
    return feature::kMapUnmap.is_set(accepted);
  // 5.13.6.7.2 asks whether PROBE is offered, not whether it was accepted.
  return !std::holds_alternative<Probe>(body) || options.probe_size != 0;
}

}  // namespace

void RequestQueue::set_features(std::uint64_t accepted) {
  features_ = accepted;
  const MutexLock lock(structures_.mutex);
  structures_.domains.set_features(accepted);
}

void RequestQueue::start(const virtio::QueueConfig& config) {
  auto made = virtio::Queue::create(config, memory_);
  if (!made) return fail(made.error());
  queue_ = std::move(made).value();
  size_ = config.size;
}

void RequestQueue::drop(Parking& parking) {
  queue_.reset();
  open_ = false;
  parking.leave(Place::kBatch);
}

void RequestQueue::fail(virtio::QueueError error) {
  queue_.reset();
  host_.log(LogLevel::kWarning, LogTopic::kGuestError,
            "virtio-iommu: the request queue has " + std::string(virtio::to_string(error)) +
                "; it needs a reset");
  device_.needs_reset();
}

void RequestQueue::run(Parking& parking) {
  for (;;) {
    if (open_) {
      if (!parking.await(Place::kBatch, ticket_)) return;
      finish_batch();
    }
    if (!queue_ || !take_batch()) return;
  }
}

bool RequestQueue::take_batch() {
  taken_ = 0;
  if (const auto quiet = queue_->suppress_kicks(); !quiet) {
    fail(quiet.error());
    return false;
  }
  auto filled = fill_batch();
  if (filled && taken_ == 0) {
    // The driver will say when there is more, unless it came just now.
    filled = queue_->want_kicks();
    if (filled && *filled) filled = fill_batch();
  }
  // Also of a queue that is broken: what was carried out has changed the domains.
  begin_round();
  if (!filled) {
    fail(filled.error());
    return false;
  }
  open_ = taken_ != 0;
  return open_;
}

// Takes what is available, up to the queue's size.
Result<bool, virtio::QueueError> RequestQueue::fill_batch() {
  while (taken_ < size_) {
    if (taken_ == items_.size()) items_.emplace_back();
    Item& item = items_[taken_];
    const auto popped = queue_->pop(item.chain);
    if (!popped || !*popped) return popped;
    ++taken_;
    carry_out(item);
  }
  return true;
}

void RequestQueue::carry_out(Item& item) {
  item.answered = false;
  item.properties.clear();
  std::array<std::byte, kLongestRequest> bytes{};
  const auto present = std::span(bytes).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), item.chain.readable_bytes)));
  if (item.chain.writable_bytes < tail::kBytes) return;
  if (!virtio::copy_from(memory_, item.chain.readable, 0, present)) return;
  const auto body = decode_request(present);
  if (!body || !is_available(*body, features_, options_)) return;
  item.answered = true;
  item.tail_at = 0;
  if (const auto* probe = std::get_if<Probe>(&*body)) return answer_probe(*probe, item);
  const MutexLock lock(structures_.mutex);
  item.status = std::visit(
      [&](const auto& request) WEIR_REQUIRES(structures_.mutex) {
        if constexpr (std::is_same_v<std::decay_t<decltype(request)>, Probe>)
          return Status::kOk;  // answered above
        else
          return structures_.domains.carry_out(request);
      },
      *body);
}

void RequestQueue::answer_probe(const Probe& request, Item& item) {
  const Endpoint* const endpoint = structures_.endpoints.by_id(request.endpoint);
  // 5.13.6.7.2: too little room for the properties: none is written, and the tail is at the end.
  if (item.chain.writable_bytes < std::uint64_t{options_.probe_size} + tail::kBytes) {
    item.tail_at = item.chain.writable_bytes - tail::kBytes;
    item.status = Status::kInvalid;
    return;
  }
  item.tail_at = options_.probe_size;
  item.status = endpoint == nullptr ? Status::kNoEntry : Status::kOk;
  if (endpoint != nullptr)
    item.properties = properties_of(endpoint->options.reserved, options_.probe_size);
}

void RequestQueue::begin_round() {
  ticket_ = Ticket{};
  Drops drops;
  {
    const MutexLock lock(structures_.mutex);
    drops = structures_.domains.take_drops();
  }
  Ticket round;
  if (!drops.what.empty()) {
    ++counts_.rounds;
    // Whoever listens has heard of all of it when this returns.
    round = host_.invalidate_all(drops.what);
    // What is in flight may still miss a new mapping, and rests on nothing that has gone.
    if (drops.awaited) ticket_ = round;
  }
  bool own_ticket = false;
  {
    const MutexLock lock(structures_.mutex);
    if (!drops.what.empty()) structures_.graveyard.put_under(round);
    own_ticket = structures_.graveyard.worth_a_ticket();
  }
  if (!own_ticket) return;
  const Ticket ticket = host_.quiesce();
  const MutexLock lock(structures_.mutex);
  structures_.graveyard.put_under(ticket);
}

void RequestQueue::finish_batch() {
  open_ = false;
  if (!queue_) return;
  ++counts_.batches;
  used_.clear();
  for (Item& item : std::span(items_).first(taken_)) {
    ++counts_.requests;
    const std::uint32_t written = write_answer(item);
    if (!item.answered)
      ++counts_.unparsed;
    else if (item.status != Status::kOk)
      ++counts_.refused;
    used_.push_back({.id = item.chain.id, .slots = item.chain.slots, .written = written});
  }
  if (const auto returned = queue_->use(used_); !returned) return fail(returned.error());
  const auto wanted = queue_->interrupt_wanted();
  if (!wanted) return fail(wanted.error());
  if (*wanted) device_.interrupt(kRequestQueue);
}

// Bytes written from the first writable one on. What lies before a tail that is not at the
// beginning is written too: a driver may trust the length (2.7.8.2).
std::uint32_t RequestQueue::write_answer(Item& item) {
  if (!item.answered) return 0;
  std::array<std::byte, tail::kBytes> tail_bytes{};
  put(tail_bytes, tail::kStatus, static_cast<std::uint8_t>(item.status));
  std::vector<std::byte>& before = item.properties;
  if (before.empty() && item.tail_at != 0 && item.tail_at <= options_.probe_size)
    before.resize(static_cast<std::size_t>(item.tail_at));
  const bool whole = virtio::copy_to(memory_, item.chain.writable, 0, before) &&
                     virtio::copy_to(memory_, item.chain.writable, item.tail_at, tail_bytes);
  return whole ? static_cast<std::uint32_t>(item.tail_at + tail::kBytes) : 0;
}

}  // namespace weir::virtio_iommu
