// SPDX-License-Identifier: Apache-2.0
//
// A case of mode amdvi as plain values, read out of its JSON line and checked whole before anything
// of it is carried out. What the vector says of an event besides its kind (flags, domain, address)
// rests on a model alone; it is kept beside the permitted results and counted apart.
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "tools/verify/case_parts.h"
#include "tools/verify/fields.h"

namespace weir::verify {

struct AmdConfig {
  Gpa device_table;
  unsigned device_table_pages = 0;
  std::uint64_t features = 0;  // EFR of the unit that the file was made with
};

// Event codes, as the kinds of the file name them.
inline constexpr std::uint8_t kIllegalEntryEvent = 1;
inline constexpr std::uint8_t kPageFaultEvent = 2;
inline constexpr std::uint8_t kTableErrorEvent = 4;

// What the file says of an event.
struct EventDetails {
  bool has_flags = false;
  bool present = false;     // PR
  bool permission = false;  // PE
  bool reserved = false;    // RZ
  std::optional<std::uint16_t> domain;
  std::optional<std::uint64_t> address;
  std::optional<bool> write;  // RW
};

struct AmdDma {
  Dma dma;
  std::vector<EventDetails> details;  // by permitted result
  bool mode7 = false;                 // an entry of mode 7 may be event 1 or 2
};

struct ForgetEntry {
  std::uint16_t device = 0;
};
struct ForgetPages {
  std::uint16_t domain = 0;
  std::uint64_t address = 0;
  bool sized = false;
  bool directories = false;
};
struct ForgetEverything {};

using AmdOperation =
    std::variant<EditMemory, SwitchTranslation, ForgetEntry, ForgetPages, ForgetEverything, AmdDma>;

struct AmdCase {
  AmdConfig config;
  std::vector<MemoryRun> memory;
  std::vector<AmdOperation> operations;
};

// Empty, or wrong in part, once `fields` has complained.
[[nodiscard]] AmdCase read_amd_case(const Fields& fields);

}  // namespace weir::verify
