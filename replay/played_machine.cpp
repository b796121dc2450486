// SPDX-License-Identifier: Apache-2.0
#include "replay/played_machine.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replay/played_state.h"

namespace weir::replay {
namespace {

using Taken = PlayedMachine::Taken;

}  // namespace

PlayedMachine::PlayedMachine(std::function<void(std::string)> differs)
    : state_(std::make_unique<State>(std::move(differs))) {}
PlayedMachine::~PlayedMachine() {
  // Pins and ports before the machine; nobody expects anything any more.
  static const TraceOperation kNothing{};
  state_->burst.reset();
  state_->collector.expect(kNothing);
  state_->pins.clear();
  state_->ports.clear();
}

const PlayedBack& PlayedMachine::result() const { return state_->result; }
Stats PlayedMachine::stats() const { return state_->iommu ? state_->iommu->stats() : Stats{}; }
const CacheOptions& PlayedMachine::caches() const { return state_->machine.caches; }

std::string PlayedMachine::front_end() const {
  std::string text;
  for (const std::string& vendor : state_->vendors) text += (text.empty() ? "" : ", ") + vendor;
  return text.empty() ? "none: everything bypasses" : text + " (recorded)";
}

// ---- What it is made of

Taken PlayedMachine::take(const TraceMachine& machine) {
  if (std::exchange(state_->has_machine, true))
    return Failure{std::string("the machine is described twice")};
  const CacheOptions& caches = machine.caches;
  if (caches.organisation == CacheOptions::Organisation::kReference && caches.entries == 0)
    return Failure{std::string("an IOTLB without a limit is not played back")};
  state_->machine = machine;
  return Done{};
}

Taken PlayedMachine::take(const TraceMemory& memory) {
  State& s = *state_;
  if (!s.has_machine) return Failure{std::string("memory comes before its machine")};
  auto shape = s.memory.change(memory);
  if (!shape) return Failure{shape.error()};
  if (s.iommu) {
    s.next_memory = std::move(*shape);
    return Done{};
  }
  s.iommu.emplace(IommuConfig{.memory = shape->memory,
                              .host_map = shape->host_map,
                              .clock = &s.clock,
                              .caches = s.machine.caches,
                              .pin_limit = s.machine.pin_limit,
                              .device_tlb_limit = s.machine.device_tlb_limit,
                              .recorder = &s.collector});
  return Done{};
}

Taken PlayedMachine::take(const TraceTable& table) {
  State& s = *state_;
  if (!s.iommu || !s.ports.empty())
    return Failure{std::string("a firmware table at the wrong place")};
  const TableParser* parser = parser_for(table.bytes);
  if (parser == nullptr)
    return Failure{std::string("a firmware table of a kind that is not known here")};
  const auto used = s.iommu->use_tables(*parser, table.bytes);
  if (!used)
    return Failure{fmt::format("firmware table, byte {}: {}", used.error().offset,
                               used.error().cause)};
  return Done{};
}

Taken PlayedMachine::take(const TraceUnit& unit) {
  State& s = *state_;
  if (!s.iommu || s.units.size() == trace_limits::kUnits)
    return Failure{std::string("a unit at the wrong place, or one too many")};
  auto made = PlayedUnit::make(*s.iommu, unit);
  if (!made) return Failure{made.error()};
  s.units.push_back(std::move(*made));
  s.vendors.push_back(unit.vendor);
  return Done{};
}

// ---- What is done to it

namespace {

[[nodiscard]] bool is_cached(Outcome outcome) {
  return outcome == Outcome::kHit || outcome == Outcome::kWalked;
}

// But for whether the IOTLB had it.
[[nodiscard]] bool same(const TracePiece& piece, const Translation& t) {
  const bool way = piece.outcome == t.outcome || (is_cached(piece.outcome) && is_cached(t.outcome));
  if (!way || piece.length != t.length) return false;
  return t.outcome == Outcome::kInterrupt ||
         (piece.gpa == t.gpa && piece.page_lg2 == t.page_lg2 &&
          piece.permissions == t.permissions);
}

[[nodiscard]] bool same(const TracePiece& piece, const Fault& fault) {
  return piece.outcome == Outcome::kFaulted && piece.reason == fault.reason &&
         piece.stage == fault.stage && piece.level == fault.level && piece.code == fault.code &&
         piece.recorded == fault.recorded && piece.entry_at == fault.entry_at;
}

[[nodiscard]] Request request_of(const TracePiece& piece) {
  return {.requester = piece.requester,
          .pasid = piece.pasid,
          .iova = piece.iova,
          .size = piece.size,
          .access = piece.access,
          .address_type = piece.address_type,
          .privileged = piece.privileged,
          .execute = piece.execute};
}

}  // namespace

// True: it came out as recorded.
bool PlayedMachine::State::answer(const TracePiece& p, DmaPort& port) {
  const DmaAttributes attributes{.pasid = p.pasid,
                                 .address_type = p.address_type,
                                 .privileged = p.privileged,
                                 .execute = p.execute};
  if (p.refused) {
    // The answer was no use: the same way again, to the same end.
    constexpr std::uint64_t kMostBytes = 64;
    bytes.resize(std::min(p.size, kMostBytes));
    switch (p.form) {
      case PieceForm::kRead:
        return !port.read(p.iova, bytes, attributes);
      case PieceForm::kWrite:
        return !port.write(p.iova, bytes, attributes);
      case PieceForm::kAtomic:
        return !port.fetch_add(p.iova, 0, attributes);
      case PieceForm::kTranslate:
      case PieceForm::kMap:
      case PieceForm::kQuestion:
        return false;
    }
    return false;
  }
  return compare_answer(p, port.translate(p.iova, p.size, p.access, attributes));
}

bool PlayedMachine::State::compare_answer(const TracePiece& p,
                                          const Result<Translation, Fault>& translated) {
  const bool alike = translated ? same(p, *translated) : same(p, translated.error());
  if (translated && is_cached(p.outcome)) {
    ++result.hits.count;
    if (p.outcome != translated->outcome) [[unlikely]] {
      ++result.hits.different;
      tell("recorded " + to_string(p) + "; now " + std::string(to_string(translated->outcome)));
    }
  }
  if (!alike) [[unlikely]]
    tell("recorded " + to_string(p) + "; now " +
         to_string(piece_of(request_of(p), p.form, translated)));
  return alike;
}

Taken PlayedMachine::State::piece(const TracePiece& p, const TraceOperation& operation) {
  DmaPort* const port = port_of(p.requester);
  if (port == nullptr) return Failure{std::string("a request of a function that is not attached")};
  if (p.address_type == AddressType::kTranslationRequest)
    return Failure{std::string("a translation request among the pieces of transfers")};
  ++result.pieces.count;
  const bool quiet = operation.reads == 0 && operation.written == 0 && operation.seen.empty() &&
                     operation.events.empty() && !p.refused;
  if (quiet) [[likely]] {
    const auto translated = burst_of(*port).translate(
        p.iova, p.size, p.access,
        {p.pasid, p.address_type, p.privileged, p.execute});
    if (p.outcome == Outcome::kFaulted) [[unlikely]]
      ++result.faults[{p.code, p.reason}];
    if (!compare_answer(p, translated)) [[unlikely]]
      ++result.pieces.different;
    return Done{};
  }
  burst.reset();
  collector.begin_piece();
  const bool alike = answer(p, *port);
  collector.end_piece();
  if (p.outcome == Outcome::kFaulted) [[unlikely]]
    ++result.faults[{p.code, p.reason}];
  if (!alike) ++result.pieces.different;
  if (p.refused) return Done{};
  compare(operation, true);
  return Done{};
}

// What came of an operation besides its answer.
void PlayedMachine::State::compare(const TraceOperation& expected, bool answered_alike) {
  static const TraceOperation kNothing{};
  const TraceOperation& made = collector.made() == nullptr ? kNothing : *collector.made();
  if (!answered_alike) ++result.calls.different;
  if (expected.reads != 0 || expected.written != 0 || made.reads != 0 || made.written != 0) {
    ++result.memory.count;
    const bool all_seen = collector.all_seen();
    if (made.reads != expected.reads || made.written != expected.written || !all_seen) {
      ++result.memory.different;
      tell(fmt::format("recorded {} reads of guest memory and {}writes of checksum {:#x}; now {} "
                       "and {:#x}",
                       expected.reads, expected.written == 0 ? "no " : "", expected.written,
                       made.reads, made.written));
    }
  }
  const std::size_t count = std::max(expected.events.size(), made.events.size());
  for (std::size_t i = 0; i < count; ++i) {
    ++result.events.count;
    const TraceEvent* const was = i < expected.events.size() ? &expected.events[i] : nullptr;
    const TraceEvent* const is = i < made.events.size() ? &made.events[i] : nullptr;
    if (was != nullptr && is != nullptr && *was == *is) continue;
    if (was != nullptr && was->kind == TraceEvent::Kind::kCall) ++result.inner_calls;
    ++result.events.different;
    tell("recorded " + (was == nullptr ? "nothing more" : to_string(*was)) + "; now " +
         (is == nullptr ? "nothing more" : to_string(*is)));
  }
}

Taken PlayedMachine::take(const TraceOperation& operation) {
  State& s = *state_;
  if (!s.iommu) return Failure{std::string("something is done before there is a machine")};
  s.collector.expect(operation);
  s.clock.time_ns = operation.time_ns;
  s.result.seen += operation.seen.size();
  if (const auto* piece = std::get_if<TracePiece>(&operation.what)) {
    if (const auto done = s.piece(*piece, operation); !done) return done;
  } else {
    const TraceCall& call = std::get<TraceCall>(operation.what);
    s.burst.reset();
    if (const auto done = s.call(call); !done) return done;
    const TraceOperation* const heard = s.collector.made();
    const auto* const made = heard == nullptr ? nullptr : std::get_if<TraceCall>(&heard->what);
    ++s.result.calls.count;
    const bool done = made != nullptr && made->what == call.what;
    const bool alike = done && made->answer == call.answer;
    if (!done)
      s.tell(to_string(call) + ": not heard of now");
    else if (!alike)
      s.tell(fmt::format("{}: recorded answer {:#x} {:#x} {:#x}, now {:#x} {:#x} {:#x}",
                         to_string(call), call.answer[0], call.answer[1], call.answer[2],
                         made->answer[0], made->answer[1], made->answer[2]));
    s.compare(operation, alike);
  }
  ++s.result.operations;
  if (s.collector.out_of_memory())
    return Failure{std::string("more than 1 GiB of guest memory is in use")};
  return Done{};
}

Taken PlayedMachine::take(const TraceEnd& end) {
  State& s = *state_;
  const auto now = books_of(stats());
  const auto compare = [&](const std::string& name, std::uint64_t was, std::uint64_t is) {
    ++s.result.books.count;
    if (was == is) return;
    ++s.result.books.different;
    s.differs(fmt::format("books: {}: recorded {}, now {}", name, was, is));
  };
  for (const auto& [name, was] : end.books) {
    const auto found = now.find(name);
    compare(name, was, found == now.end() ? 0 : found->second);
  }
  for (const auto& [name, is] : now)
    if (!end.books.contains(name)) compare(name, 0, is);
  return Done{};
}

}  // namespace weir::replay
