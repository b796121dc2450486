// SPDX-License-Identifier: Apache-2.0
//
// Every number of a file is checked before it is used: a reader's memory and the range of an enum
// are never a file's to decide.
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "replay/trace_file.h"
#include "replay/trace_packing.h"
#include "replay/trace_records.h"

namespace weir::replay {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as words");

using namespace trace_layout;

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::size_t kMostNumberBytes = 10;
constexpr std::uint8_t kUnknown = 0xff;

// The numbers of a file, as ours.
struct Names {
  std::vector<std::uint8_t> outcomes, reasons, stages, scopes;
};

}  // namespace

struct TraceReader::State {
  State(std::string name, PackedInput from) : path(std::move(name)), input(std::move(from)) {
    buffer.resize(kBufferBytes);
    at = end = buffer.data();
  }

  // --- bytes; after the first failure everything gives 0
  void fail(std::string why) {
    if (cause.empty()) cause = std::move(why);
    at = end = buffer.data();
  }
  [[nodiscard]] bool failed() const { return !cause.empty(); }
  [[nodiscard]] std::uint64_t position() const {
    return before_buffer + static_cast<std::uint64_t>(at - buffer.data());
  }
  [[nodiscard]] std::size_t at_hand() const { return static_cast<std::size_t>(end - at); }
  // Has `size` bytes at hand, or as many as there are.
  bool have(std::size_t size) {
    while (at_hand() < size && !failed() && !at_end) {
      const std::size_t left = at_hand();
      before_buffer = position();
      std::memmove(buffer.data(), at, left);
      at = buffer.data();
      end = buffer.data() + left;
      const auto got = input.read({buffer.data() + left, buffer.size() - left});
      if (!got) {
        read_failure = got.error();
        at_end = true;  // what came before it still counts
      } else if (*got == 0) {
        at_end = true;
      } else {
        end += *got;
      }
    }
    return at_hand() >= size;
  }
  void cut_off() { fail(read_failure.empty() ? "the record is cut off" : read_failure); }
  std::uint8_t byte() {
    if (at == end && !have(1)) [[unlikely]] {
      cut_off();
      return 0;
    }
    return *at++;
  }
  std::uint64_t number() {
    if (at_hand() >= sizeof(std::uint64_t)) [[likely]] {
      if (*at < 0x80) return *at++;
      std::uint64_t word;
      std::memcpy(&word, at, sizeof word);
      // The highest bit of every byte says whether there is another; the first one without ends it.
      if (const std::uint64_t last = ~word & 0x8080808080808080; last != 0) [[likely]] {
        at += std::countr_zero(last) / 8 + 1;
        return seven_bits_of_each(word & (last - 1));
      }
    }
    return number_bytewise();
  }
  // Closes the gaps between the bytes' lower seven bits: pairs of bytes, of pairs, of fours.
  [[nodiscard]] static std::uint64_t seven_bits_of_each(std::uint64_t n) {
    n = (n & 0x7f007f007f007f00) >> 1 | (n & 0x007f007f007f007f);
    n = (n & 0x3fff00003fff0000) >> 2 | (n & 0x00003fff00003fff);
    return (n & 0x0fffffff00000000) >> 4 | (n & 0x000000000fffffff);
  }
  // Near the end of what is at hand, and of more than eight bytes.
  [[gnu::noinline]] std::uint64_t number_bytewise() {
    if (at_hand() < kMostNumberBytes) (void)have(kMostNumberBytes);
    std::uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t b = byte();
      n |= std::uint64_t{b & 0x7fU} << shift;
      if (b < 0x80) {
        if (shift == 63 && b > 1) break;
        return n;
      }
    }
    fail("a number of more than 64 bits");
    return 0;
  }
  // At most `most`.
  std::uint64_t number_up_to(std::uint64_t most, const char* what) {
    const std::uint64_t n = number();
    if (n > most) [[unlikely]]
      return too_much(n, most, what);
    return n;
  }
  [[gnu::noinline]] std::uint8_t too_much(std::uint64_t n, std::uint64_t most, const char* what) {
    fail(std::string(what) + " is " + std::to_string(n) + ", and may be at most " +
         std::to_string(most));
    return 0;
  }
  template <typename T>
  T number_of(const char* what) {
    return static_cast<T>(number_up_to(std::numeric_limits<T>::max(), what));
  }
  std::uint8_t byte_up_to(std::uint8_t most, const char* what) {
    const std::uint8_t b = byte();
    if (b > most) [[unlikely]]
      return too_much(b, most, what);
    return b;
  }
  std::uint64_t change(std::uint64_t& last) { return last += unzigzag(number()); }
  void raw(std::span<std::byte> to) {
    // In pieces that fit the buffer.
    for (std::size_t done = 0; done < to.size() && !failed();) {
      const std::size_t want = std::min(to.size() - done, kBufferBytes / 2);
      if (!have(want)) return cut_off();
      std::memcpy(to.data() + done, at, want);
      at += want;
      done += want;
    }
  }
  std::string text() {
    std::string s(number_up_to(trace_limits::kNames, "the length of a name"), '\0');
    raw(std::as_writable_bytes(std::span(s)));
    return s;
  }
  Requester requester(std::uint64_t key) {
    if (key > std::numeric_limits<std::uint32_t>::max()) fail("a requester of more than 32 bits");
    return requester_of(key);
  }
  Pasid pasid() { return {static_cast<std::uint32_t>(number_up_to(kPasidLimit - 1, "a PASID"))}; }
  // A number of ours for one of the file's.
  std::uint8_t known(const std::vector<std::uint8_t>& list, std::uint64_t n, const char* what) {
    if (n < list.size() && list[n] != kUnknown) return list[n];
    fail(std::string(what) + " " + std::to_string(n) + " has no name that is known here");
    return 0;
  }

  void read_names();
  TraceMachine machine();
  TraceTable table();
  TraceUnit unit();
  TraceMemory memory();
  TraceEnd read_end();
  void seen(Tag tag, TraceOperation& operation);
  void event(TraceOperation& operation);
  void piece(TraceOperation& operation);
  void call(TraceOperation& operation);
  void touched(TraceOperation& operation) {
    operation.reads = number();
    operation.written = number_of<std::uint32_t>("a checksum");
  }

  std::string path;
  PackedInput input;
  std::vector<std::uint8_t> buffer;
  const std::uint8_t* at = nullptr;  // what is at hand, of the buffer
  const std::uint8_t* end = nullptr;
  std::uint64_t before_buffer = 0;
  bool at_end = false;
  std::string read_failure;
  std::string cause;

  Names names;
  bool named = false;
  bool ended = false;
  std::uint64_t record_at = 0;
  std::uint64_t operations = 0;
  Previous previous;
};

