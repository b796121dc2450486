// SPDX-License-Identifier: Apache-2.0
//
// What a guest asks a VT-d unit to forget, as a trace shows it: invalidation descriptors (VT-d
// 6.5.2) and the invalidation registers (10.4.7, 10.4.8). Read here a second time, apart from the
// unit's own decoder, because the stale check must not believe the code it checks.
//
// Pure values and functions; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/ids.h"
#include "replay/trace_event.h"

namespace weir::replay {

struct Flush {
  enum class Of : std::uint8_t { kContexts, kTranslations };
  enum class Reach : std::uint8_t { kAll, kDomain, kSelective };
  Of of = Of::kTranslations;
  Reach reach = Reach::kAll;
  DomainId domain{};  // translations: kDomain and kSelective; contexts: kDomain
  AddressRange<Iova> range = whole_space<Iova>();  // kSelective translations
  Requester requester{};                           // kSelective contexts
  std::uint16_t requester_mask = 0;                // bits of its bdf that need not match

  friend bool operator==(const Flush&, const Flush&) = default;
};

// Descriptor types of legacy mode; others belong to scalable mode. A replay has one PASID for each
// function, that of its requests without one, so that PASIDs tell nothing apart here.
inline constexpr unsigned kContextDescriptor = 1;
inline constexpr unsigned kIotlbDescriptor = 2;
inline constexpr unsigned kDeviceTlbDescriptor = 3;
inline constexpr unsigned kInterruptDescriptor = 4;
inline constexpr unsigned kWaitDescriptor = 5;
// Those of scalable mode.
inline constexpr unsigned kPasidIotlbDescriptor = 6;
inline constexpr unsigned kPasidCacheDescriptor = 7;

[[nodiscard]] constexpr bool is_scalable_descriptor(unsigned type) {
  return type > kWaitDescriptor;
}

// Everything that PASID entries said (6.5.2.2).
[[nodiscard]] constexpr InvalidationDescriptor flush_of_all_pasid_entries() {
  return {.words = {3U << 4 | kPasidCacheDescriptor}};
}

// Nullopt: a wait, another cache, or a granularity that does not exist.
[[nodiscard]] std::optional<Flush> flush_of(const InvalidationDescriptor& descriptor);

// The same for a write of CCMD_REG, and of IOTLB_REG with what IVA_REG held; nullopt also where the
// write does not set ICC or IVT.
[[nodiscard]] std::optional<Flush> flush_of_context_command(std::uint64_t ccmd);
[[nodiscard]] std::optional<Flush> flush_of_iotlb_command(std::uint64_t iotlb, std::uint64_t iva);

}  // namespace weir::replay
