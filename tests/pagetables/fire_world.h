// SPDX-License-Identifier: Apache-2.0
//
// Page tables that a guest keeps changing while walkers use them, with books that show whether an
// accessed or dirty bit was lost, or came back.
//
// Every leaf that the guest writes maps a page number that was never used before (its version), so
// that no two words are alike and a word that turns up again is a word that came back. The guest
// changes words only by atomic exchange and atomic and, so that it sees every bit that was set, and
// in which version. Walkers note which version they were given for which access.
//
// The guest is one thread; each walker has a ClaimBook of its own; audit() after all have stopped.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/dirty_sink.h"
#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"

namespace weir::pagetables::fire {

// Accessed and dirty updates that reached the dirty sink.
class UpdateCounter final : public DirtySink {
 public:
  void on_dirty(Gpa, std::uint64_t) override {
    // Relaxed: read when no walker runs.
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

// Memory from address 0, what the guest last knew of each word, and the first thing that was wrong.
class WatchedMemory {
 public:
  explicit WatchedMemory(std::size_t pages)
      : words_(pages * kWordsPerPage),
        expected_(words_.size()),
        physical_(std::make_shared<GuestMemory>(
                      GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words_)))),
                  nullptr, &updates_) {}

  [[nodiscard]] const PhysicalMemory& physical() const { return physical_; }

  // What stood there. `bits` are those that walkers may set.
  std::uint64_t exchange(std::uint64_t at, std::uint64_t word, std::uint64_t bits) {
    // Acquire-release: the guest's locked cycle; pairs with the walkers' compare-exchange.
    const std::uint64_t old =
        std::atomic_ref(words_[at / 8]).exchange(word, std::memory_order_acq_rel);
    observe(at, old, bits);
    expected_[at / 8] = word;
    return old;
  }
  std::uint64_t clear(std::uint64_t at, std::uint64_t cleared, std::uint64_t bits) {
    // Acquire-release: as above.
    const std::uint64_t old =
        std::atomic_ref(words_[at / 8]).fetch_and(~cleared, std::memory_order_acq_rel);
    observe(at, old, bits);
    expected_[at / 8] = old & ~cleared;
    return old;
  }
  [[nodiscard]] std::uint64_t known(std::uint64_t at) const { return expected_[at / 8]; }
  [[nodiscard]] std::size_t bytes() const { return words_.size() * 8; }

  // Updates that the words show, at least and at most (accessed and dirty may come one by one).
  [[nodiscard]] std::string compare_updates() const {
    const std::uint64_t told = updates_.count();
    if (told >= fewest_ && told <= most_) return {};
    return "the dirty sink was told of " + std::to_string(told) + " updates, the words show " +
           std::to_string(fewest_) + " to " + std::to_string(most_);
  }
  std::string trouble;

 private:
  static constexpr std::size_t kWordsPerPage = 512;

  void observe(std::uint64_t at, std::uint64_t old, std::uint64_t bits) {
    const std::uint64_t expected = expected_[at / 8];
    if (((old ^ expected) & ~bits) != 0 || (expected & ~old) != 0) {
      if (trouble.empty())
        trouble = "the word at " + std::to_string(at) + " was " + std::to_string(expected) +
                  " and became " + std::to_string(old);
    }
    const std::uint64_t fresh = old & ~expected & bits;
    fewest_ += fresh != 0 ? 1 : 0;
    most_ += static_cast<std::uint64_t>(std::popcount(fresh));
  }

  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> expected_;
  UpdateCounter updates_;
  PhysicalMemory physical_;
  std::uint64_t fewest_ = 0;
  std::uint64_t most_ = 0;
};

// Versions that successful walks were given.
struct ClaimBook {
  std::vector<std::uint8_t> read;
  std::vector<std::uint8_t> written;
  std::uint64_t walks = 0;
  std::uint64_t granted = 0;
  std::string trouble;
};

