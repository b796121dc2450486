// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the way of a request share (translate.cpp, and beside it verified.cpp and
// absence.cpp): small questions about requests and contexts, and the landing. Private to this room.
//
// Inside a burst; takes no lock, allocates nothing, never blocks.
#pragma once

#include <algorithm>
#include <optional>

#include "base/seam.h"
#include "iommu/core.h"
#include "pagetables/word_trail.h"

namespace weir::core {

[[nodiscard]] inline bool is_plain(const Request& r) {
  return !r.pasid && r.address_type == AddressType::kUntranslated && !r.privileged && !r.execute;
}

// An interrupt request is never memory, whatever the tables say.
[[nodiscard]] inline bool is_message(const Request& r) {
  return kInterruptRange.contains(r.iova) && !r.pasid &&
         r.address_type == AddressType::kUntranslated;
}

// One that wants an answer and no memory. Its access is what it would have; less is an answer too.
[[nodiscard]] inline bool is_question(const Request& r) {
  return r.address_type == AddressType::kTranslationRequest;
}

[[nodiscard]] inline std::uint32_t pasid_tag(const Request& r) {
  return r.pasid ? r.pasid->value : iotlb::Context::kNoPasid;
}

// Bytes from `iova` on that are no interrupt request, however large the page around them.
[[nodiscard]] inline std::uint64_t left_to_interrupts(Iova iova) {
  return iova < kInterruptRange.first ? kInterruptRange.first - iova : ~std::uint64_t{0};
}

// Bytes from `iova` to the end of its page of 2^lg2, lg2 < 64.
[[nodiscard]] inline std::uint64_t left_in_page(Iova iova, unsigned lg2) {
  const std::uint64_t left = (std::uint64_t{1} << lg2) - iova.page_offset(lg2);
  return std::min(left, left_to_interrupts(iova));
}

// Who lands where, and by which way.
struct Answer {
  Gpa gpa;
  std::uint64_t limit = 0;  // where the translation ends, counted from `gpa`
  Permissions permissions;
  Outcome outcome = Outcome::kHit;
  std::uint8_t page_lg2 = 0;
};

// 8. Land: through the host map. The translation is made where it will stay and in one go: it is
// the only large thing on the way of a hit, and moving it costs more than finding it.
// `needed`: the bits of the permissions without which it is refused.
[[nodiscard]] inline std::optional<FaultReason> land(const pagetables::PhysicalMemory& memory,
                                                     unsigned needed, std::uint64_t size,
                                                     const Answer& answer, Translation& t) {
  t.outcome = answer.outcome;
  t.gpa = answer.gpa;
  t.page_lg2 = answer.page_lg2;
  const std::uint64_t longest = std::min(size, answer.limit);
  if (const pagetables::PhysicalMemory::Piece* piece = memory.find_piece(answer.gpa)) [[likely]] {
    t.permissions = answer.permissions & piece->permissions;
    const std::uint64_t inside = answer.gpa - piece->first;
    t.hpa = piece->hpa + inside;
    t.length = std::min(longest, (piece->last - answer.gpa) + 1);
    t.host = piece->host == nullptr ? nullptr : piece->host + inside;
    t.target = piece->region->target;
    t.target_offset = piece->offset + inside;
  } else {
    const Result<pagetables::Landing, FaultReason> landing = memory.resolve(answer.gpa, longest);
    if (!landing) return landing.error();
    t.permissions = answer.permissions & landing->permissions;
    t.hpa = landing->hpa;
    t.length = std::min(longest, landing->contiguous);
    t.host = landing->host();
    t.target = landing->region->target;
    t.target_offset = landing->offset;
  }
  if (!t.permissions.has(needed)) [[unlikely]]
    return FaultReason::kHostMapPermission;
  return std::nullopt;
}

[[nodiscard]] inline Result<Translation, Fault> finish(DmaPort::Burst::State& burst,
                                                       const Request& request,
                                                       const Answer& answer) {
  Result<Translation, Fault> translation{std::in_place};
  if (is_question(request)) [[unlikely]] {
    translation->outcome = answer.outcome;
    translation->gpa = answer.gpa;
    translation->length = answer.limit;
    translation->permissions = answer.permissions;
    translation->page_lg2 = answer.page_lg2;
    count(burst.slot, answer.outcome);
    return translation;
  }
  if (const auto reason = land(burst.port.core.memory(), Permissions::needed(request.access),
                               request.size, answer, *translation)) [[unlikely]] {
    translation = Failure{fail(burst, request, *reason, Stage::kHostMap)};
    return translation;
  }
  count(burst.slot, answer.outcome);
  return translation;
}

// Requests that no table translates: all that lies within reach is one piece, but for the interrupt
// range. `iova` lies within reach.
[[nodiscard]] inline Answer identity(Iova iova, Permissions rights, Outcome outcome,
                                     unsigned input_bits = 64) {
  return {.gpa = Gpa(iova.value()),
          .limit = input_bits < 64 ? left_in_page(iova, input_bits) : left_to_interrupts(iova),
          .permissions = rights,
          .outcome = outcome};
}

[[nodiscard]] inline bool is_inside(const Route& route, Iova iova) {
  return route.kind == Route::Kind::kWindow && route.window.range.contains(iova);
}

// One piece to the window's end; what goes on behind it is another piece, and a fault. `iova` lies
// inside.
[[nodiscard]] inline Answer through_window(const Window& window, Iova iova) {
  // Cannot wrap: a window has no part in the interrupt range, so it is not all there is.
  return {.gpa = window.translate(iova),
          .limit = (window.range.last - iova) + 1,
          .permissions = window.rights,
          .outcome = Outcome::kWindowed};
}

// A blocked context has a domain by accident, and must not be answered from that domain's entries.
[[nodiscard]] inline bool has_tables(const iotlb::Context& context) {
  return context.kind != iotlb::ContextKind::kBlocked &&
         context.kind != iotlb::ContextKind::kPassThrough;
}

[[nodiscard]] inline bool is_verified(const iotlb::Context& context) {
  return context.coherence == iotlb::Coherence::kVerified;
}

[[nodiscard]] inline iotlb::Tag tag_of(const iotlb::Context& context) {
  return {context.domain, WEIR_BUG(kPasidForgotten) ? iotlb::Context::kNoPasid : context.pasid};
}

[[nodiscard]] inline bool within_reach(const iotlb::Context& context, Iova iova) {
  return context.input_bits >= 64 || iova.value() >> context.input_bits == 0;
}

// Taken before a walk reads anything, for all that it may fill.
struct FillTickets {
  iotlb::FillTicket translation;
  iotlb::WalkCaches::Tickets walks;
};

// 6. Walk, and its count.
[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_counted(DmaPort::Burst::State& burst,
                                                                const Request& request,
                                                                const WalkScope& scope);
// What was walked to, on its way to the host map.
[[nodiscard]] Result<Translation, Fault> finish_walk(DmaPort::Burst::State& burst,
                                                     const Request& request,
                                                     const pagetables::Leaf<Gpa>& leaf);
void count_fill(DmaPort::Burst::State& burst, iotlb::FillResult filled);

// 5 to 8 for a context that the guest changes without telling (verified.cpp).
[[nodiscard]] Result<Translation, Fault> translate_verified(DmaPort::Burst::State& burst,
                                                            const Request& request, const Ask& ask);

// Keeps of such a context what it rests on, if the trail says all of it and the burst may use it.
void remember_words(DmaPort::Burst::State& burst, const iotlb::Context& context,
                    const pagetables::WordTrail& trail);
// The way of nearly every request where words are kept: what translate_at_once is elsewhere.
[[nodiscard]] bool verified_at_once(DmaPort::Burst::State& burst, Iova iova, std::uint64_t size,
                                    Access access, Translation& t);

// Caching mode (absence.cpp): keeps, if it may be kept, that `fault` met nothing at all.
void remember_absence(DmaPort::Burst::State& burst, const Request& request, const Fault& fault,
                      const FillTickets& tickets);
// The fault that an entry stands for which says so; nothing if it is none, or speaks of the other
// kind of access.
[[nodiscard]] std::optional<Fault> absent(const iotlb::Context& context, const Request& request,
                                          const iotlb::Hit& hit);

}  // namespace weir::core
