// SPDX-License-Identifier: Apache-2.0
//
// The fault reasons (manual 7.1.3 and 7.2.3, with the conditions' names where they are known), and
// which of them an FPD silences: all that are found once an entry that carries one has been read,
// but for the reads of the scalable-mode structures themselves.
//
// Constexpr values; any thread.
#pragma once

#include <cstdint>

namespace weir::vtd {

enum class Code : std::uint8_t {
  // Legacy mode.
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
  // Interrupt remapping.
  kInterruptReserved = 0x20,       // reserved bits of the request
  kInterruptIndex = 0x21,          // beyond the table
  kInterruptNotPresent = 0x22,     // the entry's P
  kInterruptAccess = 0x23,         // the table unreadable
  kInterruptEntryReserved = 0x24,  // reserved bits of the entry
  kCompatibilityBlocked = 0x25,    // compatibility format where it is not let through
  kInterruptSource = 0x26,         // SVT, SQ, SID
  kDescriptorAccess = 0x27,        // posted-interrupt descriptor unreadable
  kDescriptorReserved = 0x28,      // its reserved bits
  // The translation-table mode.
  kRootAddressInvalid = 0x30,   // RTA.1
  kPasidInLegacyMode = 0x31,    // RTA.2: request with PASID under TTM 00
  kPageRequestInLegacy = 0x32,  // RTA.3: page request under TTM 00
  // Scalable mode: who is this.
  kScalableRootAccess = 0x38,         // SRT.1
  kScalableRootNotPresent = 0x39,     // SRT.2
  kScalableRootReserved = 0x3a,       // SRT.3
  kScalableContextAccess = 0x40,      // SCT.1
  kScalableContextNotPresent = 0x41,  // SCT.2
  kScalableContextReserved = 0x42,    // SCT.3
  kScalableContextInvalid = 0x43,     // SCT.4
  kDeviceTlbDisabled = 0x44,          // SCT.5: DTE is 0
  kPasidDisabled = 0x45,              // SCT.6: PASIDE is 0
  kPasidTooLarge = 0x46,              // SCT.7: beyond PDTS
  kPageRequestsDisabled = 0x47,       // SCT.8: PRE is 0
  kRidPasidInvalid = 0x48,            // SCT.9
  kDirectoryAccess = 0x50,            // SPD.1
  kDirectoryNotPresent = 0x51,        // SPD.2
  kDirectoryReserved = 0x52,          // SPD.3
  kPasidAccess = 0x58,                // SPT.1
  kPasidNotPresent = 0x59,            // SPT.2
  kPasidReserved = 0x5a,              // SPT.3
  kPasidInvalid = 0x5b,               // SPT.4
  kExecuteDisabled = 0x5c,            // SPT.5: ERE is 0
  kSupervisorDisabled = 0x5d,         // SPT.6: SRE is 0
  // Scalable mode: tables.
  kFirstAccess = 0x70,             // SFS.1
  kFirstNotPresent = 0x71,         // SFS.2
  kFirstReserved = 0x72,           // SFS.3
  kFirstTableAccess = 0x73,        // SFS.4: by FSPTPTR
  kFirstBeyondSecond = 0x74,       // SFS.5: nested: a table's address beyond the second stage
  kFirstTableNoRead = 0x75,        // SFS.6: nested: the first table is not readable
  kFirstNoRead = 0x76,             // SFS.7: nested: a later table is not readable
  kFirstNoWrite = 0x77,            // SFS.8: nested: a table whose A or D is due is not writable
  kSecondAccess = 0x78,            // SSS.1
  kSecondReserved = 0x7a,          // SSS.3
  kSecondTableAccess = 0x7b,       // SSS.4: by SSPTPTR
  kSecondUpdateNoSnoop = 0x7c,     // SSS.5: A or D due where walks do not snoop
  kSecondUpdateFailed = 0x7d,      // SSS.6
  kNonCanonical = 0x80,            // SGN.1
  kNotUser = 0x81,                 // SGN.2
  kNoExecute = 0x82,               // SGN.3
  kBeyondHardware = 0x83,          // SGN.4
  kBeyondSecondStage = 0x84,       // SGN.5
  kScalableNoWrite = 0x85,         // SGN.6
  kScalableNoRead = 0x86,          // SGN.7
  kScalableInterruptRange = 0x87,  // SGN.8
  kFirstUpdateNoSnoop = 0x90,      // SFS.9
  kUpdateFailed = 0x91,            // SFS.10
};

// Is the fault found before any entry with an FPD was there, or one of those that FPD leaves alone?
// FPD is latched from an entry as soon as it has been read, before even P is looked at.
[[nodiscard]] constexpr bool silenced_by_fpd(Code code) {
  switch (code) {
    case Code::kRootNotPresent:
    case Code::kRootAccess:
    case Code::kContextAccess:
    case Code::kRootReserved:
    case Code::kInterruptReserved:
    case Code::kInterruptIndex:
    case Code::kInterruptAccess:
    case Code::kCompatibilityBlocked:
    case Code::kRootAddressInvalid:
    case Code::kPasidInLegacyMode:
    case Code::kPageRequestInLegacy:
    case Code::kScalableRootAccess:
    case Code::kScalableRootNotPresent:
    case Code::kScalableRootReserved:
    case Code::kScalableContextAccess:
    case Code::kDirectoryAccess:
    case Code::kPasidAccess:
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
    case Code::kInterruptNotPresent:
    case Code::kInterruptEntryReserved:
    case Code::kInterruptSource:
    case Code::kDescriptorAccess:
    case Code::kDescriptorReserved:
    case Code::kScalableContextNotPresent:
    case Code::kScalableContextReserved:
    case Code::kScalableContextInvalid:
    case Code::kDeviceTlbDisabled:
    case Code::kPasidDisabled:
    case Code::kPasidTooLarge:
    case Code::kPageRequestsDisabled:
    case Code::kRidPasidInvalid:
    case Code::kDirectoryNotPresent:
    case Code::kDirectoryReserved:
    case Code::kPasidNotPresent:
    case Code::kPasidReserved:
    case Code::kPasidInvalid:
    case Code::kExecuteDisabled:
    case Code::kSupervisorDisabled:
    case Code::kFirstAccess:
    case Code::kFirstNotPresent:
    case Code::kFirstReserved:
    case Code::kFirstTableAccess:
    case Code::kFirstBeyondSecond:
    case Code::kFirstTableNoRead:
    case Code::kFirstNoRead:
    case Code::kFirstNoWrite:
    case Code::kSecondAccess:
    case Code::kSecondReserved:
    case Code::kSecondTableAccess:
    case Code::kSecondUpdateNoSnoop:
    case Code::kSecondUpdateFailed:
    case Code::kNonCanonical:
    case Code::kNotUser:
    case Code::kNoExecute:
    case Code::kBeyondHardware:
    case Code::kBeyondSecondStage:
    case Code::kScalableNoWrite:
    case Code::kScalableNoRead:
    case Code::kScalableInterruptRange:
    case Code::kFirstUpdateNoSnoop:
    case Code::kUpdateFailed:
      return true;
  }
  return false;
}

// Conditions that a translation request may meet and that are no error: an address out of reach, a
// page that is not there or not allowed, a PASID that has no entry (yet).
[[nodiscard]] constexpr bool is_recoverable(Code code) {
  return code == Code::kBeyondWidth || code == Code::kNoWrite || code == Code::kNoRead ||
         code == Code::kDirectoryNotPresent || code == Code::kPasidNotPresent ||
         code == Code::kExecuteDisabled || code == Code::kSupervisorDisabled ||
         (code >= Code::kFirstAccess && code <= Code::kFirstNoWrite) ||
         (code >= Code::kNonCanonical && code <= Code::kScalableNoRead);
}

[[nodiscard]] constexpr bool is_of_interrupts(std::uint16_t code) {
  return code >= static_cast<std::uint16_t>(Code::kInterruptReserved) &&
         code <= static_cast<std::uint16_t>(Code::kDescriptorReserved);
}

}  // namespace weir::vtd
