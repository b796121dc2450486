// SPDX-License-Identifier: Apache-2.0
//
// A guest of the linearizability test, and its embedder: changes its tables, its contexts or the
// host map, invalidates as little as is enough, waits, and at once uses what it has got back for
// something else. One thread per guest.
#pragma once

#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "pagetables/vtd_second_stage.h"
#include "tests/iommu/linear_world.h"
#include "tests/iommu/table_unit.h"
#include "tests/iotlb/stress.h"

namespace weir::testing_iommu::linear {

[[nodiscard]] inline Requester function_of(std::size_t guest, std::size_t device) {
  return Requester::from_sid(static_cast<std::uint16_t>(0x20 + 8 * (guest * kDevices + device)));
}

class Guest {
 public:
  struct Machine {
    Ram& ram;
    SidesMap& sides;
    Iommu& iommu;
    TableUnit& unit;
    Findings& findings;
    // How often each thread has come round.
    std::function<std::vector<std::uint64_t>()> turns;
  };

  Guest(const Machine& machine, std::size_t number);

  // One operation, completed.
  void step();
  [[nodiscard]] const History& history(std::size_t region) const {
    return regions_[region].history;
  }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

  // Comes round while it waits, and at its steps: never in the middle of the unit's queue.
  std::atomic<std::uint64_t> turns{0};
  static constexpr std::uint64_t kEnded = std::uint64_t{1} << 63;

 private:
  enum class Size : std::uint8_t { kLarge, kSmall };
  // How one root maps one region.
  struct Mapped {
    State state{};
    Size size = Size::kLarge;
    std::uint64_t leaf_page = 0;  // of those of the region
  };
  static constexpr std::size_t kRoots = 2;
  static constexpr std::uint64_t kLeafPages = 4;
  struct Region {
    History history;
    std::array<Mapped, kRoots> mapped;
    std::array<std::uint8_t, kBlocks> sides{};
    std::array<std::uint64_t, kPages * kDevices> frozen{};  // what may only be read, as it was
    std::uint64_t next_leaf_page = 0;
  };

  // Pages of the guest's tables, in 2 MiB of its own. Of the leaf tables of a region the latest
  // taken is the only one in use.
  [[nodiscard]] Gpa table(std::size_t root, unsigned level) const {
    return base() + (root * 4 + level - 1) * kPageSize;
  }
  [[nodiscard]] Gpa leaf_table(std::size_t region, std::uint64_t page) const {
    return base() + (8 + region * kLeafPages + page) * kPageSize;
  }
  [[nodiscard]] Gpa base() const { return Gpa((number_ + 1) * kBlockSize); }
  [[nodiscard]] Gpa entry_of(std::size_t root, std::size_t region) const {
    return table(root, 2) + (0x40 + region) * 8;
  }
  // The guest's own locked accesses.
  std::uint64_t set(Gpa at, std::uint64_t word) {
    return std::atomic_ref(m_.ram.word(Hpa(at.value()))).exchange(word, std::memory_order_acq_rel);
  }
  template <typename Do>
  void each_word(std::size_t region, State state, Do what);

  [[nodiscard]] std::uint64_t leaf(std::size_t region, State state, std::uint64_t page) const;
  std::uint64_t write_upper_levels(std::size_t root);
  void write_leaves(std::size_t region, const Mapped& to, bool fresh);
  void write_entry(std::size_t root, std::size_t region, const Mapped& to);
  void take_leaf_page(std::size_t region, Mapped& to);
  void retire_leaf_page(std::size_t region, const Mapped& old);
  // Memory that comes into reach, and what goes out of it.
  void prepare(std::size_t region, State old, State next);
  void retire(std::size_t region, State old, State now);

  void change_region();
  void switch_context();
  void move_block();
  [[nodiscard]] State draw(std::size_t region, State from);
  void await(const std::function<bool()>& done);
  void flush(std::size_t region, bool leaves_only);

  Machine m_;
  const std::size_t number_;
  Random random_;
  std::size_t root_ = 0;
  std::array<Region, kRegions> regions_;
  std::uint64_t steps_ = 0;
};

}  // namespace weir::testing_iommu::linear
