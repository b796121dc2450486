// SPDX-License-Identifier: Apache-2.0
#include "replay/played_machine.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replay/played_collector.h"
#include "replay/played_memory.h"
#include "replay/played_units.h"

namespace weir::replay {
namespace {

using What = RecordedCall::What;
using Taken = PlayedMachine::Taken;

[[nodiscard]] DmaAttributes attributes_of(std::optional<Pasid> pasid, std::uint64_t bits) {
  return {.pasid = pasid,
          .address_type = static_cast<AddressType>(bits >> 2 & 3),
          .privileged = (bits & 1) != 0,
          .execute = (bits & 2) != 0};
}

[[nodiscard]] Requester requester_of_key(std::uint64_t key) {
  return {static_cast<std::uint16_t>(key >> 16), static_cast<std::uint16_t>(key)};
}

[[nodiscard]] bool is_access(std::uint64_t n) {
  return n <= static_cast<std::uint64_t>(Access::kReadWrite);
}
[[nodiscard]] bool are_attributes(std::uint64_t n) {
  return n >> 2 <= static_cast<std::uint64_t>(AddressType::kTranslated);
}

}  // namespace

struct PlayedMachine::State {
  explicit State(std::function<void(std::string)> hears) : differs(std::move(hears)) {}

  [[nodiscard]] Taken piece(const TracePiece& piece, const TraceOperation& operation);
  [[nodiscard]] Taken call(const TraceCall& call);
  [[nodiscard]] bool answer(const TracePiece& piece, DmaPort& port);
  [[nodiscard]] DmaPort* port_of(Requester requester) {
    if (requester == latest_requester && latest_port != nullptr) return latest_port;
    auto found = ports.find(requester);
    // Requests are recorded under the number that they bear, which may be a bridge's.
    if (const auto alias = aliases.find(requester); found == ports.end() && alias != aliases.end())
      found = ports.find(alias->second);
    if (found == ports.end()) return nullptr;
    latest_requester = requester;
    return latest_port = found->second.get();
  }
  void compare(const TraceOperation& expected, bool answered_alike);
  void tell(std::string line) {
    differs(fmt::format("operation {}: {}", result.operations, line));
  }

  std::function<void(std::string)> differs;
  PlayedBack result;
  TraceMachine machine;
  bool has_machine = false;

