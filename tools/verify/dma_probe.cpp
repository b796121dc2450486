// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/dma_probe.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace weir::verify {
namespace {

std::string hex(std::uint64_t value) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value & 0xf]);
    value >>= 4;
  } while (value != 0);
  return text;
}

}  // namespace

void DmaProbe::on_device_msi(Requester requester, Msi msi) {
  messages_.push_back({requester, msi});
}

void DmaProbe::on_dirty(Gpa first, std::uint64_t size) {
  if (!log_ || !log_->contains(first)) writes_.push_back({first, size});
}

std::vector<std::byte> DmaProbe::fresh_bytes(unsigned size) {
  std::vector<std::byte> bytes(size);
  // Odd multiplier: no two serials share their first 32 bits until it wraps, and none is zero
  // bytes.
  const std::uint32_t word = static_cast<std::uint32_t>(++serial_) * 0x9e3779b1U;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((word >> (i % 4 * 8)) + i / 4);
  }
  return bytes;
}

std::vector<std::byte> DmaProbe::bytes_at(Gpa at, std::size_t size) const {
  std::vector<std::byte> bytes(size);
  ram_.read(at, bytes);
  return bytes;
}

void DmaProbe::add_place(Gpa at, unsigned size) {
  const auto same = [at](const Place& place) { return place.at == at; };
  if (!ram_.holds(at, size) || std::ranges::any_of(places_, same)) return;
  places_.push_back({at, bytes_at(at, size), fresh_bytes(size)});
}

void DmaProbe::prepare(const Dma& dma) {
  places_.clear();
  for (const DmaResult& result : dma.permitted) {
    if (const auto* reached = std::get_if<Reached>(&result)) add_place(reached->gpa, dma.size);
  }
  for (const Place& place : places_) ram_.write(place.at, place.during);
  // Where an access would go that was not translated at all; watched, not filled, because tables
  // may lie there.
  const Gpa untranslated(dma.iova.value());
  const std::size_t filled = places_.size();
  add_place(untranslated, dma.size);
  if (places_.size() != filled) places_.back().during = places_.back().before;
  messages_.clear();
  writes_.clear();
}

void DmaProbe::set_updates_aside(bool data_written) {
  if (updates_ == TableUpdates::kNone) return;
  const auto is_update = [](const Write& write) {
    return write.size == sizeof(std::uint64_t) && write.first.page_offset(3) == 0;
  };
  // The access is the last change, if it is one.
  const auto end = writes_.end() - (data_written && !writes_.empty() ? 1 : 0);
  writes_.erase(std::remove_if(writes_.begin(), end, is_update), end);
}

void DmaProbe::restore(const Dma& dma) {
  for (const Write& write : writes_) {
    // Reached beyond what was foreseen: what was there is lost, and data must not become a table.
    if (write.size <= dma.size && ram_.holds(write.first, write.size)) {
      ram_.write(write.first, std::vector<std::byte>(write.size));
    }
  }
  for (const Place& place : places_) ram_.write(place.at, place.before);
}

Sighting DmaProbe::run(DmaPort& port, const Dma& dma) {
  prepare(dma);
  std::vector<std::byte> data = fresh_bytes(dma.size);
  Sighting seen;
  if (dma.access == Access::kRead) {
    std::vector<std::byte> got(dma.size);
    const bool succeeded = port.read(dma.iova, got).ok();
    set_updates_aside(false);
    seen = look_at_read(port, dma, succeeded, got);
  } else {
    const bool succeeded = port.write(dma.iova, std::span<const std::byte>(data)).ok();
    set_updates_aside(succeeded && messages_.empty());
    seen = look_at_write(dma, succeeded, data);
  }
  restore(dma);
  return seen;
}

Sighting DmaProbe::look_at_read(DmaPort& port, const Dma& dma, bool succeeded,
                                const std::vector<std::byte>& got) const {
  Sighting seen{.kind = Sighting::Kind::kBlocked, .gpa = {}, .oddity = check_untouched({})};
  if (!writes_.empty()) seen.oddity = "a read was reported as a write of RAM";
  if (!messages_.empty()) seen.oddity = "a read became an interrupt";
  if (!succeeded) {
    if (std::ranges::any_of(got, [](std::byte b) { return b != std::byte{0}; })) {
      seen.oddity = "the device was given bytes by a read that failed";
    }
    return seen;
  }
  for (const Place& place : places_) {
    const bool told_apart = place.during != place.before;
    if (!told_apart || place.during != got) continue;
    seen.kind = Sighting::Kind::kReached;
    seen.gpa = place.at;
    return seen;
  }
  // Nowhere that was foreseen. Ask, but believe it only if the bytes are the same.
  const auto found = port.peek(dma.iova, Access::kRead);
  if (found && ram_.holds(found->gpa, dma.size) && bytes_at(found->gpa, dma.size) == got) {
    seen.kind = Sighting::Kind::kReached;
    seen.gpa = found->gpa;
  } else {
    seen.kind = Sighting::Kind::kUnclear;
    seen.oddity = "the read gave bytes of no known address";
  }
  return seen;
}

Sighting DmaProbe::look_at_write(const Dma& dma, bool succeeded,
                                 const std::vector<std::byte>& sent) const {
  Sighting seen;
  if (!succeeded || !messages_.empty()) {
    seen.kind = succeeded ? Sighting::Kind::kInterrupt : Sighting::Kind::kBlocked;
    seen.oddity = check_untouched({});
    if (!writes_.empty())
      seen.oddity = "RAM was reported written at " + hex(writes_[0].first.value());
    if (succeeded) {
      const std::string wrong = check_message(dma, sent);
      if (!wrong.empty()) seen.oddity = wrong;
    } else if (!messages_.empty()) {
      seen.oddity = "an interrupt was sent by a write that failed";
    }
    return seen;
  }
  if (writes_.size() != 1 || writes_[0].size != dma.size) {
    seen.oddity = "the write was reported as " + std::to_string(writes_.size()) +
                  " changes of RAM, not one of its size";
    return seen;
  }
  seen.gpa = writes_[0].first;
  if (!ram_.holds(seen.gpa, dma.size) || bytes_at(seen.gpa, dma.size) != sent) {
    seen.oddity = "the bytes are not at the reported address " + hex(seen.gpa.value());
    return seen;
  }
  seen.kind = Sighting::Kind::kReached;
  seen.oddity = check_untouched(seen.gpa);
  return seen;
}

std::string DmaProbe::check_message(const Dma& dma, const std::vector<std::byte>& sent) const {
  if (messages_.size() != 1) {
    return std::to_string(messages_.size()) + " interrupts were sent by one write";
  }
  std::uint32_t data = 0;
  if (sent.size() != sizeof data) return "an interrupt was sent by a write that is not of 4 bytes";
  std::memcpy(&data, sent.data(), sizeof data);
  if (messages_[0].requester != dma.requester) return "the interrupt came from another device";
  if (messages_[0].msi.address != dma.iova.value()) return "the interrupt has another address";
  return messages_[0].msi.data == data ? "" : "the interrupt carries other data";
}

std::string DmaProbe::check_untouched(std::optional<Gpa> reached) const {
  for (const Place& place : places_) {
    if (place.at == reached) continue;
    if (bytes_at(place.at, place.during.size()) == place.during) continue;
    return "RAM changed at " + hex(place.at.value());
  }
  return {};
}

}  // namespace weir::verify