void TraceReader::State::read_names() {
  const auto list = [this](std::vector<std::uint8_t>& to, std::size_t ours, auto name_of) {
    const std::uint64_t count = number_up_to(trace_limits::kNames, "the length of a list of names");
    to.assign(count, kUnknown);
    for (std::uint8_t& n : to) {
      const std::string name = text();
      for (std::size_t i = 0; i < ours; ++i)
        if (name_of(i) == name) n = static_cast<std::uint8_t>(i);
    }
  };
  list(names.outcomes, kOutcomeCount,
       [](std::size_t i) { return to_string(static_cast<Outcome>(i)); });
  list(names.reasons, static_cast<std::size_t>(FaultReason::kAddressWraps) + 1,
       [](std::size_t i) { return to_string(static_cast<FaultReason>(i)); });
  list(names.stages, static_cast<std::size_t>(Stage::kHostMap) + 1,
       [](std::size_t i) { return to_string(static_cast<Stage>(i)); });
  list(names.scopes, iotlb::kScopeCount,
       [](std::size_t i) { return to_string(static_cast<iotlb::Scope>(i)); });
  named = true;
}

TraceMachine TraceReader::State::machine() {
  constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 18;
  constexpr std::uint64_t kMostTime = std::numeric_limits<std::int64_t>::max();
  TraceMachine m;
  CacheOptions& caches = m.caches;
  caches.organisation = static_cast<CacheOptions::Organisation>(
      byte_up_to(static_cast<std::uint8_t>(CacheOptions::Organisation::kReference),
                 "the organisation of the IOTLB"));
  caches.verified = byte_up_to(1, "a flag") != 0;
  for (std::size_t* size :
       {&caches.entries, &caches.walk.stage1_tables, &caches.walk.stage2_tables,
        &caches.walk.stage2_pages, &caches.verified_entries, &caches.host_map_entries})
    *size = number_up_to(kMostEntries, "the size of a cache");
  m.pin_limit = std::chrono::nanoseconds(number_up_to(kMostTime, "a limit of time"));
  m.device_tlb_limit = std::chrono::nanoseconds(number_up_to(kMostTime, "a limit of time"));
  return m;
}

TraceTable TraceReader::State::table() {
  TraceTable t;
  t.bytes.resize(number_up_to(trace_limits::kTableBytes, "the length of a firmware table"));
  raw(t.bytes);
  return t;
}

TraceUnit TraceReader::State::unit() {
  TraceUnit u;
  u.register_base = number();
  u.vendor = text();
  const std::uint64_t count = number_up_to(trace_limits::kOptions, "the number of options");
  for (std::uint64_t i = 0; i < count && !failed(); ++i) u.options.push_back(number());
  return u;
}

