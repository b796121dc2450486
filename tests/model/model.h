// SPDX-License-Identifier: Apache-2.0
//
// The slow oracle of the page-table walks: what a translation must answer, by the specification's
// steps in order, with nothing shared with the walkers in pagetables/. Every format has a file of
// its own (vtd_second_stage_model.h, x86_first_stage_model.h, amd_v1_model.h) and translate.h puts
// one or two of them over an image. Comments cite the rows of the build sheets: "VT-d 3" is that
// sheet's section 3, "A7" AMD's, X1…X12 and "settled 2" what later evidence settled.
//
// Pure functions over values; any thread. Nothing is cached, nothing is written: entries that a
// walk would change are listed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/fault.h"

namespace weir::model {

// Memory with tables in it, as 64-bit little-endian words.
class Image {
 public:
  virtual ~Image() = default;
  // The word at `address`, a multiple of 8; nothing where there is no memory.
  [[nodiscard]] virtual std::optional<std::uint64_t> load(std::uint64_t address) const = 0;
  // Whether an accessed or dirty bit can be set in that word.
  [[nodiscard]] virtual bool writable(std::uint64_t address) const {
    return load(address).has_value();
  }
};

struct Ask {
  std::uint64_t input = 0;
  bool read = false;
  bool write = false;    // with `read`: an atomic
  bool execute = false;  // a read that asks for execute permission
  bool privileged = false;
  // The requester's own rights: IR and IW of an AMD device-table entry (A6). Only AMD-Vi v1 looks.
  bool device_read = true;
  bool device_write = true;
};

// What weir::FaultReason has no word for. A verdict's `reason` is the nearest word there is.
enum class Detail : std::uint8_t {
  kNone,
  kNonCanonical,            // kBeyondInputWidth; VT-d 80h
  kUserOfSupervisor,        // kNo{Read,Write}Permission; VT-d 81h
  kSupervisorExecutesUser,  // kNoReadPermission; VT-d 81h
  kNoExecute,               // kNoReadPermission; VT-d 82h
  kSupervisorRefused,       // kRequestTypeBlocked; VT-d 5Dh, SRE=0
  kExecuteRefused,          // kRequestTypeBlocked; VT-d 5Ch, ERE=0
  kPageSize,                // kReservedBits; a leaf of a size the unit does not have (SSL.3, FS1GP)
  kLevelEncoding,           // kReservedBits; AMD event 2 with PR=1 RZ=0 (X1)
  kSkippedBits,             // kBeyondInputWidth; AMD event 2 with PR=1 PE=0 RZ=0 (X2)
  kDeviceRights,            // kNo{Read,Write}Permission; the device-table entry's
};

[[nodiscard]] std::string_view to_string(Detail detail);

// What a stage below was asked for when it refused.
enum class Purpose : std::uint8_t {
  kAccess,       // the request itself, or the only stage
  kTableRead,    // an entry of the upper stage
  kTableUpdate,  // an accessed or dirty bit of the upper stage
};

[[nodiscard]] std::string_view to_string(Purpose purpose);

// An entry that the translation changes.
struct Update {
  std::uint64_t at = 0;     // as the image knows it
  std::uint64_t value = 0;  // after the change
  Stage stage = Stage::kNone;
  unsigned level = 0;
  std::uint64_t entry_at = 0;  // in the space of the table pointer that led to it
};

struct Verdict {
  bool ok = false;
  // Table entries read with nothing cached, in all stages, also on failure. An entry that could not
  // be read does not count, nor does what an accessed or dirty bit costs.
  unsigned references = 0;

  // When ok. The rights are those the tables grant, whatever the request asked for: those of the
  // requester (SRE, WPE, NXE, device-table entry) are not in them (L10).
  std::uint64_t output = 0;
  unsigned page_lg2 = 0;  // largest naturally aligned page around the input that goes on as one
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool user = false;
  std::vector<Update> updates;  // only entries that change, each once

  // When not ok: the first thing that was wrong.
  Stage stage = Stage::kNone;
  unsigned level = 0;  // 1 is the last level; 0: found before any entry was looked at
  std::uint64_t entry_at = 0;
  FaultReason reason = FaultReason::kNotPresent;
  Detail detail = Detail::kNone;
  Purpose purpose = Purpose::kAccess;
  unsigned upper_level = 0;  // level of the upper stage's entry, where that is the purpose
};

}  // namespace weir::model
