// SPDX-License-Identifier: Apache-2.0
#include "replay/strict_rings.h"

#include <array>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "replay/nested_guest.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kIovas = std::uint64_t{1} << 32;  // handed out downwards, as Linux does
constexpr std::uint64_t kPagesOfTransfer = 32, kTransfersInFlight = 32, kPacketsInRing = 512;
constexpr std::uint64_t kPacketsOfRound = 32;

}  // namespace

struct StrictRings::State {
  State(std::unique_ptr<NestedGuest> of_machine, bool with_hint)
      : guest(std::move(of_machine)), leaf_only(with_hint) {}

  using Step = Result<Done, std::string>;

  // A function's device, and the addresses that its driver gives it.
  struct Device {
    NestedGuest::Function* function = nullptr;
    std::uint64_t next_iova = kIovas;
    std::vector<std::uint64_t>
        freed[6];  // by size, the last one first: what a processor's cache is
    Iova ring;
  };
  [[nodiscard]] Step start();
  [[nodiscard]] Step start(Device& device, std::size_t index);
  [[nodiscard]] Result<Iova, std::string> map_buffer(Device& device, unsigned order);
  [[nodiscard]] Step unmap_buffer(Device& device, Iova iova, unsigned order);
  [[nodiscard]] Step touch(Device& device, Iova first, std::uint64_t bytes, std::uint64_t piece,
                           Access access);
  [[nodiscard]] Step transfer();
  [[nodiscard]] Step packet();

  std::unique_ptr<NestedGuest> guest;
  const bool leaf_only;
  Device nvme, nic;
  std::deque<Iova> transfers, packets;
  std::uint64_t transfer_number = 0, packet_number = 0;
  std::mt19937_64 random{1};
};

StrictRings::State::Step StrictRings::State::start() {
  if (auto done = start(nvme, 0); !done) return done;
  return start(nic, 1);
}

StrictRings::State::Step StrictRings::State::start(Device& device, std::size_t index) {
  device.function = &guest->function(index);
  device.ring = Iova(device.next_iova -= 4 * kPageSize);
  for (std::uint64_t i = 0; i < 4; ++i)
    if (auto done =
            guest->map(*device.function, device.ring + (i << kPageLg2), 16 * (index + 1) + i);
        !done)
      return done;
  return Done{};
}

// ---- The guest's DMA API

// A block of 2^order pages, aligned to its size; its pages lie anywhere.
Result<Iova, std::string> StrictRings::State::map_buffer(Device& d, unsigned order) {
  const std::uint64_t bytes = kPageSize << order;
  auto& freed = d.freed[order];
  Iova iova;
  if (freed.size() > 16) {
    iova = Iova(freed.back());
    freed.pop_back();
  } else {
    d.next_iova = (d.next_iova - bytes) & ~(bytes - 1);
    iova = Iova(d.next_iova);
  }
  for (std::uint64_t i = 0; i < std::uint64_t{1} << order; ++i) {
    if (auto done = guest->map(*d.function, iova + (i << kPageLg2), random()); !done)
      return Failure{done.error()};
  }
  return iova;
}

StrictRings::State::Step StrictRings::State::unmap_buffer(Device& d, Iova iova, unsigned order) {
  if (!d.function->tables->unmap(iova.value(), kPageSize << order))
    return Failure{std::string("an unmap failed")};
  d.freed[order].push_back(iova.value());
  const NestedGuest::Flush flush{d.function->domain, iova, order, leaf_only};
  if (!guest->completed(guest->post({&flush, 1})))
    return Failure{std::string("a flush has not completed")};
  return Done{};
}

// ---- The devices

StrictRings::State::Step StrictRings::State::touch(Device& d, Iova first, std::uint64_t bytes,
                                                   std::uint64_t piece, Access access) {
  DmaPort::Burst burst(*d.function->port);
  for (std::uint64_t at = 0; at < bytes; at += piece)
    if (!burst.translate(first + at, std::min(piece, bytes - at), access))
      return Failure{std::string("a transfer has faulted")};
  return Done{};
}

StrictRings::State::Step StrictRings::State::transfer() {
  constexpr unsigned kOrder = 5;
  static_assert(kPagesOfTransfer == 1U << kOrder);
  const auto buffer = map_buffer(nvme, kOrder);
  if (!buffer) return Failure{buffer.error()};
  transfers.push_back(*buffer);
  const std::uint64_t slot = transfer_number++ % 64;
  // Submission queue, completion queue and lists of pages: a page each.
  if (auto done = touch(nvme, nvme.ring + slot * 64, 64, 64, Access::kRead); !done) return done;
  if (auto done = touch(nvme, nvme.ring + 2 * kPageSize, 256, 256, Access::kRead); !done)
    return done;
  if (auto done = touch(nvme, *buffer, kPagesOfTransfer << kPageLg2, 512, Access::kWrite); !done)
    return done;
  if (auto done = touch(nvme, nvme.ring + kPageSize + slot * 16, 16, 16, Access::kWrite); !done)
    return done;
  if (transfers.size() <= kTransfersInFlight) return Done{};
  const Iova oldest = transfers.front();
  transfers.pop_front();
  return unmap_buffer(nvme, oldest, kOrder);
}

StrictRings::State::Step StrictRings::State::packet() {
  // The driver keeps the ring full; the device takes the oldest buffer.
  while (packets.size() < kPacketsInRing) {
    const auto buffer = map_buffer(nic, 0);
    if (!buffer) return Failure{buffer.error()};
    packets.push_back(*buffer);
  }
  const Iova slot = nic.ring + packet_number++ % kPacketsInRing * 16;
  const Iova buffer = packets.front();
  packets.pop_front();
  if (auto done = touch(nic, slot, 16, 16, Access::kRead); !done) return done;
  if (auto done = touch(nic, buffer, 1500, 256, Access::kWrite); !done) return done;
  if (auto done = touch(nic, slot, 16, 16, Access::kWrite); !done) return done;
  return unmap_buffer(nic, buffer, 0);
}

// ---- StrictRings

StrictRings::StrictRings(std::unique_ptr<State> state) : state_(std::move(state)) {}
StrictRings::~StrictRings() = default;

Result<std::unique_ptr<StrictRings>, std::string> StrictRings::create(Hint hint) {
  constexpr std::array<std::uint16_t, 2> kFunctions = {0x10, 0x20};  // NVMe, NIC
  auto guest = NestedGuest::create(kFunctions);
  if (!guest) return Failure{guest.error()};
  auto state = std::make_unique<State>(std::move(*guest), hint == Hint::kLeafOnly);
  if (auto started = state->start(); !started) return Failure{started.error()};
  return std::unique_ptr<StrictRings>(new StrictRings(std::move(state)));
}

Result<Done, std::string> StrictRings::run(std::uint64_t rounds) {
  for (std::uint64_t round = 0; round < rounds; ++round) {
    if (auto done = state_->transfer(); !done) return done;
    for (std::uint64_t i = 0; i < kPacketsOfRound; ++i)
      if (auto done = state_->packet(); !done) return done;
  }
  return Done{};
}

Stats StrictRings::stats() const { return state_->guest->stats(); }

}  // namespace weir::replay
