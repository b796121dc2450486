// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <utility>
#include <vector>

#include "replay/trace_file.h"
#include "replay/trace_packing.h"
#include "replay/trace_records.h"

namespace weir::replay {
namespace {

using namespace trace_layout;

constexpr std::size_t kBufferBytes = std::size_t{1} << 17;

template <typename Enum>
[[nodiscard]] constexpr std::uint8_t byte_of(Enum e) {
  return static_cast<std::uint8_t>(e);
}

}  // namespace

struct TraceWriter::State {
  State(std::string name, PackedOutput to) : path(std::move(name)), output(std::move(to)) {
    buffer.reserve(kBufferBytes + 4096);
  }

  void byte(std::uint8_t b) { buffer.push_back(b); }
  void tag(Tag t) {
    if (buffer.size() >= kBufferBytes) drain();
    byte(byte_of(t));
  }
  void number(std::uint64_t n) {
    for (; n >= 0x80; n >>= 7) byte(static_cast<std::uint8_t>(n | 0x80));
    byte(static_cast<std::uint8_t>(n));
  }
  // The difference to what stood there before.
  void change(std::uint64_t& last, std::uint64_t now) {
    number(zigzag(now - std::exchange(last, now)));
  }
  void raw(std::span<const std::byte> bytes) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
    buffer.insert(buffer.end(), first, first + bytes.size());
  }
  void text(std::string_view s) {
    number(s.size());
    raw(std::as_bytes(std::span(s)));
  }
  void drain() {
    output.write(buffer);
    buffer.clear();
  }

  void names();
  void seen(const TraceSeen& seen);
  void event(const TraceEvent& event);
  void piece(const TracePiece& piece, const TraceOperation& operation);
  void call(const TraceCall& call, const TraceOperation& operation);

  std::string path;
  PackedOutput output;
  std::vector<std::uint8_t> buffer;
  Previous previous;
  std::uint64_t operations = 0;
};

// The names of what later stands as numbers, so that a reader whose numbers differ understands.
void TraceWriter::State::names() {
  tag(Tag::kNames);
  const auto list = [this](std::size_t count, auto name_of) {
    number(count);
    for (std::size_t i = 0; i < count; ++i) text(name_of(i));
  };
  list(kOutcomeCount, [](std::size_t i) { return to_string(static_cast<Outcome>(i)); });
  list(std::size_t{byte_of(FaultReason::kAddressWraps)} + 1,
       [](std::size_t i) { return to_string(static_cast<FaultReason>(i)); });
  list(std::size_t{byte_of(Stage::kHostMap)} + 1,
       [](std::size_t i) { return to_string(static_cast<Stage>(i)); });
  list(iotlb::kScopeCount, [](std::size_t i) { return to_string(static_cast<iotlb::Scope>(i)); });
}

void TraceWriter::State::seen(const TraceSeen& s) {
  tag(s.size == 8 ? Tag::kSeenWord : Tag::kSeenBytes);
  number(s.read - std::exchange(previous.seen_read, s.read));
  change(previous.seen_at, s.at.value());
  if (s.size != 8) byte(s.size);
  raw(std::span(s.bytes).first(s.size));
}

void TraceWriter::State::event(const TraceEvent& e) {
  tag(Tag::kEvent);
  byte(byte_of(e.kind));
  byte(e.count);
  for (std::size_t i = 0; i < e.count; ++i) number(e.numbers[i]);
}

void TraceWriter::State::piece(const TracePiece& p, const TraceOperation& operation) {
  const bool special = p.pasid || p.privileged || p.execute ||
                       p.address_type != AddressType::kUntranslated;
  const bool touched = operation.reads != 0 || operation.written != 0;
  tag(Tag::kPiece);
  byte(static_cast<std::uint8_t>(byte_of(p.access) | byte_of(p.form) << kFormShift |
                                 (special ? kSpecial : 0) | (p.refused ? kRefused : 0) |
                                 (touched ? kTouched : 0)));
  change(previous.time, operation.time_ns);
  change(previous.requester, key_of(p.requester));
  change(previous.iova, p.iova.value());
  number(p.size);
  if (special) {
    byte(static_cast<std::uint8_t>((p.privileged ? kPrivileged : 0) | (p.execute ? kExecute : 0) |
                                   byte_of(p.address_type) << kTypeShift |
                                   (p.pasid ? kHasPasid : 0)));
    if (p.pasid) number(p.pasid->value);
  }
  byte(byte_of(p.outcome));
  if (p.outcome == Outcome::kFaulted) {
    byte(byte_of(p.reason));
    byte(byte_of(p.stage));
    byte(p.level);
    number(p.code);
    byte(p.recorded ? 1 : 0);
    number(p.entry_at);
  } else {
    change(previous.gpa, p.gpa.value());
    number(p.length);
    byte(p.page_lg2);
    byte(p.permissions.bits());
  }
  if (!touched) return;
  number(operation.reads);
  number(operation.written);
}