TraceMemory TraceReader::State::memory() {
  TraceMemory m;
  const std::uint64_t count = number_up_to(trace_limits::kPieces, "the number of pieces of memory");
  std::uint64_t host_bytes = 0;
  for (std::uint64_t i = 0; i < count && !failed(); ++i) {
    TraceMemory::Piece piece;
    piece.range.first = Gpa(number());
    piece.range.last = Gpa(number());
    piece.permissions =
        Permissions::from_bits(byte_up_to(Permissions::kAllBits, "permissions of memory"));
    piece.host = byte_up_to(1, "a flag") != 0;
    if (piece.range.last < piece.range.first) fail("a piece of memory ends before it begins");
    if (!m.pieces.empty() && piece.range.first <= m.pieces.back().range.last)
      fail("pieces of memory overlap, or are out of order");
    const std::uint64_t size = piece.range.last - piece.range.first;
    if (piece.host &&
        (size >= trace_limits::kHostBytes || (host_bytes += size + 1) > trace_limits::kHostBytes))
      fail("more than 1 TiB of memory");
    if (!failed()) m.pieces.push_back(piece);
  }
  return m;
}

TraceEnd TraceReader::State::read_end() {
  TraceEnd e;
  e.operations = number();
  const std::uint64_t count = number_up_to(trace_limits::kNames * 4, "the number of books");
  for (std::uint64_t i = 0; i < count && !failed(); ++i) {
    std::string name = text();
    e.books[std::move(name)] = number();
  }
  if (!failed() && e.operations != operations)
    fail("the end speaks of " + std::to_string(e.operations) + " operations, and there are " +
         std::to_string(operations));
  ended = true;
  return e;
}

void TraceReader::State::seen(Tag tag, TraceOperation& operation) {
  if (operation.seen.size() == trace_limits::kPerOperation)
    return fail("an operation that sees too much");
  TraceSeen s;
  s.read = previous.seen_read += number();
  s.at = Gpa(change(previous.seen_at));
  if (tag == Tag::kSeenBytes) s.size = byte_up_to(8, "a number of bytes");
  if (s.size == 0) fail("no bytes that are seen");
  raw(std::span(s.bytes).first(s.size));
  operation.seen.push_back(s);
}

void TraceReader::State::event(TraceOperation& operation) {
  if (operation.events.size() == trace_limits::kPerOperation)
    return fail("an operation of which too much comes");
  TraceEvent e;
  e.kind = static_cast<TraceEvent::Kind>(byte_up_to(TraceEvent::kKinds - 1, "a kind of event"));
  e.count = byte_up_to(TraceEvent::kMost, "the number of numbers of an event");
  for (std::size_t i = 0; i < e.count; ++i) e.numbers[i] = number();
  if (e.kind == TraceEvent::Kind::kInvalidation)
    e.numbers[1] = known(names.scopes, e.numbers[1], "scope");
  if (e.kind == TraceEvent::Kind::kCall && e.numbers[0] >= RecordedCall::kCount)
    fail("a call of an unknown kind");
  operation.events.push_back(e);
}

void TraceReader::State::piece(TraceOperation& operation) {
  const std::uint8_t flags = byte();
  if (!std::holds_alternative<TracePiece>(operation.what)) operation.what = TracePiece{};
  TracePiece& p = std::get<TracePiece>(operation.what);
  p = {};
  if ((flags & kAccessMask) > static_cast<std::uint8_t>(Access::kReadWrite))
    return fail("an access of an unknown kind");
  p.access = static_cast<Access>(flags & kAccessMask);
  const unsigned form = flags >> kFormShift & kFormMask;
  if (form > static_cast<unsigned>(PieceForm::kQuestion))
    return fail("a request of an unknown form");
  p.form = static_cast<PieceForm>(form);
  p.refused = (flags & kRefused) != 0;
  operation.time_ns = change(previous.time);
  p.requester = requester(change(previous.requester));
  p.iova = Iova(change(previous.iova));
  p.size = number();
  if ((flags & kSpecial) != 0) {
    const std::uint8_t special = byte_up_to(0x1f, "attributes");
    p.privileged = (special & kPrivileged) != 0;
    p.execute = (special & kExecute) != 0;
    const unsigned type = special >> kTypeShift & 3U;
    if (type > static_cast<unsigned>(AddressType::kTranslated))
      return fail("an address of an unknown type");
    p.address_type = static_cast<AddressType>(type);
    if ((special & kHasPasid) != 0) p.pasid = pasid();
  }
  p.outcome = static_cast<Outcome>(known(names.outcomes, byte(), "outcome"));
  if (p.outcome == Outcome::kFaulted) {
    p.reason = static_cast<FaultReason>(known(names.reasons, byte(), "fault reason"));
    p.stage = static_cast<Stage>(known(names.stages, byte(), "stage"));
    p.level = byte();
    p.code = number_of<std::uint16_t>("a fault code");
    p.recorded = byte_up_to(1, "a flag") != 0;
    p.entry_at = number();
  } else {
    p.gpa = Gpa(change(previous.gpa));
    p.length = number();
    p.page_lg2 = byte_up_to(63, "the size of a page");
    p.permissions = Permissions::from_bits(byte_up_to(Permissions::kAllBits, "permissions"));
  }
  if ((flags & kTouched) != 0) touched(operation);
}

