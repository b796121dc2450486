// SPDX-License-Identifier: Apache-2.0
//
// What a fuzzer's input becomes: sixteen pages of memory with a valid tree in them, then changed
// word by word as the input says, and requests. Because every input begins with valid tables, the
// empty input is a seed. Some pages are read-only, one lies behind a callback, some are absent.
//
// One thread.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/dirty_sink.h"
#include "pagetables/physical_memory.h"
#include "pagetables/table_builder.h"

namespace weir::pagetables::fuzz {

// The input, byte by byte; zeros when it has run out.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : left_(bytes) {}

  template <typename T = std::uint8_t>
  [[nodiscard]] T take() {
    T value = 0;
    const std::size_t count = std::min(sizeof value, left_.size());
    if (count != 0) std::memcpy(&value, left_.data(), count);
    left_ = left_.subspan(count);
    return value;
  }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  std::span<const std::uint8_t> left_;
};

class Memory {
 public:
  static constexpr std::uint64_t kPages = 16;
  static constexpr std::uint64_t kReadOnly = 12;  // from this page on
  static constexpr std::uint64_t kTarget = 13;    // this page is behind a callback
  static constexpr std::uint64_t kAbsent = 14;    // from this page on
  static constexpr std::size_t kWords = kPages * 512;

  Memory() : words_(kWords), target_(*this) {
    const auto region = [this](std::uint64_t first, std::uint64_t end, Permissions permissions) {
      return MemoryRegion{.first = Hpa(first * kPageSize),
                          .size = (end - first) * kPageSize,
                          .host = reinterpret_cast<std::byte*>(&words_[first * 512]),
                          .permissions = permissions};
    };
    auto made = GuestMemory::create(
        {region(0, kReadOnly, Permissions::read_write()),
         region(kReadOnly, kTarget, Permissions::read_only()),
         {.first = Hpa(kTarget * kPageSize), .size = kPageSize, .target = &target_}});
    physical_ = std::make_unique<PhysicalMemory>(
        std::make_shared<GuestMemory>(std::move(made).value()), nullptr, &updates_);
  }

  [[nodiscard]] const PhysicalMemory& physical() const { return *physical_; }
  [[nodiscard]] std::vector<std::uint64_t>& words() { return words_; }
  [[nodiscard]] std::uint64_t updates() const { return updates_.count; }

 private:
  struct Updates final : DirtySink {
    std::uint64_t count = 0;
    void on_dirty(Gpa, std::uint64_t) override { ++count; }
  };
  // Reads like memory, refuses to be written.
  struct Target final : MemoryTarget {
    explicit Target(Memory& of) : memory(of) {}
    bool read(std::uint64_t offset, std::span<std::byte> to) override {
      std::memcpy(to.data(),
                  reinterpret_cast<const std::byte*>(&memory.words_[kTarget * 512]) + offset,
                  to.size());
      return true;
    }
    bool write(std::uint64_t, std::span<const std::byte>) override { return false; }
    Memory& memory;
  };

  std::vector<std::uint64_t> words_;
  Updates updates_;
  Target target_;
  std::unique_ptr<PhysicalMemory> physical_;
};

// A tree of `levels` levels from `root` on, its tables in the pages that follow: pages 0…7 map to
// themselves, and a large page lies above them where the format has one.
template <RadixFormat Format>
void plant(Memory& memory, const typename Format::Rules& rules, Gpa root, unsigned levels) {
  Gpa next = root;
  const auto take = [&next]() -> std::optional<Gpa> {
    next = next + kPageSize;
    return next.value() < Memory::kReadOnly * kPageSize ? std::optional(next) : std::nullopt;
  };
  TableBuilder<Format> builder(memory.physical(), rules, root, levels, take);
  (void)builder.map(0, 8 * kPageSize, Gpa(0), Permissions::read_write(), kPageLg2);
  (void)builder.map(std::uint64_t{1} << 21, std::uint64_t{1} << 21, Gpa(0),
                    Permissions::read_write(), 21);
}

// A leaf of whatever size, valid or not; in all the entries that it has to be written in.
template <RadixFormat Format>
void put_leaf(Memory& memory, const typename Format::Rules& rules, std::size_t index,
              std::uint64_t page, unsigned page_lg2, Permissions permissions) {
  const auto place = Format::leaf_place(page_lg2, rules);
  const std::size_t copies = std::size_t{1} << (place ? place->copies_lg2 : 0);
  const std::size_t first = index / copies * copies;
  for (std::size_t i = first; i < first + copies; ++i)
    memory.words()[i] = Format::make_leaf(page, page_lg2, permissions);
}

// Words that the input wants changed: raw, a table or a leaf of the format, or a single bit.
template <RadixFormat Format>
void change_words(Memory& memory, const typename Format::Rules& rules, Bytes& bytes) {
  const unsigned changes = bytes.take() % 32;
  for (unsigned i = 0; i < changes; ++i) {
    const auto where = bytes.take<std::uint16_t>();
    // Indices near 0 are where the requests go.
    const std::size_t index = (where >> 12) * 512U + (where & 0x800 ? where & 511U : where & 7U);
    std::uint64_t& word = memory.words()[index];
    const std::uint8_t how = bytes.take();
    const std::uint64_t page = std::uint64_t{bytes.take()} % 20 * kPageSize;
    switch (how % 4) {
      case 0:
        word = bytes.take<std::uint64_t>();
        break;
      case 1:
        word = Format::make_table(page, 1 + how / 4 % Format::kMaxLevels);
        break;
      case 2:
        put_leaf<Format>(memory, rules, index, page, kPageLg2 + how / 4 % 32,
                         Permissions::from_bits(how >> 3));
        break;
      case 3:
        word ^= std::uint64_t{1} << (how / 4);
        break;
    }
  }
}

}  // namespace weir::pagetables::fuzz
