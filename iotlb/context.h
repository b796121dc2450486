// SPDX-License-Identifier: Apache-2.0
//
// What a unit knows about a requester (and a PASID): which stages apply, under which domain, with
// which roots, formats and rights. The vendor reads it out of the guest's structures once; it is
// cached until a context invalidation covers it. Rights that belong to the requester live here,
// never in an IOTLB entry (L10).
//
// Trivially copyable and at most a cache line, so that it can be published word by word.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/access.h"
#include "base/ids.h"

namespace weir::iotlb {

enum class ContextKind : std::uint8_t {
  kBlocked,      // every request faults with the code the vendor gave
  kPassThrough,  // the guest asked for identity
  kStage1,
  kStage2,
  kNested,
};

struct Context {
  std::uint64_t stage1_root =
      0;  // table addresses in the space that the vendor's format writes them
  std::uint64_t stage2_root = 0;
  DomainId domain{};
  std::uint32_t pasid = kNoPasid;  // tag of the entries made under this context
  ContextKind kind = ContextKind::kBlocked;
  std::uint8_t stage1_levels = 0;
  std::uint8_t stage2_levels = 0;
  std::uint8_t input_bits = 0;  // highest reach of an untranslated request: 2^input_bits
  Permissions rights = Permissions::read_write();  // the requester's own, ANDed at every use
  bool silence_faults = false;  // VT-d FPD, AMD SA: faults happen but are not recorded
  bool allow_translation_requests = false;
  bool allow_translated = false;
  std::uint16_t vendor_bits = 0;  // the vendor's own, untouched by the core

  static constexpr std::uint32_t kNoPasid = ~std::uint32_t{0};
};
static_assert(std::is_trivially_copyable_v<Context> && sizeof(Context) <= 48);

}  // namespace weir::iotlb