void TraceReader::State::call(TraceOperation& operation) {
  TraceCall c;
  c.what = static_cast<RecordedCall::What>(byte_up_to(RecordedCall::kCount - 1, "a kind of call"));
  const std::uint8_t flags = byte_up_to(0x0f, "the flags of a call");
  operation.time_ns = change(previous.time);
  c.unit = {number_of<std::uint32_t>("the number of a unit")};
  c.requester = requester(number());
  const std::uint8_t words = byte_up_to(RecordedCall::kWords, "the number of operands");
  for (std::size_t i = 0; i < words; ++i) c.words[i] = number();
  if ((flags & kCallPasid) != 0) c.pasid = pasid();
  if ((flags & kCallData) != 0) {
    c.data.resize(number_up_to(c.what == RecordedCall::What::kTransition
                                   ? trace_limits::kTransitionBytes
                                   : trace_limits::kCallBytes,
                               "the number of bytes of a call"));
    raw(c.data);
  }
  if ((flags & kCallAnswer) != 0)
    for (std::uint64_t& n : c.answer) n = number();
  if ((flags & kCallTouched) != 0) touched(operation);
  operation.what = std::move(c);
}

TraceReader::TraceReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
TraceReader::TraceReader(TraceReader&&) noexcept = default;
TraceReader& TraceReader::operator=(TraceReader&&) noexcept = default;
TraceReader::~TraceReader() = default;

Result<TraceReader, TraceError> TraceReader::open(const std::string& path) {
  auto input = PackedInput::open(path);
  if (!input) return failure(path, 0, input.error());
  return TraceReader(std::make_unique<State>(path, std::move(*input)));
}

Failure<TraceError> TraceReader::failure_here(std::string cause) const {
  return failure(state_->path, 0,
                 "byte " + std::to_string(state_->record_at) + " of what is packed, operation " +
                     std::to_string(state_->operations) + ": " + std::move(cause));
}

std::uint64_t TraceReader::operations() const { return state_->operations; }
double TraceReader::part_read() const { return state_->input.part_read(); }

Result<bool, TraceError> TraceReader::next(TraceRecord& record) {
  State& s = *state_;
  TraceOperation* operation = std::get_if<TraceOperation>(&record);
  bool gathering = false;  // what belongs to an operation has come, and the operation has not
  for (;;) {
    s.record_at = s.position();
    if (!s.have(1)) {
      if (!s.read_failure.empty()) return failure_here(s.read_failure);
      if (s.ended) return false;
      return failure_here("the trace has no end: the recording was cut off");
    }
    const std::uint8_t first = s.byte();
    if (s.ended) return failure_here("something follows the end");
    if (first < static_cast<std::uint8_t>(Tag::kNames) ||
        first > static_cast<std::uint8_t>(Tag::kEnd))
      return failure_here("no record begins with " + std::to_string(first));
    const auto tag = static_cast<Tag>(first);
    if (s.named == (tag == Tag::kNames))
      return failure_here(s.named ? "names come twice" : "names do not come first");
    const bool of_operation = tag >= Tag::kSeenWord && tag <= Tag::kPiece;
    if (gathering && !of_operation) return failure_here("an operation is missing");
    if (of_operation && !gathering) {
      if (operation == nullptr) operation = &record.emplace<TraceOperation>();
      operation->reads = 0;
      operation->written = 0;
      operation->seen.clear();
      operation->events.clear();
      s.previous.seen_read = 0;
      gathering = true;
    }
    switch (tag) {
      case Tag::kNames:
        s.read_names();
        break;
      case Tag::kMachine:
        record = s.machine();
        break;
      case Tag::kTable:
        record = s.table();
        break;
      case Tag::kUnit:
        record = s.unit();
        break;
      case Tag::kMemory:
        record = s.memory();
        break;
      case Tag::kSeenWord:
      case Tag::kSeenBytes:
        s.seen(tag, *operation);
        break;
      case Tag::kEvent:
        s.event(*operation);
        break;
      case Tag::kCall:
        s.call(*operation);
        break;
      case Tag::kPiece:
        s.piece(*operation);
        break;
      case Tag::kEnd:
        record = s.read_end();
        break;
    }
    if (s.failed()) return failure_here(s.cause);
    if (tag == Tag::kCall || tag == Tag::kPiece) ++s.operations;
    if (tag != Tag::kNames && tag != Tag::kSeenWord && tag != Tag::kSeenBytes && tag != Tag::kEvent)
      return true;
  }
}

}  // namespace weir::replay
