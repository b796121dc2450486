// SPDX-License-Identifier: Apache-2.0
//
// The fault reasons that legacy mode can give (manual 7.1.3 and 7.2.3, with the conditions' names),
// and which of them a context entry's FPD silences: all that are found once a context entry has
// been read.
//
// Constexpr values; any thread.
#pragma once

#include <cstdint>

namespace weir::vtd {

enum class Code : std::uint8_t {
  kRootNotPresent = 0x01,          // LRT.2
  kContextNotPresent = 0x02,       // LCT.2
  kContextInvalid = 0x03,          // LCT.4: AW, TT; LCT.4.3: first table unreadable
  kBeyondWidth = 0x04,             // LGN.1
  kNoWrite = 0x05,                 // LGN.2
  kNoRead = 0x06,                  // LGN.3
  kTableAccess = 0x07,             // LSL.1
  kRootAccess = 0x08,              // LRT.1
  kContextAccess = 0x09,           // LCT.1
  kRootReserved = 0x0a,            // LRT.3
  kContextReserved = 0x0b,         // LCT.3
  kTableReserved = 0x0c,           // LSL.2
  kTypeBlocked = 0x0d,             // LCT.5
  kOutputInInterruptRange = 0x0e,  // LGN.4
  kRootAddressInvalid = 0x30,      // RTA.1: translation-table mode
  kPasidInLegacyMode = 0x31,       // RTA.2: request with PASID under TTM 00
};

// Not silenced is what is found before a context entry was read: FPD is latched from the entry as
// soon as it is there, before even P is looked at.
[[nodiscard]] constexpr bool silenced_by_fpd(Code code) {
  switch (code) {
    case Code::kRootNotPresent:
    case Code::kRootAccess:
    case Code::kContextAccess:
    case Code::kRootReserved:
    case Code::kRootAddressInvalid:
    case Code::kPasidInLegacyMode:
      return false;
    case Code::kContextNotPresent:
    case Code::kContextInvalid:
    case Code::kBeyondWidth:
    case Code::kNoWrite:
    case Code::kNoRead:
    case Code::kTableAccess:
    case Code::kContextReserved:
    case Code::kTableReserved:
    case Code::kTypeBlocked:
    case Code::kOutputInInterruptRange:
      return true;
  }
  return false;
}

}  // namespace weir::vtd
