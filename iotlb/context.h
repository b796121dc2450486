// SPDX-License-Identifier: Apache-2.0
//
// What a unit knows about a requester (and a PASID): which stages apply, under which domain, with
// which roots, formats and rights. The vendor reads it out of the guest's structures once; it is
// cached until a context invalidation covers it. Rights that belong to the requester live here,
// never in an IOTLB entry (L10).
//
// Trivially copyable and at most a cache line, so that it can be published word by word. Any
// thread.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/access.h"
#include "base/ids.h"
#include "base/request.h"

namespace weir::iotlb {

enum class ContextKind : std::uint8_t {
  kBlocked,      // every request faults with the code the vendor gave
  kPassThrough,  // the guest asked for identity
  kStage1,
  kStage2,
  kNested,
};

// How the unit hears that the guest has changed its tables.
enum class Coherence : std::uint8_t {
  kArchitectural,  // of what was present, by invalidation
  kAnnounced,      // of every change: mappings are announced too (VT-d CM)
  kCaching,        // likewise, and what is absent may be kept until then (AMD NpCache, virtio)
  kVerified,       // not at all: what is cached is compared with memory at every use
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
  // The requester's own, ANDed at every use (AMD IR and IW of the device-table entry). What they
  // lack is the vendor's fault (Unit::deny), found before any table is read.
  Permissions rights = Permissions::read_write();
  Coherence coherence = Coherence::kArchitectural;
  bool silence_faults = false;  // VT-d FPD, AMD SA: faults happen but are not recorded
  bool allow_translation_requests = false;
  bool allow_translated = false;
  // The requester's own modes; see ask_of.
  bool privileged = false;        // without a PASID it counts as privileged (VT-d RID_PRIV)
  bool write_protect = true;      // false: with privilege it may write read-only pages (VT-d WPE=0)
  bool no_execute = true;         // false: execute-disable bits mean nothing (VT-d NXE=0)
  std::uint32_t vendor_bits = 0;  // the vendor's own, untouched by the core

  static constexpr std::uint32_t kNoPasid = ~std::uint32_t{0};
};
static_assert(std::is_trivially_copyable_v<Context> && sizeof(Context) <= 48);

// What `request` asks of the tables under `context`, its requester's modes included: of a walk and
// of a cached answer alike, so that entries need not know whose they are (L10).
[[nodiscard]] constexpr Ask ask_of(const Context& context, const Request& request) {
  return {.access = request.access,
          .execute = request.execute && context.no_execute,
          .privileged = request.privileged || (context.privileged && !request.pasid),
          .write_protect = context.write_protect};
}

}  // namespace weir::iotlb