void TraceWriter::State::call(const TraceCall& c, const TraceOperation& operation) {
  const bool touched = operation.reads != 0 || operation.written != 0;
  const bool answered = c.answer != RecordedAnswer{};
  tag(Tag::kCall);
  byte(byte_of(c.what));
  byte(static_cast<std::uint8_t>((touched ? kCallTouched : 0) | (c.pasid ? kCallPasid : 0) |
                                 (c.data.empty() ? 0 : kCallData) |
                                 (answered ? kCallAnswer : 0)));
  change(previous.time, operation.time_ns);
  number(c.unit.value);
  number(key_of(c.requester));
  std::size_t words = c.words.size();
  while (words != 0 && c.words[words - 1] == 0) --words;
  byte(static_cast<std::uint8_t>(words));
  for (std::size_t i = 0; i < words; ++i) number(c.words[i]);
  if (c.pasid) number(c.pasid->value);
  if (!c.data.empty()) {
    number(c.data.size());
    raw(c.data);
  }
  if (answered)
    for (const std::uint64_t n : c.answer) number(n);
  if (!touched) return;
  number(operation.reads);
  number(operation.written);
}

TraceWriter::TraceWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
TraceWriter::TraceWriter(TraceWriter&&) noexcept = default;
TraceWriter& TraceWriter::operator=(TraceWriter&&) noexcept = default;
TraceWriter::~TraceWriter() = default;

Result<TraceWriter, TraceError> TraceWriter::create(const std::string& path) {
  auto output = PackedOutput::create(path);
  if (!output) return failure(path, 0, output.error());
  auto state = std::make_unique<State>(path, std::move(*output));
  state->names();
  return TraceWriter(std::move(state));
}

void TraceWriter::write(const TraceMachine& machine) {
  State& s = *state_;
  const CacheOptions& caches = machine.caches;
  s.tag(Tag::kMachine);
  s.byte(byte_of(caches.organisation));
  s.byte(caches.verified ? 1 : 0);
  for (const std::uint64_t n :
       {std::uint64_t{caches.entries}, std::uint64_t{caches.walk.stage1_tables},
        std::uint64_t{caches.walk.stage2_tables}, std::uint64_t{caches.walk.stage2_pages},
        std::uint64_t{caches.verified_entries}, std::uint64_t{caches.host_map_entries},
        static_cast<std::uint64_t>(machine.pin_limit.count()),
        static_cast<std::uint64_t>(machine.device_tlb_limit.count())})
    s.number(n);
}

void TraceWriter::write(const TraceTable& table) {
  state_->tag(Tag::kTable);
  state_->number(table.bytes.size());
  state_->raw(table.bytes);
}

void TraceWriter::write(const TraceUnit& unit) {
  state_->tag(Tag::kUnit);
  state_->number(unit.register_base);
  state_->text(unit.vendor);
  state_->number(unit.options.size());
  for (const std::uint64_t n : unit.options) state_->number(n);
}

void TraceWriter::write(const TraceMemory& memory) {
  state_->tag(Tag::kMemory);
  state_->number(memory.pieces.size());
  for (const TraceMemory::Piece& piece : memory.pieces) {
    state_->number(piece.range.first.value());
    state_->number(piece.range.last.value());
    state_->byte(piece.permissions.bits());
    state_->byte(piece.host ? 1 : 0);
  }
}

void TraceWriter::write(const TraceOperation& operation) {
  State& s = *state_;
  s.previous.seen_read = 0;
  for (const TraceSeen& seen : operation.seen) s.seen(seen);
  for (const TraceEvent& event : operation.events) s.event(event);
  if (const auto* piece = std::get_if<TracePiece>(&operation.what))
    s.piece(*piece, operation);
  else
    s.call(std::get<TraceCall>(operation.what), operation);
  ++s.operations;
}

void TraceWriter::flush() {
  state_->drain();
  state_->output.flush();
}

Result<Done, TraceError> TraceWriter::finish(const std::map<std::string, std::uint64_t>& books) {
  State& s = *state_;
  s.tag(Tag::kEnd);
  s.number(s.operations);
  s.number(books.size());
  for (const auto& [name, n] : books) {
    s.text(name);
    s.number(n);
  }
  s.drain();
  if (const auto closed = s.output.close(); !closed) return failure(s.path, 0, closed.error());
  return Done{};
}

}  // namespace weir::replay
