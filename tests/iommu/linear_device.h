// SPDX-License-Identifier: Apache-2.0
//
// A device thread of the linearizability test: bursts, copies and pins on the regions of every
// guest, each held against the region's history. One thread each.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "tests/iommu/linear_guest.h"

namespace weir::testing_iommu::linear {

class Device {
 public:
  Device(Iommu& iommu, std::span<const std::unique_ptr<Guest>> guests, Findings& findings,
         std::size_t number)
      : guests_(guests), findings_(findings), number_(number), random_(number + 1) {
    for (std::size_t g = 0; g < kGuests; ++g)
      ports_.push_back(std::move(iommu.attach({.function = function_of(g, number)})).value());
  }

  void turn() {
    switch (random_.below(8)) {
      case 0:
        pin();
        break;
      case 1:
        copy();
        break;
      default:
        burst();
    }
    // Relaxed: only says that time goes on.
    turns.fetch_add(1, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> turns{0};
  std::uint64_t pieces = 0;  // read once the thread has ended
  std::uint64_t faults = 0;

 private:
  struct Target {
    std::size_t guest, region;
    std::uint64_t page;
    Access access;
    std::uint64_t from;  // the newest operation known to be complete
    const History& history;
  };
  [[nodiscard]] Target draw(const std::size_t guest) {
    const std::size_t region = random_.below(kRegions);
    const History& history = guests_[guest]->history(region);
    const Access access = random_.below(2) == 0 ? Access::kRead : Access::kWrite;
    return {guest, region, random_.below(kPages), access, history.completed(), history};
  }
  [[nodiscard]] Iova at(const Target& t) const {
    return region_at(t.region) + page_offset(t.page) + word_offset(number_);
  }

  [[nodiscard]] static bool allows(State s, Access access) {
    return s.mapped && (!writes(access) || s.writable);
  }
  void check_answer(const Target& t, Hpa hpa) {
    ++pieces;
    const bool possible = t.history.any_since(t.from, [&](State s) {
      const Hpa block = block_at(block_number(t.guest, t.region, s.block), s.side);
      return allows(s, t.access) && hpa == block + (page_offset(t.page) + word_offset(number_));
    });
    if (!possible) ++findings_.stale_answers;
  }
  void check_fault(const Target& t, FaultReason reason) {
    ++pieces;
    ++faults;
    // An entry that kept changing is allowed to end as a fault.
    if (reason == FaultReason::kUpdateFailed) return;
    if (!t.history.any_since(t.from, [&](State s) { return !allows(s, t.access); }))
      ++findings_.stale_faults;
  }
  // The bytes behind an answer, while it holds.
  void use(const Target& t, std::byte* host) {
    auto* const mine = reinterpret_cast<std::uint64_t*>(host);
    if (*mine == kPoison) ++findings_.stale_reads;
    linger(random_);
    if (writes(t.access)) *mine = t.from + 1;
  }

  void burst() {
    const std::size_t guest = random_.below(kGuests);
    DmaPort::Burst burst(*ports_[guest]);
    for (std::uint64_t n = 1 + random_.below(6); n != 0; --n) {
      const Target t = draw(guest);
      const auto answer = burst.translate(at(t), 8, t.access);
      if (!answer) {
        check_fault(t, answer.error().reason);
        continue;
      }
      check_answer(t, answer->hpa);
      use(t, answer->host);
    }
  }
  void pin() {
    const Target t = draw(random_.below(kGuests));
    const auto pin = ports_[t.guest]->map(at(t), 8, t.access);
    if (!pin) {
      check_fault(t, pin.error().reason);
      return;
    }
    ++pieces;
    use(t, pin->spans()[0].host);
  }
  void copy() {
    const Target t = draw(random_.below(kGuests));
    std::uint64_t word = t.from + 1;
    const auto bytes = std::as_writable_bytes(std::span(&word, 1));
    const auto done = writes(t.access) ? ports_[t.guest]->write(at(t), bytes)
                                       : ports_[t.guest]->read(at(t), bytes);
    if (!done) {
      check_fault(t, done.error().reason);
      return;
    }
    ++pieces;
    if (word == kPoison) ++findings_.stale_reads;
  }

  const std::span<const std::unique_ptr<Guest>> guests_;
  Findings& findings_;
  const std::size_t number_;
  Random random_;
  std::vector<std::unique_ptr<DmaPort>> ports_;
};

}  // namespace weir::testing_iommu::linear
