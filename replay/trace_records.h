// SPDX-License-Identifier: Apache-2.0
//
// The layout of the records: which byte begins which, and the bits of those that pack several
// things into one. Layout only; trace_writer.cpp and trace_reader.cpp use it (docs/trace-format.md).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/ids.h"

namespace weir::replay::trace_layout {

// The first byte of a record.
enum class Tag : std::uint8_t {
  kNames = 1,  // four lists: outcomes, fault reasons, stages, scopes
  kMachine = 2,
  kTable = 3,
  kUnit = 4,
  kMemory = 5,
  kSeenWord = 6,   // 8 aligned bytes
  kSeenBytes = 7,  // 1…7
  kEvent = 8,
  kCall = 9,
  kPiece = 10,
  kEnd = 11,
};

// Of a piece: its second byte.
inline constexpr std::uint8_t kAccessMask = 0x03;
inline constexpr unsigned kFormShift = 2;  // 3 bits
inline constexpr std::uint8_t kFormMask = 0x07;
inline constexpr std::uint8_t kSpecial = 0x20;  // a byte of attributes and a PASID follow
inline constexpr std::uint8_t kRefused = 0x40;
inline constexpr std::uint8_t kTouched = 0x80;  // reads and a checksum follow
// The attributes.
inline constexpr std::uint8_t kPrivileged = 0x01;
inline constexpr std::uint8_t kExecute = 0x02;
inline constexpr unsigned kTypeShift = 2;  // 2 bits
inline constexpr std::uint8_t kHasPasid = 0x10;
// Of a call: its second byte is what; its third says what follows.
inline constexpr std::uint8_t kCallTouched = 0x01;
inline constexpr std::uint8_t kCallPasid = 0x02;
inline constexpr std::uint8_t kCallData = 0x04;
inline constexpr std::uint8_t kCallAnswer = 0x08;

// What both sides remember from record to record, so that only differences are written.
struct Previous {
  std::uint64_t time = 0;
  std::uint64_t seen_at = 0;
  std::uint64_t seen_read = 0;
  std::uint64_t requester = 0;
  std::uint64_t iova = 0;
  std::uint64_t gpa = 0;
};

[[nodiscard]] constexpr std::uint64_t zigzag(std::uint64_t difference) {
  return difference << 1 ^ (0 - (difference >> 63));
}
[[nodiscard]] constexpr std::uint64_t unzigzag(std::uint64_t n) { return n >> 1 ^ (0 - (n & 1)); }

[[nodiscard]] constexpr std::uint64_t key_of(Requester r) {
  return std::uint64_t{r.segment} << 16 | r.bdf;
}
[[nodiscard]] constexpr Requester requester_of(std::uint64_t key) {
  return {static_cast<std::uint16_t>(key >> 16), static_cast<std::uint16_t>(key)};
}

}  // namespace weir::replay::trace_layout