  // In the order of their lives.
  PlayedClock clock;
  PlayedMemory memory;
  PlayedCollector collector{memory};
  std::optional<Iommu> iommu;
  std::vector<PlayedUnit> units;
  std::vector<std::string> vendors;
  std::unordered_map<Requester, std::unique_ptr<DmaPort>> ports;
  std::unordered_map<Requester, Requester> aliases;  // of one of the functions that bear it
  std::unordered_map<std::uint64_t, Pin> pins;
  std::optional<PlayedMemory::Shape> next_memory;
  Requester latest_requester{};
  DmaPort* latest_port = nullptr;
  std::vector<std::byte> bytes;  // of transfers that are refused, and of messages
  std::array<std::byte, 2> two_bytes{};
};

PlayedMachine::PlayedMachine(std::function<void(std::string)> differs)
    : state_(std::make_unique<State>(std::move(differs))) {}
PlayedMachine::~PlayedMachine() {
  // Pins and ports before the machine; nobody expects anything any more.
  static const TraceOperation kNothing{};
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

[[nodiscard]] bool same(const TracePiece& piece, const Translation& t) {
  if (piece.outcome != t.outcome || piece.length != t.length) return false;
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
  const auto translated = port.translate(p.iova, p.size, p.access, attributes);
  const bool alike =
      translated ? same(p, *translated) : same(p, translated.error());
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
  collector.begin_piece();
  const bool alike = answer(p, *port);
  collector.end_piece();
  ++result.pieces.count;
  if (p.outcome == Outcome::kFaulted) [[unlikely]]
    ++result.faults[{p.code, p.reason}];
  if (!alike) ++result.pieces.different;
  if (alike && p.refused) return Done{};
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
    if (made.reads != expected.reads || made.written != expected.written ||
        !collector.all_seen()) {
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

Taken PlayedMachine::State::call(const TraceCall& c) {
  const auto& w = c.words;
  const auto with_port = [&](auto act) -> Taken {
    DmaPort* const port = port_of(c.requester);
    if (port == nullptr)
      return Failure{std::string("a call about a function that is not attached")};
    act(*port);
    return Done{};
  };
  switch (c.what) {
    case What::kFrontDoor:
      if (c.unit.value >= units.size()) return Failure{std::string("there is no such unit")};
      return units[c.unit.value].carry_out(c);
    case What::kPoll:
      iommu->poll();
      return Done{};
    case What::kAttach: {
      Location location{.function = c.requester};
      if (c.data.size() % sizeof(Requester) != 0)
        return Failure{std::string("bridges that are cut off")};
      location.bridges.resize(c.data.size() / sizeof(Requester));
      std::copy(c.data.begin(), c.data.end(),
                std::as_writable_bytes(std::span(location.bridges)).begin());
      const Requester called = requester_of_key(w[1]);
      if (called != c.requester) location.alias = called;
      std::optional<PoolId> pool;
      if (w[0] != 0) pool = PoolId{static_cast<std::uint32_t>(w[0] - 1)};
      auto port = iommu->attach(location, pool);
      if (!port) return Failure{port.error()};
      const Requester name = (*port)->requester();
      ports[name] = std::move(*port);
      if (called != name) aliases[called] = name;
      return Done{};
    }
    case What::kDeclarePool: {
      const Window window{.range = {Iova(w[1]), Iova(w[2])},
                          .to = Gpa(w[3]),
                          .rights = Permissions::from_bits(w[4])};
      const auto declared = iommu->declare_pool(PoolId{static_cast<std::uint32_t>(w[0])}, window);
      if (!declared) return Failure{declared.error()};
      return Done{};
    }
    case What::kTransition: {
      const std::string_view line(reinterpret_cast<const char*>(c.data.data()), c.data.size());
      const auto transition = parse_transition(line);
      if (!transition) return Failure{transition.error().cause};
      (void)iommu->apply(*transition);  // refused or not: the answers are compared
      return Done{};
    }
    case What::kDetach:
      latest_port = nullptr;
      if (ports.erase(c.requester) == 0)
        return Failure{std::string("a function leaves that is not attached")};
      return Done{};
    case What::kBusMaster:
      (void)iommu->set_bus_master(c.requester, w[0] != 0);
      return Done{};
    case What::kResetFunction:
      (void)iommu->reset_function(c.requester);
      return Done{};
    case What::kReset:
      (void)iommu->reset();
      return Done{};
    case What::kMemory:
      if (!next_memory) return Failure{std::string("memory changes and nobody says to what")};
      (void)iommu->change_memory(next_memory->memory, next_memory->host_map);
      next_memory.reset();
      return Done{};
    case What::kHostMapChanged:
      if (w[1] < w[0]) return Failure{std::string("a range ends before it begins")};
      (void)iommu->host_map_changed({Gpa(w[0]), Gpa(w[1])});
      return Done{};
    case What::kUnanswered:
      if (!is_access(w[3]) || !are_attributes(w[4])) return Failure{std::string("no such request")};
      return with_port([&](DmaPort& port) {
        const DmaAttributes attributes = attributes_of(c.pasid, w[4]);
        if (w[0] == static_cast<std::uint64_t>(PieceForm::kAtomic))
          (void)port.fetch_add(Iova(w[1]), 0, attributes);
        else
          // Only that it wraps matters.
          (void)port.read(Iova(~std::uint64_t{0}), std::span(two_bytes), attributes);
      });
    case What::kPin:
      if (!is_access(w[2]) || !are_attributes(w[3])) return Failure{std::string("no such request")};
      return with_port([&](DmaPort& port) {
        auto pin = port.map(Iova(w[0]), w[1], static_cast<Access>(w[2]),
                            attributes_of(c.pasid, w[3]));
        if (pin) pins[pin->id()] = std::move(*pin);
      });
    case What::kPinEnd: {
      const auto pin = pins.find(w[0]);
      if (pin == pins.end()) {
        (void)iommu->revoke(w[0]);
        return Done{};
      }
      pin->second.release();
      pins.erase(pin);
      return Done{};
    }
    case What::kAtsDevice:
      return with_port([&](DmaPort& port) {
        port.set_ats_device(w[0] != 0 ? std::make_shared<PlayedDevice>(port, collector) : nullptr);
      });
    case What::kAtsQuestion:
      return with_port([&](DmaPort& port) {
        (void)port.request_translation(Iova(w[0]), {.pasid = c.pasid,
                                                    .no_write = w[2] != 0,
                                                    .privileged = (w[1] & 1) != 0,
                                                    .execute = (w[1] & 2) != 0});
      });
    case What::kAtsAcknowledge:
      return with_port([&](DmaPort& port) {
        (void)port.acknowledge_invalidation(static_cast<std::uint32_t>(w[0]));
      });
    case What::kPageRequest:
      return with_port([&](DmaPort& port) {
        PageRequest request{.pasid = c.pasid,
                            .page = Iova(w[0]),
                            .group = static_cast<std::uint16_t>(w[1]),
                            .last = (w[2] & 1) != 0,
                            .read = (w[2] & 2) != 0,
                            .write = (w[2] & 4) != 0,
                            .execute = (w[2] & 8) != 0,
                            .privileged = (w[2] & 16) != 0};
        if ((w[2] & 32) != 0) request.private_data = {w[3], w[4]};
        port.request_page(request);
      });
    case What::kMessage:
      return with_port([&](DmaPort& port) {
        bytes = c.data;
        if (bytes.empty() && w[1] != 0) bytes.resize(1);
        (void)port.write(Iova(w[0]), bytes);
      });
    case What::kSendMsi:
      (void)iommu->send_msi(c.requester, {w[0], static_cast<std::uint32_t>(w[1])});
      return Done{};
    case What::kResolveMsi:
      (void)iommu->resolve_msi(c.requester, w[0], static_cast<std::uint32_t>(w[1]));
      return Done{};
  }
  return Failure{std::string("no such call")};
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
