// SPDX-License-Identifier: Apache-2.0
//
// Why a request did not reach memory, as a value that carries the whole request. The reason is in
// neutral words; the front end that found it adds its own code (a VT-d fault reason, an AMD event)
// and says whether it was recorded where the guest's driver looks.
//
// A pure value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/request.h"

namespace weir {

enum class FaultReason : std::uint8_t {
  // The guest's "who is this" structures (root, context, device table).
  kRootUnreadable,
  kRootNotPresent,
  kRootReserved,
  kContextUnreadable,
  kContextNotPresent,
  kContextReserved,
  kContextInvalid,      // present, but asks for what the unit does not have
  kRequestTypeBlocked,  // the context does not let this address type through
  kPasidUnsupported,
  kPasidUnreadable,  // PASID directory, PASID table, GCR3 table
  kPasidNotPresent,
  kPasidReserved,
  kPasidInvalid,      // present, but asks for what the unit does not have
  kPrivilegeBlocked,  // the requester may not ask with privilege
  kExecuteBlocked,    // the requester may not ask to execute
  // The guest's page tables.
  kBeyondInputWidth,
  kNonCanonical,
  kNotPresent,
  kNoReadPermission,
  kNoWritePermission,
  kNoExecutePermission,
  kNotUser,  // a request without privilege, a page that needs it
  kTableUnreadable,
  kRootTableUnreadable,  // the first entry of the first table
  kReservedBits,
  kLevelEncoding,  // an entry names a level or page size that it cannot
  kSkippedBits,    // address bits of levels that were skipped are not zero
  kUpdateFailed,   // accessed or dirty bit
  // The answer.
  kOutputInInterruptRange,
  // Interrupt requests.
  kInterruptMalformed,
  kInterruptBlocked,  // this kind of message is not let through
  kInterruptIndex,    // beyond the table
  kInterruptUnreadable,
  kInterruptNotPresent,
  kInterruptReserved,
  kInterruptSource,  // the entry is not this requester's
  // The embedder's side; the guest's driver never reads of these.
  kHostMapAbsent,
  kHostMapPermission,
  kPrivatePage,    // the guest has not shared it with anybody
  kOutsideWindow,  // the function reaches its window and nothing else
  kNotPinnable,  // the target is a callback: read or write it instead
  kBusMasterOff,
  kDetached,
  kMisaligned,  // an atomic
  kAddressWraps,
};

[[nodiscard]] std::string_view to_string(FaultReason reason);

// Which table the reason is about.
enum class Stage : std::uint8_t { kNone, kStage1, kStage2, kHostMap };

[[nodiscard]] std::string_view to_string(Stage stage);

// What a device hears of its ATS translation request (PCIe 10.2.3): a completion, which may say
// that there is nothing to be had, or one of two errors.
enum class AtsStatus : std::uint8_t { kSuccess, kUnsupportedRequest, kCompleterAbort };

struct Fault {
  Request request;  // the piece that faulted: its iova is the first byte that did not land
  FaultReason reason = FaultReason::kHostMapAbsent;
  Stage stage = Stage::kNone;
  std::uint8_t level = 0;  // of the entry the walk stopped at; 1 is the last level, 0: no walk
  std::uint64_t entry_at =
      0;                   // address of that entry, in the space its table pointer is written in
  std::uint16_t code = 0;  // the front end's own number; 0: it has none for this
  bool recorded = false;   // the guest can read of it; false: silenced by the guest, or no code
  // What a record names in place of the request's address: what stage 1 asked stage 2 for where
  // stage 2 refused, or the bus form of an interrupt.
  std::optional<std::uint64_t> shown_address{};
  // Of a translation request: how it is answered. kSuccess: with neither R nor W.
  AtsStatus ats = AtsStatus::kUnsupportedRequest;
  std::uint32_t vendor_detail = 0;  // the front end's own, for its record (an interrupt index, say)
  std::uint32_t references = 0;     // table entries read before it was found
  std::uint64_t completed = 0;      // bytes of the transfer that landed before this piece
};

}  // namespace weir