// One table tree of four levels whose last two the guest keeps changing. Two leaf tables are in
// use; a page that was one becomes data, and some pages of data become tables again.
template <RadixFormat Format>
class World {
 public:
  static constexpr unsigned kLevels = 4;
  static constexpr std::uint64_t kRoot = 1 * kPageSize;
  static constexpr std::uint64_t kPages = 256;  // of tables and former tables, from address 0
  static constexpr std::uint64_t kTables = 2;
  static constexpr std::uint64_t kLeaves = 4;  // used in each table
  // Pages are numbered by version from here on; what lies there is never touched.
  static constexpr std::uint64_t kData = std::uint64_t{1} << 30;
  static constexpr std::size_t kVersions = std::size_t{1} << 17;

  World(WatchedMemory& memory, const typename Format::Rules& rules_of_unit, std::uint64_t seed)
      : rules(rules_of_unit),
        memory_(memory),
        random_(seed),
        read_(kVersions),
        written_(kVersions),
        tenure_of_(kVersions),
        tenure_used_(1) {
    memory_.exchange(kRoot, Format::make_table(kLevel3, 4), 0);
    memory_.exchange(kLevel3, Format::make_table(kLevel2, 3), 0);
    for (std::uint64_t table = 0; table < kTables; ++table) install(table);
  }

  [[nodiscard]] static std::uint64_t input(std::uint64_t random) {
    return (random % kTables) << 21 | (random / kTables % kLeaves) << kPageLg2;
  }
  [[nodiscard]] static std::size_t version_of(std::uint64_t page) {
    return (page - kData) >> kPageLg2;
  }
  [[nodiscard]] bool has_room() const { return next_version_ + 2 * kLeaves < kVersions; }

  // One thing that a guest does.
  void change_something() {
    const std::uint64_t choice = random_();
    const std::uint64_t table = choice >> 8 & 1;
    const std::uint64_t at = leaf_at(table, choice >> 9 & (kLeaves - 1));
    switch (choice % 16) {
      case 0:
        return install(table);
      case 1:
      case 2:
        return take_leaf(at, 0);
      case 3:
      case 4:
        return take_upper(level2_at(table));
      case 5:
        return take_upper(choice >> 16 & 1 ? kRoot : kLevel3);
      case 6:
      case 7:
      case 8:
      case 9:
        return clear_leaf(at, rules.dirty);
      case 10:
      case 11:
        return clear_leaf(at, rules.dirty | rules.accessed);
      default:
        return take_leaf(at, next_leaf(tenure_[table]));
    }
  }

  // A page that walks read now.
  [[nodiscard]] std::uint64_t page_in_use(std::uint64_t random) const {
    return random % 4 == 0 ? kRoot : random % 4 == 1 ? kLevel2 : in_use_[random / 4 % kTables];
  }

  // What is wrong, once no walker runs; empty: nothing.
  [[nodiscard]] std::string audit(std::span<const ClaimBook> books) {
    for (std::uint64_t table = 0; table < kTables; ++table) {
      for (std::uint64_t leaf = 0; leaf < kLeaves; ++leaf) take_leaf(leaf_at(table, leaf), 0);
      take_upper(level2_at(table));
    }
    for (std::uint64_t at = 0; at < kPages * kPageSize; at += 8)
      memory_.exchange(at, memory_.known(at), at < kLevel2 + kPageSize ? rules.accessed : 0);
    if (!memory_.trouble.empty()) return memory_.trouble;
    for (const ClaimBook& book : books) {
      if (!book.trouble.empty()) return book.trouble;
      for (std::size_t v = 0; v < kVersions; ++v) {
        const std::string version = " of version " + std::to_string(v) + " was lost";
        if (book.written[v] != 0 && written_[v] == 0) return "a dirty bit" + version;
        if (book.read[v] != 0 && read_[v] == 0) return "an accessed bit" + version;
        if (book.read[v] != 0 && tenure_used_[tenure_of_[v]] == 0)
          return "an accessed bit above a leaf" + version;
      }
    }
    return {};
  }

  const typename Format::Rules rules;

 private:
  static constexpr std::uint64_t kLevel3 = 2 * kPageSize;
  static constexpr std::uint64_t kLevel2 = 3 * kPageSize;

