// SPDX-License-Identifier: Apache-2.0
//
// A case of mode vtd-ir as plain values, read out of its JSON line and checked whole before
// anything of it is carried out.
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "tools/verify/case_parts.h"

namespace weir::verify {

struct IrConfig {
  Gpa table;
  std::uint8_t size = 0;  // 2^(size + 1) entries
  bool extended = false;  // EIME
  std::uint64_t ecap = 0;
};

// What a message may come to.
struct Delivered {
  std::uint32_t apic = 0;
  std::uint8_t vector = 0;
  friend bool operator==(Delivered, Delivered) = default;
};
struct Refused {
  Blocked fault;
  std::uint16_t index = 0;  // compared only when recorded, and not for 25h, where it means nothing
  friend bool operator==(Refused a, Refused b) {
    constexpr std::uint8_t kCompatibilityBlocked = 0x25;
    return a.fault == b.fault &&
           (!a.fault.recorded || a.fault.code == kCompatibilityBlocked || a.index == b.index);
  }
};
using MessageResult = std::variant<Delivered, Refused>;

struct Message {
  Requester requester;
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  std::vector<MessageResult> permitted;  // `res` first, then `also`
};
struct SwitchRemapping {
  bool on = false;
};
struct FlushEntries {
  std::optional<std::uint16_t> index;  // empty: all
  std::uint8_t mask = 0;
};
using IrOperation = std::variant<EditMemory, SwitchRemapping, FlushEntries, Message>;

struct IrCase {
  IrConfig config;
  std::vector<MemoryRun> memory;
  std::vector<IrOperation> operations;
};

[[nodiscard]] std::string in_words(const MessageResult& result);

// Empty, or wrong in part, once `fields` has complained.
[[nodiscard]] IrCase read_ir_case(const Fields& fields);

}  // namespace weir::verify
