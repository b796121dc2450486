// SPDX-License-Identifier: Apache-2.0
#include "replay/binary_trace.h"

#include <spdlog/fmt/fmt.h>

#include <cstring>
#include <initializer_list>

namespace weir::replay {
namespace {

template <typename Enum>
[[nodiscard]] constexpr std::uint64_t number(Enum e) {
  return static_cast<std::uint64_t>(e);
}

[[nodiscard]] std::uint64_t key_of(Requester r) { return std::uint64_t{r.segment} << 16 | r.bdf; }
[[nodiscard]] std::uint64_t key_of(std::optional<Pasid> pasid) {
  return pasid ? pasid->value + std::uint64_t{1} : 0;
}

[[nodiscard]] TraceEvent make(TraceEvent::Kind kind, std::initializer_list<std::uint64_t> numbers) {
  TraceEvent event{.kind = kind};
  for (const std::uint64_t n : numbers) event.numbers[event.count++] = n;
  return event;
}

[[nodiscard]] std::string_view name_of(PieceForm form) {
  switch (form) {
    case PieceForm::kTranslate:
      return "translate";
    case PieceForm::kRead:
      return "read";
    case PieceForm::kWrite:
      return "write";
    case PieceForm::kAtomic:
      return "atomic";
    case PieceForm::kMap:
      return "map";
    case PieceForm::kQuestion:
      return "translation request";
  }
  return "unknown";
}

[[nodiscard]] std::string_view name_of(RecordedCall::What what) {
  using What = RecordedCall::What;
  switch (what) {
    case What::kFrontDoor:
      return "register access";
    case What::kPoll:
      return "poll";
    case What::kAttach:
      return "attach";
    case What::kDetach:
      return "detach";
    case What::kBusMaster:
      return "bus master";
    case What::kResetFunction:
      return "function reset";
    case What::kReset:
      return "machine reset";
    case What::kMemory:
      return "change of memory";
    case What::kHostMapChanged:
      return "change of the host map";
    case What::kUnanswered:
      return "request that nobody answers";
    case What::kPin:
      return "pin";
    case What::kPinEnd:
      return "end of a pin";
    case What::kAtsDevice:
      return "device TLB";
    case What::kAtsQuestion:
      return "translation request";
    case What::kAtsAcknowledge:
      return "acknowledgement";
    case What::kPageRequest:
      return "page request";
    case What::kMessage:
      return "message";
    case What::kSendMsi:
      return "sent message";
    case What::kResolveMsi:
      return "question what a message becomes";
    case What::kDeclarePool:
      return "declaration of a window";
    case What::kTransition:
      return "transition";
  }
  return "unknown";
}

[[nodiscard]] std::string name_of(Requester r) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", r.segment, r.bus(), r.device(), r.function());
}

}  // namespace

std::map<std::string, std::uint64_t> books_of(const Stats& stats) {
  std::map<std::string, std::uint64_t> books;
  const auto note = [&books](std::string name, std::uint64_t n) {
    if (n != 0) books.emplace(std::move(name), n);
  };
  for (std::size_t i = 0; i < kOutcomeCount; ++i)
    note(std::string(to_string(static_cast<Outcome>(i))), stats.outcomes[i]);
  note("walks", stats.walks);
  note("references", stats.references);
  note("fills", stats.fills);
  note("refused fills", stats.refused_fills);
  note("evictions", stats.evictions);
  note("context reads", stats.context_reads);
  note("exposed", stats.exposed);
  note("waits parked", stats.waits_parked);
  note("page requests", stats.page_requests);
  note("device TLB timeouts", stats.device_tlb_timeouts);
  for (std::size_t i = 0; i < iotlb::kScopeCount; ++i) {
    const InvalidationStats& of = stats.invalidations[i];
    const std::string scope = "flush of " + std::string(to_string(static_cast<iotlb::Scope>(i)));
    note(scope + ": commands", of.commands);
    note(scope + ": leaf only", of.leaf_only);
    note(scope + ": pages covered", of.covered);
    note(scope + ": removed", of.removed);
    note(scope + ": removed walk entries", of.removed_walk_entries);
    note(scope + ": useless", of.useless);
    note(scope + ": widened", of.widened);
  }
  for (const auto& [reason, n] : stats.faults) note("fault: " + std::string(to_string(reason)), n);
  for (const auto& [code, n] : stats.fault_codes) note(fmt::format("fault code {:02x}h", code), n);
  return books;
}

