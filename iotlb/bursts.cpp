// SPDX-License-Identifier: Apache-2.0
#include "iotlb/bursts.h"

#include <vector>

#include "base/pause.h"

namespace weir::iotlb {

struct BurstRegistry::Slots {
  std::atomic<Slot*> head{nullptr};

  ~Slots() {
    // Relaxed: the last owner is alone.
    for (Slot* slot = head.load(std::memory_order_relaxed); slot != nullptr;) {
      Slot* next = slot->next_;
      delete slot;
      slot = next;
    }
  }
};

namespace {

std::uint64_t next_registry_id() {
  static std::atomic<std::uint64_t> next{1};
  // Relaxed: only uniqueness matters.
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

BurstRegistry::BurstRegistry() : id_(next_registry_id()), slots_(std::make_shared<Slots>()) {}
BurstRegistry::~BurstRegistry() = default;

namespace {

// What a thread remembers of the registries it has used. Gives the slots back when the thread ends.
struct ThreadRecord {
  struct Use {
    std::uint64_t registry = 0;
    BurstRegistry::Slot* slot = nullptr;
    std::weak_ptr<void> owner;
    std::atomic<bool>* taken = nullptr;
  };
  std::vector<Use> uses;

  ~ThreadRecord() {
    for (const Use& use : uses)
      // Release: pairs with the exchange of the thread that takes the slot over.
      if (const auto alive = use.owner.lock()) use.taken->store(false, std::memory_order_release);
  }
};

thread_local ThreadRecord thread_record;
thread_local std::uint64_t latest_registry = 0;
thread_local BurstRegistry::Slot* latest_slot = nullptr;

}  // namespace

BurstRegistry::Slot& BurstRegistry::slot() {
  if (latest_registry != id_) {
    latest_slot = &find_slot();
    latest_registry = id_;
  }
  return *latest_slot;
}

BurstRegistry::Slot& BurstRegistry::find_slot() {
  auto& uses = thread_record.uses;
  for (const ThreadRecord::Use& use : uses)
    if (use.registry == id_) return *use.slot;
  std::erase_if(uses, [](const ThreadRecord::Use& use) { return use.owner.expired(); });

  Slot* mine = nullptr;
  // Acquire: the list is only ever pushed to; a node is complete before it is in it.
  for (Slot* slot = slots_->head.load(std::memory_order_acquire);
       slot != nullptr && mine == nullptr; slot = slot->next_)
    // Acquire: pairs with the release of the thread that gave it back.
    if (!slot->taken_.exchange(true, std::memory_order_acquire)) mine = slot;
  if (mine == nullptr) {
    mine = new Slot;
    mine->next_ = slots_->head.load(std::memory_order_relaxed);
    // Sequentially consistent: a completion that scans without seeing this slot comes before the
    // slot's first enter() in that order.
    while (!slots_->head.compare_exchange_weak(mine->next_, mine, std::memory_order_seq_cst,
                                               std::memory_order_relaxed)) {
    }
  }
  uses.push_back({id_, mine, slots_, &mine->taken_});
  return *mine;
}

bool BurstRegistry::ended_before(std::uint64_t epoch) const {
  // Sequentially consistent, both: pair with find_slot, enter and leave. As an acquire, what the
  // ended bursts did happened before what the caller does next.
  for (const Slot* slot = slots_->head.load(std::memory_order_seq_cst); slot != nullptr;
       slot = slot->next_) {
    const std::uint64_t began = slot->epoch_.load(std::memory_order_seq_cst);
    if (began != kIdle && began < epoch) return false;
  }
  return true;
}

// Whether the calling thread is.
bool BurstRegistry::is_inside_before(std::uint64_t epoch) const {
  for (const ThreadRecord::Use& use : thread_record.uses)
    if (use.registry == id_) return use.slot->depth_ != 0 && use.slot->oldest_ < epoch;
  return false;
}

bool BurstRegistry::ended_soon(std::uint64_t epoch) const {
  if (ended_before(epoch)) return true;
  if (is_inside_before(epoch)) return false;
  for (int look = 1; look < kLooks; ++look) {
    pause_briefly();
    if (ended_before(epoch)) return true;
  }
  return false;
}

std::uint64_t BurstRegistry::sum(std::size_t counter) const {
  std::uint64_t total = 0;
  // Acquire: as in find_slot. Relaxed counts: see Slot::count.
  for (const Slot* slot = slots_->head.load(std::memory_order_acquire); slot != nullptr;
       slot = slot->next_)
    total += slot->counters_[counter].load(std::memory_order_relaxed);
  return total;
}

}  // namespace weir::iotlb
