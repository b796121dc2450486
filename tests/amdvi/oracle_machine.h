// SPDX-License-Identifier: Apache-2.0
//
// A unit over a world of tests/model: the world's pages are its memory, its tables hang below a
// device entry, guest tables behind a guest CR3 table. What is not a page of the world is there
// for devices alone and refuses to be read as a table. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/amdvi/machine.h"
#include "tests/model/random_image.h"

namespace weir::amdvi::test {

// How a world is put behind the device entry, and what the entry grants.
struct Attachment {
  unsigned updates = 0;  // HAD
  bool may_read = true, may_write = true;
  std::uint32_t pasid = 0;  // 0: under GIoV
  // Where the guest CR3 table lies in the guest's own memory (GCR3TRPMode); nothing: outside it.
  std::optional<std::uint64_t> gcr3_in_guest;
};

class OracleMachine {
 public:
  // REQUIRES: guest tables over host tables, with roots that a device entry can hold.
  OracleMachine(const model::World& world, const Attachment& attachment,
                const CacheOptions& caches);
  ~OracleMachine();
  OracleMachine(const OracleMachine&) = delete;
  OracleMachine& operator=(const OracleMachine&) = delete;

  [[nodiscard]] DmaPort& port() { return *port_; }
  [[nodiscard]] Stats stats() const { return iommu_->stats(); }
  // INVALIDATE_IOMMU_ALL with a completion.
  void forget_all();
  // The events logged since the last call.
  [[nodiscard]] std::vector<Event> events();

  // The world's words, as they are now.
  [[nodiscard]] std::uint64_t word(std::uint64_t at) const { return words_[at / 8]; }
  void put(std::uint64_t at, std::uint64_t value) { words_[at / 8] = value; }
  // The first word that is not the image's.
  [[nodiscard]] std::optional<std::uint64_t> differs_at(const model::PagedImage& image) const;

 private:
  class Elsewhere;

  void post(std::uint64_t low, std::uint64_t high);
  [[nodiscard]] std::uint64_t& own(std::uint64_t offset) { return own_[offset / 8]; }

  std::unique_ptr<std::uint64_t[]> words_, own_;
  std::unique_ptr<Elsewhere> elsewhere_;
  Sinks sinks_;
  ManualClock clock_;
  std::unique_ptr<Iommu> iommu_;
  Unit* unit_ = nullptr;
  std::unique_ptr<DmaPort> port_;
  std::uint32_t tail_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace weir::amdvi::test