TracePiece piece_of(const Request& request, PieceForm form,
                    const Result<Translation, Fault>& result) {
  TracePiece piece{.requester = request.requester,
                   .pasid = request.pasid,
                   .iova = request.iova,
                   .size = request.size,
                   .access = request.access,
                   .address_type = request.address_type,
                   .privileged = request.privileged,
                   .execute = request.execute,
                   .form = form};
  if (result) {
    piece.outcome = result->outcome;
    piece.length = result->length;
    // A message has no memory behind it, and nothing else is set.
    if (result->outcome == Outcome::kInterrupt) return piece;
    piece.gpa = result->gpa;
    piece.page_lg2 = result->page_lg2;
    piece.permissions = result->permissions;
    return piece;
  }
  const Fault& fault = result.error();
  piece.outcome = Outcome::kFaulted;
  piece.reason = fault.reason;
  piece.stage = fault.stage;
  piece.level = fault.level;
  piece.code = fault.code;
  piece.recorded = fault.recorded;
  piece.entry_at = fault.entry_at;
  return piece;
}

TraceEvent event_of(const TraceCall& call) {
  return make(TraceEvent::Kind::kCall,
              {number(call.what), call.unit.value, key_of(call.requester), call.words[0],
               call.words[1], call.words[2], call.words[3], call.answer[0]});
}

TraceEvent event_of(UnitId unit, const iotlb::Invalidation& what, const iotlb::Removed& removed) {
  const std::uint64_t flags = (what.leaf_only ? 1U : 0U) | (what.all_pasids ? 2U : 0U) |
                              (removed.widened ? 4U : 0U);
  const bool of_messages = what.is_interrupt_scope();
  return make(TraceEvent::Kind::kInvalidation,
              {unit.value, number(what.scope), what.domain.value, key_of(what.pasid),
               key_of(what.requester), what.requester_mask, flags,
               of_messages ? what.first_interrupt : what.range.first.value(),
               of_messages ? what.last_interrupt : what.range.last.value(), removed.entries,
               removed.walk_entries});
}

std::string to_string(const TracePiece& piece) {
  std::string text =
      fmt::format("{} {} of {} at {:#x}, {} bytes", name_of(piece.requester), name_of(piece.form),
                  piece.access == Access::kRead ? "a read" : "a write", piece.iova.value(),
                  piece.size);
  if (piece.pasid) text += fmt::format(", PASID {:#x}", piece.pasid->value);
  if (piece.outcome == Outcome::kFaulted)
    return text + fmt::format(": {}, code {:02x}h, level {}", to_string(piece.reason), piece.code,
                              piece.level);
  return text + fmt::format(": {}, {:#x}, {} bytes, page 2^{}, permissions {}{}",
                            to_string(piece.outcome), piece.gpa.value(), piece.length,
                            piece.page_lg2, piece.permissions.bits(),
                            piece.refused ? ", refused" : "");
}

std::string to_string(const TraceEvent& event) {
  const auto& n = event.numbers;
  switch (event.kind) {
    case TraceEvent::Kind::kInvalidation:
      return fmt::format("invalidation of {}, domain {}, {:#x}-{:#x}, {} removed",
                         to_string(static_cast<iotlb::Scope>(n[1])), n[2], n[7], n[8], n[9]);
    case TraceEvent::Kind::kUnitMsi:
      return fmt::format("interrupt of unit {}: {:#x}, {:#x}", n[0], n[1], n[2]);
    case TraceEvent::Kind::kDeviceMsi:
      return fmt::format("interrupt of device {:#x}: {:#x}, {:#x}", n[0], n[1], n[2]);
    case TraceEvent::Kind::kCall:
      return fmt::format("call from inside: {}", name_of(static_cast<RecordedCall::What>(n[0])));
  }
  return "unknown";
}

std::string to_string(const TraceCall& call) {
  std::string text(name_of(call.what));
  if (call.what == RecordedCall::What::kFrontDoor)
    return text + fmt::format(" of unit {}: {:#x} {:#x} {:#x} {:#x}", call.unit.value,
                              call.words[0], call.words[1], call.words[2], call.words[3]);
  return text + fmt::format(" of {}: {:#x} {:#x}", name_of(call.requester), call.words[0],
                            call.words[1]);
}

std::uint32_t checksum(std::uint32_t so_far, Gpa at, std::span<const std::byte> bytes) {
  // FNV-1a with 64 bits, folded; never 0, which says that nothing was written.
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t sum = 0xcbf29ce484222325 ^ so_far;
  const auto mix = [&sum](std::uint64_t n) { sum = (sum ^ n) * kPrime; };
  mix(at.value());
  for (const std::byte b : bytes) mix(static_cast<std::uint64_t>(b));
  const auto folded = static_cast<std::uint32_t>(sum ^ sum >> 32);
  return folded == 0 ? 1 : folded;
}

}  // namespace weir::replay
