// SPDX-License-Identifier: Apache-2.0
//
// A model of a guest's virtio-blk driver: finds its way through the function's BAR, negotiates,
// sets up rings, posts requests and takes them back. Offsets and values are numbers, as Linux has
// them (include/uapi/linux/virtio_pci.h, virtio_blk.h); they share nothing with the device's
// layouts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "plugs/virtio_blk/block_function.h"
#include "replay/virtio_driver_ring.h"
#include "tests/plugs/virtio_blk/machine.h"

namespace weir::testing_blk {

class Driver {
 public:
  using Part = replay::VirtioDriverRing::Part;
  struct Answer {
    std::uint8_t status = 0xff;  // 0xff: the device wrote none
    std::uint32_t written = 0;
  };
  // What the driver takes of what is offered.
  static constexpr std::uint64_t kFeatures = 0x3'0000'7246 | 1ULL << 28 | 1ULL << 29 | 1ULL << 34;

  Driver(Machine& machine, virtio_blk::BlockFunction& function, replay::RingShape shape = {16},
         std::uint16_t queues = 1)
      : machine_(machine), function_(function), shape_(shape), queues_(queues) {
    bring_up();
  }

  void bring_up() {
    rings_.clear();
    write8(0x14, 0);
    write8(0x14, 1);
    write8(0x14, 3);
    std::uint64_t wanted = kFeatures & offered();
    if (!shape_.indirect) wanted &= ~(1ULL << 28);
    if (!shape_.event_index) wanted &= ~(1ULL << 29);
    if (!shape_.packed) wanted &= ~(1ULL << 34);
    for (const std::uint32_t word : {0U, 1U}) {
      write32(0x08, word);
      write32(0x0c, static_cast<std::uint32_t>(wanted >> 32 * word));
    }
    write8(0x14, 0xb);
    for (std::uint16_t queue = 0; queue < queues_; ++queue) {
      rings_.emplace_back(physical_, Gpa(0x10000 + queue * std::uint64_t{0x8000}), shape_);
      write16(0x16, queue);
      write16(0x18, shape_.size);
      write16(0x1a, static_cast<std::uint16_t>(queue + 1));
      write64(0x20, rings_[queue].descriptors().value());
      write64(0x28, rings_[queue].driver_area().value());
      write64(0x30, rings_[queue].device_area().value());
      write16(0x1c, 1);
    }
    write8(0x14, 0xf);
  }
  [[nodiscard]] std::uint64_t offered() {
    std::uint64_t all = 0;
    for (const std::uint32_t word : {0U, 1U}) {
      write32(0x00, word);
      all |= std::uint64_t{read<std::uint32_t>(0x04)} << 32 * word;
    }
    return all;
  }
  [[nodiscard]] std::uint8_t status() { return read<std::uint8_t>(0x14); }

  // Its number, under which it comes back. `data`: by IOVA.
  std::size_t post(std::uint32_t type, std::uint64_t sector, std::vector<Part> data, bool to_guest,
                   std::uint16_t queue = 0) {
    const std::size_t number = answers_.size();
    const std::uint64_t header = 0x40000 + number * 0x20;
    machine_.put(header, type);
    machine_.put(header + 8, sector);
    machine_.ram[0x50000 + number] = std::byte{0xff};
    std::vector<Part> readable{{Gpa(header), 16}};
    std::vector<Part> writable;
    (to_guest ? writable : readable)
        .insert((to_guest ? writable : readable).end(), data.begin(), data.end());
    writable.push_back({Gpa(0x50000 + number), 1});
    const auto token = rings_[queue].add(readable, writable);
    answers_.emplace_back();
    if (token) pending_[{queue, *token}] = number;
    return number;
  }
  // Makes them visible; kicks if the device asks for it.
  void kick(std::uint16_t queue = 0) {
    if (rings_[queue].publish()) force_kick(queue);
  }
  void force_kick(std::uint16_t queue = 0) { write16(0x3000 + queue * 4ULL, queue); }
  // Nothing: it has not come back.
  [[nodiscard]] std::optional<Answer> answer(std::size_t number) {
    for (std::uint16_t queue = 0; queue < queues_; ++queue)
      while (const auto returned = rings_[queue].take_used()) {
        const auto found = pending_.find({queue, returned->token});
        if (found == pending_.end()) continue;
        answers_[found->second] =
            Answer{static_cast<std::uint8_t>(machine_.ram[0x50000 + found->second]),
                   returned->written};
        pending_.erase(found);
      }
    return answers_[number];
  }
  // Posts, kicks, and expects it back at once.
  Answer call(std::uint32_t type, std::uint64_t sector, std::vector<Part> data, bool to_guest,
              std::uint16_t queue = 0) {
    const std::size_t number = post(type, sector, std::move(data), to_guest, queue);
    kick(queue);
    return answer(number).value_or(Answer{.status = 0xfe});
  }

  template <typename Word>
  [[nodiscard]] Word read(std::uint64_t offset) {
    Word word{};
    function_.read_bar(0, offset, std::as_writable_bytes(std::span(&word, 1)));
    return word;
  }
  template <typename Word>
  void write(std::uint64_t offset, Word word) {
    function_.write_bar(0, offset, std::as_bytes(std::span(&word, 1)));
  }
  void write8(std::uint64_t at, std::uint8_t value) { write(at, value); }
  void write16(std::uint64_t at, std::uint16_t value) { write(at, value); }
  void write32(std::uint64_t at, std::uint32_t value) { write(at, value); }
  void write64(std::uint64_t at, std::uint64_t value) { write(at, value); }
  replay::VirtioDriverRing& ring(std::uint16_t queue = 0) { return rings_[queue]; }

 private:
  Machine& machine_;
  virtio_blk::BlockFunction& function_;
  const replay::RingShape shape_;
  const std::uint16_t queues_;
  const pagetables::PhysicalMemory physical_{machine_.memory};
  std::vector<replay::VirtioDriverRing> rings_;
  std::map<std::pair<std::uint16_t, std::uint16_t>, std::size_t> pending_;
  std::vector<std::optional<Answer>> answers_;
};

}  // namespace weir::testing_blk
