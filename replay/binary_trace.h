// SPDX-License-Identifier: Apache-2.0
//
// weir's own trace, version 1, as plain values: a machine, everything that was done to it one
// operation after the other, what came of each, and the books at the end. docs/trace-format.md says
// how they stand in a file; trace_file.h writes and reads them; trace_recorder.h makes them from a
// running machine; trace_replay.h plays them back.
//
// Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/fault.h"
#include "base/ids.h"
#include "base/request.h"
#include "iommu/iommu.h"
#include "iommu/recorder.h"
#include "iommu/stats.h"

namespace weir::replay {

inline constexpr std::array<std::uint8_t, 8> kTraceMagic{0x89, 'W', 'E', 'I', 'R', 'T', '\r', '\n'};
inline constexpr std::uint16_t kTraceVersion = 1;

// What a trace may ask a reader to hold.
namespace trace_limits {
inline constexpr std::uint64_t kPieces = 4096;         // of memory
inline constexpr std::uint64_t kTableBytes = 1 << 20;  // of a firmware table
inline constexpr std::uint64_t kUnits = 16;
inline constexpr std::uint64_t kOptions = 1 << 16;                   // numbers of one unit
inline constexpr std::uint64_t kCallBytes = 4096;                    // that come with a call
inline constexpr std::uint64_t kTransitionBytes = 1 << 20;           // of a transition's line
inline constexpr std::uint64_t kPerOperation = 1 << 20;              // seen, or events
inline constexpr std::uint64_t kNames = 256;                         // in a list, of as many bytes
inline constexpr std::uint64_t kHostBytes = std::uint64_t{1} << 40;  // memory, reserved
inline constexpr std::uint64_t kPages = 1 << 18;                     // of it in use
}  // namespace trace_limits

// ---- the machine

struct TraceMachine {
  CacheOptions caches;
  std::chrono::nanoseconds pin_limit{};
  std::chrono::nanoseconds device_tlb_limit{};
};
struct TraceTable {
  std::vector<std::byte> bytes;  // a firmware table; its signature says which
};
struct TraceUnit {
  std::uint64_t register_base = 0;
  std::string vendor;
  std::vector<std::uint64_t> options;
};
// Guest-physical memory that holds from here on. `host`: RAM, else a callback stands there.
struct TraceMemory {
  struct Piece {
    AddressRange<Gpa> range{};
    Permissions permissions{};
    bool host = true;
    friend bool operator==(const Piece&, const Piece&) = default;
  };
  std::vector<Piece> pieces;
};

// ---- operations

// Bytes that the operation found in memory, and that no earlier record says are there: put them
// there before its `read`th read, counted from 0.
struct TraceSeen {
  std::uint64_t read = 0;
  Gpa at{};
  std::uint8_t size = 8;  // 1…8
  std::array<std::byte, 8> bytes{};
};

// Something that came of an operation. The meaning of the numbers goes with the kind.
struct TraceEvent {
  enum class Kind : std::uint8_t {
    kInvalidation,  // unit, scope, domain, pasid + 1 or 0, requester, mask, flags, first, last,
                    // and what was removed: entries, walk entries, widened
    kUnitMsi,       // unit, address, data
    kDeviceMsi,     // requester, address, data
    kCall,          // from inside, say by a sink: what, unit, requester, words; its answer
  };
  static constexpr unsigned kKinds = 4;
  static constexpr std::size_t kMost = 12;

  Kind kind = Kind::kInvalidation;
  std::uint8_t count = 0;
  std::array<std::uint64_t, kMost> numbers{};

  friend bool operator==(const TraceEvent&, const TraceEvent&) = default;
};

// One piece of a request, and how it ended.
struct TracePiece {
  Requester requester{};
  std::optional<Pasid> pasid{};
  Iova iova{};
  std::uint64_t size = 0;
  Access access = Access::kRead;
  AddressType address_type = AddressType::kUntranslated;
  bool privileged = false;
  bool execute = false;
  PieceForm form = PieceForm::kTranslate;
  // What was answered could not be used after all: books and caller have a fault instead.
  bool refused = false;

  Outcome outcome = Outcome::kHit;
  // Unless kFaulted:
  Gpa gpa{};
  std::uint64_t length = 0;
  std::uint8_t page_lg2 = 0;
  Permissions permissions{};
  // kFaulted:
  FaultReason reason{};
  Stage stage{};
  std::uint8_t level = 0;
  std::uint16_t code = 0;
  bool recorded = false;
  std::uint64_t entry_at = 0;

  friend bool operator==(const TracePiece&, const TracePiece&) = default;
};

struct TraceCall {
  RecordedCall::What what{};
  UnitId unit{};
  Requester requester{};
  std::optional<Pasid> pasid{};
  std::array<std::uint64_t, RecordedCall::kWords> words{};
  std::vector<std::byte> data;
  RecordedAnswer answer{};
};

struct TraceOperation {
  std::uint64_t time_ns = 0;  // of the embedder's clock
  std::uint64_t reads = 0;    // of guest memory, by the units
  std::uint32_t written = 0;  // a checksum of what the units wrote there; 0: nothing
  std::variant<TracePiece, TraceCall> what;
  std::vector<TraceSeen> seen;
  std::vector<TraceEvent> events;
};

// The last record: how many operations there were, and the books.
struct TraceEnd {
  std::uint64_t operations = 0;
  std::map<std::string, std::uint64_t> books;  // by name; what is 0 may be missing
};

[[nodiscard]] std::map<std::string, std::uint64_t> books_of(const Stats& stats);

// ---- between requests and their records

[[nodiscard]] TracePiece piece_of(const Request& request, PieceForm form,
                                  const Result<Translation, Fault>& result);
[[nodiscard]] TraceEvent event_of(const TraceCall& call);
[[nodiscard]] TraceEvent event_of(UnitId unit, const iotlb::Invalidation& what,
                                  const iotlb::Removed& removed);
// A line about it, for people.
[[nodiscard]] std::string to_string(const TracePiece& piece);
[[nodiscard]] std::string to_string(const TraceEvent& event);
[[nodiscard]] std::string to_string(const TraceCall& call);

// The checksum `so_far`, with what was written there.
[[nodiscard]] std::uint32_t checksum(std::uint32_t so_far, Gpa at,
                                     std::span<const std::byte> bytes);

}  // namespace weir::replay
