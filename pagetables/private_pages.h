// SPDX-License-Identifier: Apache-2.0
//
// Which pages of guest-physical memory are private: the guest has not shared them with its host, and
// no device may touch them, whichever way it came. Part of the host map, but changed in place, page
// by page, because guests convert pages one at a time and by the million.
//
// set_private and set_shared: any thread, one after the other. Asking: any thread, at any time,
// without a lock. A change is seen by whoever asks after it; who asked before may still act on the
// old answer, and is waited for by the completion (Iommu::apply).
//
// Costs one bit a page where neighbours differ, and nothing where a GiB is all alike.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/mutex.h"

namespace weir::pagetables {

class PrivatePages {
 public:
  PrivatePages();
  ~PrivatePages();
  PrivatePages(const PrivatePages&) = delete;
  PrivatePages& operator=(const PrivatePages&) = delete;

  // Every page that the range touches.
  void set_private(AddressRange<Gpa> range) WEIR_EXCLUDES(mutex_);
  // Every page that lies in the range as a whole.
  void set_shared(AddressRange<Gpa> range) WEIR_EXCLUDES(mutex_);

  [[nodiscard]] bool is_private(Gpa at) const { return state_of(at.value() >> kPageLg2); }
  // Bytes from `at` on, at most `longest`, whose pages are all shared (or all private): the first
  // page that differs ends it, and so does the end of what is looked at in one go, 4095 pages or more.
  struct Run {
    bool is_private = false;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] Run run(Gpa at, std::uint64_t longest) const;

 private:
  // 52 bits of address: 2^11 regions of 2 TiB, each of 2^11 gigabytes, each of 2^18 pages.
  static constexpr unsigned kBlockLg2 = 18;  // pages of a block, which has its own bits
  static constexpr unsigned kFanLg2 = 11;
  static constexpr std::size_t kFan = std::size_t{1} << kFanLg2;
  static constexpr std::size_t kWords = (std::size_t{1} << kBlockLg2) / 64;

  struct Block {
    std::array<std::atomic<std::uint64_t>, kWords> words{};  // a bit is set: private
  };
  // All alike, or what is below: exactly one of a node's places says.
  template <typename Below>
  struct Place {
    std::atomic<Below*> below{nullptr};
    std::atomic<bool> all_private{false};  // while there is nothing below
  };
  struct Region {
    std::array<Place<Block>, kFan> places{};
  };

  [[nodiscard]] bool state_of(std::uint64_t page) const;
  void set(std::uint64_t first, std::uint64_t last, bool is_private) WEIR_REQUIRES(mutex_);
  void set_in(Block& block, std::uint64_t first, std::uint64_t last, bool is_private)
      WEIR_REQUIRES(mutex_);
  [[nodiscard]] Block& block_at(Region& region, std::size_t index) WEIR_REQUIRES(mutex_);
  [[nodiscard]] Region& region_at(std::size_t index) WEIR_REQUIRES(mutex_);
  // What is known of the pages around `page`, up to the end of a word, a block or a region.
  struct Look {
    bool is_private = false;
    std::uint64_t pages = 0;
  };
  [[nodiscard]] Look look(std::uint64_t page) const;

  Mutex mutex_;  // of those who change
  std::array<Place<Region>, kFan> regions_{};
};

}  // namespace weir::pagetables
