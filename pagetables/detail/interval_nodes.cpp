// SPDX-License-Identifier: Apache-2.0
#include "pagetables/detail/interval_nodes.h"

#include <algorithm>
#include <utility>

namespace weir::pagetables {
namespace detail {
namespace {

std::uint16_t placed(unsigned flags, unsigned from, unsigned n, unsigned to) {
  return static_cast<std::uint16_t>((flags >> from & ((1U << n) - 1)) << to);
}

}  // namespace

Mapping Leaf::at(unsigned slot) const {
  const unsigned bits = (readable >> slot & 1U) * Permissions::kReadBit |
                        (writable >> slot & 1U) * Permissions::kWriteBit;
  return Mapping{.range = {Iova(first[slot]), Iova(rest[slot].last)},
                 .output = Gpa(rest[slot].output),
                 .permissions = Permissions::from_bits(bits),
                 .mmio = (mmio >> slot & 1) != 0};
}

void Leaf::set(unsigned slot, const Mapping& m) {
  first[slot] = m.range.first.value();
  rest[slot] = {m.range.last.value(), m.output.value()};
  const auto put = [slot](std::uint16_t& bits, bool set) {
    bits = static_cast<std::uint16_t>(bits | (set ? 1U << slot : 0U));
  };
  put(readable, m.permissions.can_read());
  put(writable, m.permissions.can_write());
  put(mmio, m.mmio);
}

void Leaf::copy(unsigned to, const Leaf& source, unsigned from, unsigned n) {
  std::copy_n(source.first.begin() + from, n, first.begin() + to);
  std::copy_n(source.rest.begin() + from, n, rest.begin() + to);
  readable = static_cast<std::uint16_t>(readable | placed(source.readable, from, n, to));
  writable = static_cast<std::uint16_t>(writable | placed(source.writable, from, n, to));
  mmio = static_cast<std::uint16_t>(mmio | placed(source.mmio, from, n, to));
}

void Leaf::finish(unsigned n) {
  count = static_cast<std::uint16_t>(n);
  std::fill(first.begin() + n, first.end(), kNoKey);
}

RetiredNodes NodePool::take_retired() {
  RetiredNodes taken;
  if (retired_ == nullptr) return taken;
  taken.first_ = std::exchange(retired_, nullptr);
  taken.bytes_ = std::exchange(retired_bytes_, 0);
  taken.outstanding_ = outstanding_;
  // Relaxed: a count, paired with nothing.
  outstanding_->fetch_add(taken.bytes_, std::memory_order_relaxed);
  return taken;
}

void NodePool::discard(Garbage* first) {
  while (first != nullptr) {
    Garbage* const next = first->next;
    first->destroy(first);
    first = next;
  }
}

}  // namespace detail

RetiredNodes::RetiredNodes(RetiredNodes&& other) noexcept
    : first_(std::exchange(other.first_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      outstanding_(std::move(other.outstanding_)) {}

RetiredNodes& RetiredNodes::operator=(RetiredNodes&& other) noexcept {
  if (this == &other) return *this;
  free_all();
  first_ = std::exchange(other.first_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  outstanding_ = std::move(other.outstanding_);
  return *this;
}

RetiredNodes::~RetiredNodes() { free_all(); }

void RetiredNodes::free_all() {
  detail::NodePool::discard(std::exchange(first_, nullptr));
  // Relaxed: a count, paired with nothing.
  if (outstanding_ != nullptr) outstanding_->fetch_sub(bytes_, std::memory_order_relaxed);
  outstanding_.reset();
  bytes_ = 0;
}

}  // namespace weir::pagetables
