// SPDX-License-Identifier: Apache-2.0
#include "pagetables/wide_load.h"

#include <cstring>
#include <span>

namespace weir::pagetables {
namespace {

using Pair = std::array<std::uint64_t, 2>;

#if defined(__x86_64__)
// Both processor vendors promise that aligned 16-byte loads are single where AVX exists.
[[nodiscard]] bool loads_pairs_at_once() {
  static const bool does = __builtin_cpu_supports("avx") != 0;
  return does;
}

// REQUIRES: `host` is 16-byte aligned. In assembly, so that it stays one load. Ordered like every
// load of this architecture (acquire); the guest's stores pair with it.
[[nodiscard]] Pair load_at_once(const std::byte* host) {
  using Vector = long long __attribute__((vector_size(16)));
  Vector vector;
  asm volatile("movdqa %1, %0"
               : "=x"(vector)
               : "m"(*reinterpret_cast<const Vector*>(host))
               : "memory");
  Pair pair;
  std::memcpy(pair.data(), &vector, sizeof pair);
  return pair;
}
#else
[[nodiscard]] bool loads_pairs_at_once() { return false; }
[[nodiscard]] Pair load_at_once(const std::byte*) { return {}; }
#endif

[[nodiscard]] bool is_pair_aligned(const std::byte* host) {
  return reinterpret_cast<std::uintptr_t>(host) % sizeof(Pair) == 0;
}

// The lower word, which carries the present bit, has to be the same before and after the other.
[[nodiscard]] Result<Pair, FaultReason> load_and_look_again(const PhysicalMemory& memory, Gpa at) {
  constexpr unsigned kAttempts = 8;
  auto low = memory.load64(at);
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    if (!low) return Failure{low.error()};
    const auto high = memory.load64(at + sizeof(std::uint64_t));
    if (!high) return Failure{high.error()};
    const auto again = memory.load64(at);
    if (again && *again == *low) return Pair{*low, *high};
    low = again;
  }
  return Failure{FaultReason::kTableUnreadable};
}

}  // namespace

Result<Pair, FaultReason> load_pair(const PhysicalMemory& memory, Gpa at) {
  MemoryWitness* const witness = memory.witness();
  if (witness != nullptr) witness->before_read(at);
  const auto landing = memory.resolve(at, sizeof(Pair));
  if (!landing) return Failure{landing.error()};
  const std::byte* host = landing->host();
  const bool whole = landing->contiguous >= sizeof(Pair) && landing->permissions.can_read();
  if (host != nullptr && whole && is_pair_aligned(host) && loads_pairs_at_once()) {
    const Pair pair = load_at_once(host);
    if (witness != nullptr) witness->on_read(at, std::as_bytes(std::span(pair)));
    return pair;
  }
  return load_and_look_again(memory, at);
}

Result<std::array<std::uint64_t, 4>, FaultReason> load_quad(const PhysicalMemory& memory, Gpa at) {
  constexpr unsigned kAttempts = 16;
  auto low = load_pair(memory, at);
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    if (!low) return Failure{low.error()};
    const auto high = load_pair(memory, at + sizeof(Pair));
    if (!high) return Failure{high.error()};
    const auto again = load_pair(memory, at);
    if (again && *again == *low)
      return std::array<std::uint64_t, 4>{(*low)[0], (*low)[1], (*high)[0], (*high)[1]};
    low = again;
  }
  return Failure{FaultReason::kTableUnreadable};
}

}  // namespace weir::pagetables