  [[nodiscard]] static std::uint64_t level2_at(std::uint64_t table) { return kLevel2 + table * 8; }
  [[nodiscard]] std::uint64_t leaf_at(std::uint64_t table, std::uint64_t leaf) const {
    return in_use_[table] + leaf * 8;
  }

  [[nodiscard]] std::uint64_t next_leaf(std::uint32_t tenure) {
    tenure_of_[next_version_] = tenure;
    return Format::make_leaf(kData + (next_version_++ << kPageLg2), kPageLg2,
                             Permissions::read_write());
  }
  // Neither present nor readable in any format, and unlike any other word.
  [[nodiscard]] std::uint64_t next_datum() { return ++data_ << kPageLg2; }

  // A leaf as the guest found it: its bits belong to its version.
  void note_leaf(std::uint64_t old) {
    const std::uint64_t page = old & bit_mask(51, kPageLg2);
    if (page < kData || old == 0) return;
    read_[version_of(page)] |= (old & rules.accessed) != 0 ? 1 : 0;
    written_[version_of(page)] |= (old & rules.dirty) != 0 ? 1 : 0;
  }
  void take_leaf(std::uint64_t at, std::uint64_t leaf) {
    note_leaf(memory_.exchange(at, leaf, rules.accessed | rules.dirty));
  }
  void clear_leaf(std::uint64_t at, std::uint64_t bits) {
    note_leaf(memory_.clear(at, bits, rules.accessed | rules.dirty));
  }
  void take_upper(std::uint64_t at) {
    const std::uint64_t old = memory_.clear(at, rules.accessed, rules.accessed);
    if (at == level2_at(0) || at == level2_at(1))
      tenure_used_[tenure_[(at - kLevel2) / 8]] |= (old & rules.accessed) != 0 ? 1 : 0;
  }

  // Gives a table slot a fresh page of leaves and makes its old page data.
  void install(std::uint64_t table) {
    const std::uint64_t old_page = in_use_[table];
    // A walk that began long ago may come to a recycled page by its former way, which says nothing
    // of the new one: only fresh pages are accounted for above their leaves.
    const bool fresh = next_page_ < kPages && random_() % 8 == 0;
    const std::uint64_t page = fresh ? next_page_++ * kPageSize : spare_[table];
    const auto tenure = static_cast<std::uint32_t>(tenure_used_.size());
    tenure_used_.push_back(fresh ? 0 : 1);
    // What stood there is data, which nobody may have touched: no bits are allowed.
    for (std::uint64_t leaf = 0; leaf < kLeaves; ++leaf)
      memory_.exchange(page + leaf * 8, next_leaf(tenure), 0);
    const std::uint64_t above =
        memory_.exchange(level2_at(table), Format::make_table(page, 2), rules.accessed);
    tenure_used_[tenure_[table]] |= (above & rules.accessed) != 0 ? 1 : 0;
    tenure_[table] = tenure;
    in_use_[table] = page;
    if (!fresh || random_() % 2 == 0) spare_[table] = old_page;
    for (std::uint64_t leaf = 0; leaf < kLeaves; ++leaf)
      take_leaf(old_page + leaf * 8, next_datum());
  }

  WatchedMemory& memory_;
  std::mt19937_64 random_;
  std::array<std::uint64_t, kTables> in_use_{4 * kPageSize, 5 * kPageSize};
  std::array<std::uint64_t, kTables> spare_{6 * kPageSize, 7 * kPageSize};
  std::uint64_t next_page_ = 8;
  std::array<std::uint32_t, kTables> tenure_{};  // how the words of level 2 are told apart
  std::uint64_t next_version_ = 0;
  std::uint64_t data_ = 0;
  std::vector<std::uint8_t> read_;  // by version: the guest found the bit
  std::vector<std::uint8_t> written_;
  std::vector<std::uint32_t> tenure_of_;   // by version
  std::vector<std::uint8_t> tenure_used_;  // by tenure: the guest found level 2 accessed
};

}  // namespace weir::pagetables::fire
