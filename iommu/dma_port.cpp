// SPDX-License-Identifier: Apache-2.0
#include "iommu/dma_port.h"

#include <algorithm>
#include <atomic>

#include "iommu/core.h"

namespace weir {
namespace {

using core::make_request;
using What = RecordedCall::What;

[[nodiscard]] std::uint64_t bits_of(const DmaAttributes& a) {
  return attribute_bits(a.privileged, a.execute, a.address_type);
}

// A request that fails before anybody asks what it means.
[[nodiscard]] Failure<Fault> unanswered(DmaPort::Burst::State& burst, const Request& request,
                                        PieceForm form, FaultReason reason) {
  const RecordedScope scope(
      burst.port.core.recorder,
      {.what = What::kUnanswered,
       .requester = request.requester,
       .pasid = request.pasid,
       .words = {static_cast<std::uint64_t>(form), request.iova.value(), request.size,
                 static_cast<std::uint64_t>(request.access),
                 attribute_bits(request.privileged, request.execute, request.address_type)}});
  return Failure{core::fail(burst, request, reason)};
}

[[nodiscard]] bool wraps(Iova iova, std::uint64_t size) {
  return size != 0 && iova + (size - 1) < iova;
}

[[nodiscard]] MemoryRegion region_of(const Translation& t) {
  return {.first = t.hpa - t.target_offset,
          .size = t.target_offset + t.length,
          .host = t.host == nullptr ? nullptr : t.host - t.target_offset,
          .target = t.target,
          .permissions = t.permissions};
}

}  // namespace

// ---- Burst

DmaPort::Burst::Burst(DmaPort& port) : state_(*port.port_, port.port_->core.bursts.slot()) {
  if (state_.port.recorded) [[unlikely]]
    (state_.recorder = state_.port.core.recorder)->take_turn();
  state_.port.core.bursts.enter(state_.slot);
  state_.route = &state_.port.route();
  state_.open = &state_.port.open;
  state_.memory = &state_.port.core.memory_word();
  if (core::UnitCore* const unit = state_.route->unit; unit != nullptr) {
    state_.changes = &unit->contexts.changes_word();
    state_.iotlb = &unit->iotlb;
    (void)core::make_ready(state_);
  } else {
    state_.bypasses = state_.route->kind == core::Route::Kind::kBypass;
  }
}

DmaPort::Burst::~Burst() {
  state_.port.core.leave(state_.slot);
  if (state_.recorder != nullptr) [[unlikely]]
    state_.recorder->end_turn();
}

// ---- DmaPort

DmaPort::DmaPort(std::unique_ptr<core::Port> port) : port_(std::move(port)) {}
DmaPort::~DmaPort() {
  const RecordedScope scope(port_->core.recorder,
                            {.what = What::kDetach, .requester = port_->number()});
  port_.reset();
}

Requester DmaPort::requester() const { return port_->number(); }

Result<Translation, Fault> DmaPort::translate(Iova iova, std::uint64_t size, Access access,
                                              const DmaAttributes& attributes) {
  Burst burst(*this);
  return burst.translate(iova, size, access, attributes);
}

// Calls `copy(burst, request, translation, done)` for each piece, in order.
template <typename Copy>
Result<Done, Fault> DmaPort::transfer(Iova iova, std::uint64_t size, Access access,
                                      const DmaAttributes& attributes, Copy copy) {
  Burst burst(*this);
  const PieceForm form = writes(access) ? PieceForm::kWrite : PieceForm::kRead;
  if (wraps(iova, size))
    return unanswered(burst.state_,
                      make_request(*burst.state_.route, iova, size, access, attributes), form,
                      FaultReason::kAddressWraps);
  core::note_form(burst.state_, form);
  for (std::uint64_t done = 0; done < size;) {
    const Request request =
        make_request(*burst.state_.route, iova + done, size - done, access, attributes);
    burst.state_.completed = done;
    const auto piece = core::translate(burst.state_, request);
    if (!piece) return Failure{piece.error()};
    if (const auto copied = copy(burst, request, *piece, done); !copied) return copied;
    done += piece->length;
  }
  return Done{};
}

Result<Done, Fault> DmaPort::read(Iova iova, std::span<std::byte> to,
                                  const DmaAttributes& attributes) {
  return transfer(
      iova, to.size(), Access::kRead, attributes,
      [&](Burst& burst, const Request& request, const Translation& piece,
          std::uint64_t done) -> Result<Done, Fault> {
        if (!read_region(region_of(piece), piece.target_offset, to.subspan(done, piece.length)))
          return Failure{core::refuse(burst.state_, request, piece.outcome)};
        return Done{};
      });
}

Result<Done, Fault> DmaPort::write(Iova iova, std::span<const std::byte> from,
                                   const DmaAttributes& attributes) {
  return transfer(iova, from.size(), Access::kWrite, attributes,
                  [&](Burst& burst, const Request& request, const Translation& piece,
                      std::uint64_t done) -> Result<Done, Fault> {
                    const auto bytes = from.subspan(done, piece.length);
                    if (piece.outcome == Outcome::kInterrupt)
                      return core::deliver_interrupt(burst.state_, request, bytes);
                    if (!write_region(region_of(piece), piece.target_offset, bytes))
                      return Failure{core::refuse(burst.state_, request, piece.outcome)};
                    port_->core.memory().report_dirty(piece.gpa, piece.length);
                    return Done{};
                  });
}

// Runs `change(old) -> new` until no other write came between.
template <typename Change>
Result<std::uint64_t, Fault> DmaPort::atomic(Iova iova, const DmaAttributes& attributes,
                                             Change change) {
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  Burst burst(*this);
  const Request request =
      make_request(*burst.state_.route, iova, kWord, Access::kReadWrite, attributes);
  if (iova.value() % kWord != 0)
    return unanswered(burst.state_, request, PieceForm::kAtomic, FaultReason::kMisaligned);
  core::note_form(burst.state_, PieceForm::kAtomic);
  const auto piece = core::translate(burst.state_, request);
  if (!piece) return Failure{piece.error()};
  if (piece->length < kWord) return Failure{core::refuse(burst.state_, request, piece->outcome)};
  const MemoryRegion region = region_of(*piece);
  const auto first = load_region64(region, piece->target_offset);
  if (!first) return Failure{core::refuse(burst.state_, request, piece->outcome)};
  for (std::uint64_t old = *first;;) {
    const std::optional<std::uint64_t> desired = change(old);
    if (!desired) return old;
    const auto stored = compare_exchange_region64(region, piece->target_offset, old, *desired);
    if (!stored) return Failure{core::refuse(burst.state_, request, piece->outcome)};
    if (!*stored) continue;
    port_->core.memory().report_dirty(piece->gpa, kWord);
    return old;
  }
}

Result<std::uint64_t, Fault> DmaPort::compare_exchange(Iova iova, std::uint64_t expected,
                                                       std::uint64_t desired,
                                                       const DmaAttributes& attributes) {
  return atomic(iova, attributes, [&](std::uint64_t old) {
    return old == expected ? std::optional(desired) : std::nullopt;
  });
}

Result<std::uint64_t, Fault> DmaPort::fetch_add(Iova iova, std::uint64_t value,
                                                const DmaAttributes& attributes) {
  return atomic(iova, attributes, [&](std::uint64_t old) { return std::optional(old + value); });
}

std::optional<Translation> DmaPort::peek(Iova iova, Access access,
                                         const DmaAttributes& attributes) {
  Burst burst(*this);
  if (burst.state_.recorder != nullptr) burst.state_.recorder->on_peek();
  return core::peek(burst.state_, make_request(*burst.state_.route, iova, 1, access, attributes));
}

Result<std::unique_ptr<Listening>, std::string> DmaPort::listen(MapListener& listener) {
  if (port_->core.recorder != nullptr) return Failure{std::string("the machine is being recorded")};
  auto shadow = std::make_unique<core::Shadow>(*port_, listener);
  // A function without a unit has nothing that a guest would announce.
  if (const core::UnitCore* unit = shadow->unit()) {
    if (port_->core.caches.verified)
      return Failure{std::string("the guest's flushes are not heard of")};
    if (!unit->unit->announces_mappings())
      return Failure{std::string("guests of the function's unit do not announce mappings")};
  }
  // First, so that no change is missed; an update that comes between finds what this one would.
  port_->core.shadows.add(*shadow);
  shadow->update({.scope = iotlb::Scope::kAll}, whole_space<Iova>());
  if (shadow->lost()) return Failure{std::string("the function's tables cannot be followed")};
  return std::unique_ptr<Listening>(std::move(shadow));
}

// ---- Pins

Result<Pin, Fault> DmaPort::map(Iova iova, std::uint64_t size, Access access,
                                const DmaAttributes& attributes) {
  Burst burst(*this);
  RecordedScope scope(
      port_->core.recorder,
      {.what = What::kPin,
       .requester = burst.state_.route->requester,
       .pasid = attributes.pasid,
       .words = {iova.value(), size, static_cast<std::uint64_t>(access), bits_of(attributes)}});
  core::note_form(burst.state_, PieceForm::kMap);
  const Request whole = make_request(*burst.state_.route, iova, size, access, attributes);
  if (size == 0 || wraps(iova, size))
    return Failure{core::fail(burst.state_, whole, FaultReason::kAddressWraps)};
  core::IommuCore& core = port_->core;
  iotlb::PinRecord record;
  if (const core::UnitCore* unit = burst.state_.route->unit) record.unit = unit->id();
  record.requester = burst.state_.route->requester;
  record.range = {iova, iova + (size - 1)};
  record.translated = attributes.address_type == AddressType::kTranslated;
  record.since = core.clock.now();
  // Before anything is translated: what was dropped before this epoch began cannot be found. The
  // burst itself may be older, where it is inside another one.
  record.epoch = core.bursts.now();
  Pin pin;
  std::uint64_t context_changes = 0;
  for (std::uint64_t done = 0; done < size;) {
    const Request request =
        make_request(*burst.state_.route, iova + done, size - done, access, attributes);
    auto piece = core::translate(burst.state_, request);
    if (done == 0) context_changes = burst.state_.context_changes;
    record.several_tags |= context_changes != burst.state_.context_changes;
    if (!piece) {
      scope.answer({0, static_cast<std::uint64_t>(piece.error().reason)});
      return Failure{piece.error()};
    }
    // Nobody would tell that a pin has to end where the guest's flushes are not heard of.
    const bool unheard = burst.state_.context.coherence == iotlb::Coherence::kVerified;
    if (piece->host == nullptr || unheard)
      return Failure{
          core::refuse(burst.state_, request, piece->outcome, FaultReason::kNotPinnable)};
    record.host_ranges.push_back({piece->gpa, piece->gpa + (piece->length - 1)});
    auto& spans = pin.spans_;
    const bool adjoins = !spans.empty() && spans.back().host + spans.back().size == piece->host &&
                         spans.back().gpa + spans.back().size == piece->gpa;
    if (adjoins)
      spans.back().size += piece->length;
    else
      spans.push_back({piece->host, piece->length, piece->gpa});
    done += piece->length;
  }
  record.tag = {burst.state_.context.domain, burst.state_.context.pasid};
  pin.port_ = port_.get();
  pin.writable_ = writes(access);
  pin.id_ = core.tracker.add_pin(std::move(record));
  scope.answer({pin.id_, pin.spans_.size(), pin.spans_.front().gpa.value()});
  return pin;
}

Pin::Pin(Pin&& other) noexcept { *this = std::move(other); }

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  release();
  port_ = std::exchange(other.port_, nullptr);
  id_ = std::exchange(other.id_, 0);
  writable_ = std::exchange(other.writable_, false);
  spans_ = std::exchange(other.spans_, {});
  return *this;
}

void Pin::release() {
  if (port_ == nullptr) return;
  core::IommuCore& core = std::exchange(port_, nullptr)->core;
  const RecordedScope scope(core.recorder, {.what = What::kPinEnd, .words = {id_}});
  if (writable_) {
    auto& slot = core.bursts.slot();
    core.bursts.enter(slot);
    for (const Span& span : spans_) core.memory().report_dirty(span.gpa, span.size);
    core.leave(slot);
  }
  spans_.clear();
  core.end_pin(id_);
}

}  // namespace weir
