// SPDX-License-Identifier: Apache-2.0
//
// The way of a request, in the order of docs/request-path.md. Runs inside a burst; takes no lock,
// allocates nothing on a hit, and never blocks.
#include "base/seam.h"
#include "iommu/core.h"
#include "iommu/pipeline.h"

namespace weir::core {
namespace {

using iotlb::Context;
using iotlb::ContextKind;
using pagetables::PhysicalMemory;
using State = DmaPort::Burst::State;

[[nodiscard]] Result<Translation, Fault> pass(State& burst, const Request& request, Outcome outcome,
                                              Permissions rights, unsigned input_bits = 64) {
  return finish(burst, request, identity(request.iova, rights, outcome, input_bits));
}

// The routes that no unit has a say in. What is not plain about a request makes no difference here:
// there are no tables that could tell.
[[nodiscard]] Result<Translation, Fault> translate_without_unit(State& burst,
                                                                const Request& request) {
  const Route& route = *burst.route;
  if (route.kind == Route::Kind::kBypass)
    return pass(burst, request, Outcome::kBypassed, Permissions::read_write());
  if (route.kind != Route::Kind::kWindow)
    return Failure{fail(burst, request, FaultReason::kDetached)};
  if (!is_inside(route, request.iova))
    return Failure{fail(burst, request, FaultReason::kOutsideWindow)};
  if (!route.window.rights.allows(request.access))
    return Failure{fail(burst, request,
                        reads(request.access) && !route.window.rights.can_read()
                            ? FaultReason::kNoReadPermission
                            : FaultReason::kNoWritePermission)};
  return finish(burst, request, through_window(route.window, request.iova));
}

// What follows from the context that the burst has.
void draw_conclusions(State& burst) {
  if (WEIR_BUG(kRightsForgotten)) burst.context.rights = Permissions::read_write();
  const Context& context = burst.context;
  const bool ready = burst.context_pasid == Context::kNoPasid && has_tables(context) &&
                     !context.privileged && !is_verified(context);
  burst.ready_changes = ready ? burst.context_changes : 0;
  burst.last_input =
      context.input_bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << context.input_bits) - 1;
}

// Makes what was found the burst's own.
void adopt(State& burst, const PortContext& found) {
  static_cast<PortContext&>(burst) = found;
  draw_conclusions(burst);
}

// 4. Context: the burst's own copy, the route's, the unit's, or the guest's structures; whichever
// is the first that is still good. Afterwards the burst has it under `changes`, which were read
// before anything it rests on.
[[nodiscard]] std::optional<Fault> refresh_context(State& burst, const Request& request,
                                                   std::uint64_t changes) {
  UnitCore& unit = *burst.route->unit;
  PortContext found{.context_changes = changes, .context_pasid = pasid_tag(request)};
  // Of a verified one nothing is kept to be found.
  const bool anew = burst.port.core.caches.verified || is_verified(burst.context);
  if (const auto mine = anew ? std::nullopt : burst.route->context.read();
      mine && mine->context_changes == changes && mine->context_pasid == found.context_pasid) {
    adopt(burst, *mine);
    return std::nullopt;
  }
  bool current = true;
  if (const auto cached =
          anew ? std::nullopt : unit.contexts.find(burst.route->requester, found.context_pasid)) {
    found.context = *cached;
  } else {
    count(burst.slot, Count::kContextReads);
    burst.words.count = 0;
    pagetables::WordTrail trail;
    const auto read = anew ? unit.unit->trace_context(request, burst.port.core.memory(), trail)
                           : unit.unit->read_context(request, burst.port.core.memory());
    if (!read) {
      burst.context_changes = burst.ready_changes = 0;
      return read.error();
    }
    found.context = *read;
    if (burst.port.core.caches.verified) found.context.coherence = iotlb::Coherence::kVerified;
    // A verified one is read anew for every request: that is how it is compared.
    current = !is_verified(found.context) && unit.contexts.fill(changes, burst.route->requester,
                                                                found.context_pasid, found.context);
    if (anew && found.context_pasid == Context::kNoPasid)
      remember_words(burst, found.context, trail);
  }
  if (has_tables(found.context) && !is_verified(found.context))
    found.key = unit.iotlb.key_for(tag_of(found.context));
  if (current) burst.route->context.write(found);
  adopt(burst, found);
  return std::nullopt;
}

[[nodiscard]] bool context_is_current(const State& burst, const Request& request,
                                      std::uint64_t changes) {
  return burst.context_changes == changes && burst.context_pasid == pasid_tag(request) &&
         !is_verified(burst.context);
}

// L10: whether the requester's own rights deny it, whatever any table says.
[[nodiscard]] std::optional<Denial> denied_by_rights(const Context& context, const Ask& ask) {
  return judge(context.rights,
               {.access = ask.access, .execute = ask.execute, .privileged = ask.privileged});
}

// Walks for a translation request: for reading, or else for writing; and once more if the answer is
// to allow writes and a dirty bit stands in the way.
[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_for_device(UnitCore& unit,
                                                                   const Context& context,
                                                                   const Request& request,
                                                                   const WalkScope& scope) {
  Request piece = request;
  piece.access = Access::kRead;
  auto leaf = unit.unit->walk(context, piece, scope);
  if (!writes(request.access)) return leaf;
  const bool only_writable = !leaf && leaf.error().reason == FaultReason::kNoReadPermission;
  if (!only_writable && (!leaf || !leaf->permissions.can_write() || !leaf->dirty_owed)) return leaf;
  piece.access = Access::kWrite;
  auto again = unit.unit->walk(context, piece, scope);
  const std::uint32_t before = leaf ? leaf->references : leaf.error().references;
  (again ? again->references : again.error().references) += before;
  if (again || only_writable) return again;
  leaf->references = again.error().references;
  leaf->permissions = leaf->permissions.without_write();
  return leaf;
}

}  // namespace

// 6. Walk.
Result<pagetables::Leaf<Gpa>, Fault> walk_counted(State& burst, const Request& request,
                                                  const WalkScope& scope) {
  UnitCore& unit = *burst.route->unit;
  count(burst.slot, Count::kWalks);
  auto leaf = is_question(request) ? walk_for_device(unit, burst.context, request, scope)
                                   : unit.unit->walk(burst.context, request, scope);
  count(burst.slot, Count::kReferences, leaf ? leaf->references : leaf.error().references);
  return leaf;
}

Result<Translation, Fault> finish_walk(State& burst, const Request& request,
                                       const pagetables::Leaf<Gpa>& leaf) {
  const Context& context = burst.context;
  // The vendor's walk has judged it by the same ask; this one is for all vendors.
  if (const auto denial = judge(leaf.permissions, iotlb::ask_of(context, request));
      denial && !is_question(request)) [[unlikely]]
    return Failure{give_up(burst, burst.route->unit->unit->deny(context, request, *denial))};
  // A write with privilege may need no permission to write.
  const Permissions allowed = writes(request.access) && !is_question(request)
                                  ? leaf.permissions.with_write()
                                  : leaf.permissions;
  return finish(burst, request,
                {.gpa = leaf.translate(request.iova.value()),
                 .limit = left_in_page(request.iova, leaf.page_lg2),
                 .permissions = allowed & context.rights,
                 .outcome = Outcome::kWalked,
                 .page_lg2 = leaf.page_lg2});
}

void count_fill(State& burst, iotlb::FillResult filled) {
  switch (filled) {
    case iotlb::FillResult::kEvicted:
      count(burst.slot, Count::kEvictions);
      [[fallthrough]];
    case iotlb::FillResult::kFilled:
    case iotlb::FillResult::kReplaced:
      count(burst.slot, Count::kFills);
      break;
    case iotlb::FillResult::kRefused:
      count(burst.slot, Count::kRefusedFills);
      break;
    case iotlb::FillResult::kNotKept:
      break;
  }
}

namespace {

// 6. Walk and 7. Fill. Nothing is left behind if something that covers it was dropped since
// `tickets`.
[[nodiscard, gnu::noinline]] Result<Translation, Fault> walk_and_fill(State& burst,
                                                                      const Request& request,
                                                                      const FillTickets& tickets) {
  UnitCore& unit = *burst.route->unit;
  const auto leaf =
      walk_counted(burst, request, {burst.port.core.memory(), unit.walk_caches, tickets.walks});
  if (!leaf) {
    remember_absence(burst, request, leaf.error(), tickets);
    return Failure{give_up(burst, leaf.error())};
  }
  WEIR_SEAM(kWalked);
  const std::uint8_t lg2 = leaf->page_lg2;
  count_fill(burst, unit.iotlb.fill(burst.key, tickets.translation,
                                    {.page = request.iova.page_base(lg2),
                                     .output = leaf->page.value(),
                                     .page_lg2 = lg2,
                                     .permissions = leaf->cacheable()}));
  return finish_walk(burst, request, *leaf);
}

}  // namespace

// 9. Fault: what the vendor found. The request of the fault is the piece that met it.
Fault give_up(State& burst, Fault fault) {
  fault.completed = burst.completed;
  count(burst.slot, Outcome::kFaulted);
  burst.port.core.report(burst.route->unit, fault);
  return fault;
}

Fault fail(State& burst, const Request& request, FaultReason reason, Stage stage) {
  const Fault fault{
      .request = request, .reason = reason, .stage = stage, .completed = burst.completed};
  count(burst.slot, Outcome::kFaulted);
  burst.port.core.report(nullptr, fault);
  return fault;
}

Fault refuse(State& burst, const Request& request, Outcome booked, FaultReason reason) {
  if (burst.recorder != nullptr) burst.recorder->on_refused(request, reason);
  uncount(burst.slot, booked);
  const bool memory = booked != Outcome::kInterrupt;
  return fail(burst, request, reason, memory ? Stage::kHostMap : Stage::kNone);
}

bool make_ready(State& burst) {
  const UnitCore& unit = *burst.route->unit;
  // The number before the mode: a change of the mode moves it (UnitCore::set_mode).
  const std::uint64_t changes = unit.contexts.changes();
  if (unit.mode() == UnitMode::kOff) return false;
  // Straight to where it stays. What is not whole, or old, is none.
  if (!burst.route->context.read_into(burst)) burst.context_changes = 0;
  if (burst.context_changes != changes) {
    burst.ready_changes = 0;
    return false;
  }
  draw_conclusions(burst);
  return burst.ready_changes == changes;
}

namespace {

// The way of nearly every request: steps 1 to 5 and 8, where nothing has to be said or done. What
// is not plain, not allowed, or not found here goes the whole way below, which asks it all again.
[[nodiscard]] inline bool translate_at_once(State& burst, Iova iova, std::uint64_t size,
                                            Access access, Translation& t) {
  Port& port = burst.port;
  // Acquire: as in translate.
  if (!port.open.load(std::memory_order_acquire) || kInterruptRange.contains(iova)) [[unlikely]]
    return false;
  const Route& route = *burst.route;
  Answer answer;
  if (UnitCore* const unit = route.unit; unit != nullptr) {
    if (burst.ready_changes != unit->contexts.changes() && !make_ready(burst)) [[unlikely]]
      return false;
    if (iova.value() > burst.last_input) [[unlikely]]
      return false;
    const auto hit = unit->iotlb.lookup(burst.key, iova);
    if (!hit) [[unlikely]]
      return false;
    answer = {.gpa = Gpa(hit->output),
              .limit = left_in_page(iova, hit->page_lg2),
              .permissions = hit->permissions & burst.context.rights,
              .outcome = Outcome::kHit,
              .page_lg2 = hit->page_lg2};
  } else if (route.kind == Route::Kind::kBypass) [[likely]] {
    answer = identity(iova, Permissions::read_write(), Outcome::kBypassed);
  } else if (is_inside(route, iova)) [[likely]] {
    answer = through_window(route.window, iova);
  } else {
    return false;
  }
  if (land(port.core.memory(), Permissions::needed_by_user(access), size, answer, t)) [[unlikely]]
    return false;
  count(burst.slot, answer.outcome);
  return true;
}

// All of them, but for the question in front whether the function may ask.
[[nodiscard, gnu::always_inline]] inline Result<Translation, Fault> translate_asked(
    State& burst, const Request& request) {
  Port& port = burst.port;
  // 3. Classify what no route changes: an interrupt request is never memory.
  if (is_message(request)) [[unlikely]] {
    if (request.access != Access::kWrite)
      return Failure{fail(burst, request, FaultReason::kInterruptMalformed)};
    Translation message;
    message.outcome = Outcome::kInterrupt;
    message.length = request.size;
    count(burst.slot, Outcome::kInterrupt);
    return message;
  }

  // 2. Route.
  UnitCore* const unit = burst.route->unit;
  if (unit == nullptr) return translate_without_unit(burst, request);

  constexpr int kAttempts = 3;
  for (int attempt = 0;; ++attempt) {
    // The number before the mode, which moves it: a context that was obtained under it is used only
    // while translation is on.
    const std::uint64_t changes = unit->contexts.changes();
    if (unit->mode() == UnitMode::kOff)
      return pass(burst, request, Outcome::kPassedThrough, Permissions::read_write());
    // 4. Context.
    if (!context_is_current(burst, request, changes))
      if (const auto fault = refresh_context(burst, request, changes))
        return Failure{give_up(burst, *fault)};
    const Context& context = burst.context;
    if (!is_plain(request)) [[unlikely]]
      if (const auto fault = unit->unit->check(context, request))
        return Failure{give_up(burst, *fault)};
    const Ask ask = iotlb::ask_of(context, request);
    if (context.kind != ContextKind::kBlocked && !is_question(request))
      if (const auto denial = denied_by_rights(context, ask)) [[unlikely]]
        return Failure{give_up(burst, unit->unit->deny(context, request, *denial))};
    if (request.address_type == AddressType::kTranslated) [[unlikely]] {
      // Acquire: pairs with DeviceTlbs::take_silent, whose wait counts on bursts of its epoch
      // seeing it.
      if (port.untrusted->load(std::memory_order_acquire))
        return Failure{fail(burst, request, FaultReason::kRequestTypeBlocked)};
      return pass(burst, request, Outcome::kTranslated, context.rights);
    }
    if (context.kind == ContextKind::kPassThrough && within_reach(context, request.iova))
      return pass(burst, request, Outcome::kPassedThrough, context.rights, context.input_bits);

    if (is_verified(context) && has_tables(context)) [[unlikely]]
      return translate_verified(burst, request, ask);

    // 5. IOTLB. An entry that does not allow the access is no answer: the tables may allow it by
    // now, and if not, the fault must be recorded. Nor is one that only privilege lets through
    // (write_protect): the page may have a dirty bit to set.
    if (has_tables(context) && within_reach(context, request.iova))
      if (const auto hit = unit->iotlb.lookup(burst.key, request.iova)) {
        if (!judge(hit->permissions, ask) && hit->permissions.allows(request.access)) [[likely]]
          return finish(burst, request,
                        {.gpa = Gpa(hit->output),
                         .limit = left_in_page(request.iova, hit->page_lg2),
                         .permissions = hit->permissions & context.rights,
                         .outcome = Outcome::kHit,
                         .page_lg2 = hit->page_lg2});
        if (const auto nothing = absent(context, request, *hit)) [[unlikely]]
          return Failure{give_up(burst, *nothing)};
      }

    WEIR_SEAM(kContextRead);
    // The tickets first, then the context again: a context that was dropped before they were taken
    // must not be walked into an entry (L2). What took its place may ask for no walk at all, so it
    // begins where contexts begin.
    FillTickets tickets{unit->iotlb.begin_fill(burst.key),
                        unit->walk_caches.begin_fill(context.domain)};
    if (!WEIR_BUG(kContextNotAskedAgain) &&
        !context_is_current(burst, request, unit->contexts.changes())) {
      if (attempt < kAttempts) continue;
      // Contexts change faster than we read: do not fill.
      tickets = {iotlb::kNoFill, {iotlb::kNoFill, iotlb::kNoFill, iotlb::kNoFill}};
    }
    // 6 to 8, or 9.
    return walk_and_fill(burst, request, tickets);
  }
}

// One that may not ask, or is being recorded.
[[nodiscard, gnu::noinline]] Result<Translation, Fault> translate_closed(State& burst,
                                                                         const Request& request) {
  Recorder* const recorder = burst.recorder;
  if (recorder != nullptr) recorder->before_piece(request, burst.form);
  // Acquire: as in translate.
  auto result =
      burst.port.bus_master.load(std::memory_order_acquire)
          ? translate_asked(burst, request)
          : Result<Translation, Fault>(Failure{fail(burst, request, FaultReason::kBusMasterOff)});
  if (recorder != nullptr) recorder->after_piece(request, burst.form, result);
  return result;
}

}  // namespace

Result<Translation, Fault> translate(State& burst, const Request& request) {
  // 1. The function asks.
  // Acquire: pairs with set_bus_master, whose drain counts on bursts of its epoch seeing it.
  if (!burst.port.open.load(std::memory_order_acquire)) [[unlikely]]
    return translate_closed(burst, request);
  return translate_asked(burst, request);
}

std::optional<Translation> peek(State& burst, const Request& request) {
  Port& port = burst.port;
  const Route& route = *burst.route;
  UnitCore* const unit = route.unit;
  const PhysicalMemory& memory = port.core.memory();
  const auto land_at = [&](const Answer& answer) {
    std::optional<Translation> translation(std::in_place);
    if (land(memory, Permissions::needed(request.access), request.size, answer, *translation))
      translation.reset();
    return translation;
  };
  const auto as_it_is = [&](Outcome outcome, Permissions rights = Permissions::read_write()) {
    Answer answer = identity(request.iova, rights, outcome);
    answer.limit = ~std::uint64_t{0};
    return land_at(answer);
  };
  // Acquire: as in translate().
  if (!port.bus_master.load(std::memory_order_acquire)) return std::nullopt;
  if (is_message(request)) return std::nullopt;
  if (route.kind == Route::Kind::kBypass) return as_it_is(Outcome::kBypassed);
  if (is_inside(route, request.iova)) return land_at(through_window(route.window, request.iova));
  if (unit == nullptr) return std::nullopt;
  if (unit->mode() == UnitMode::kOff) return as_it_is(Outcome::kPassedThrough);
  const auto context = unit->unit->read_context(request, memory);
  if (!context) return std::nullopt;
  if (!is_plain(request) && unit->unit->check(*context, request)) return std::nullopt;
  const Ask ask = iotlb::ask_of(*context, request);
  if (context->kind != ContextKind::kBlocked && denied_by_rights(*context, ask))
    return std::nullopt;
  if (request.address_type == AddressType::kTranslated)
    return as_it_is(Outcome::kTranslated, context->rights);
  if (context->kind == ContextKind::kPassThrough && within_reach(*context, request.iova))
    return as_it_is(Outcome::kPassedThrough, context->rights);
  iotlb::WalkCaches no_caches({.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0});
  const auto leaf =
      unit->unit->walk(*context, request, {memory, no_caches, {}, pagetables::Trace::kNone});
  if (!leaf || judge(leaf->permissions, ask)) return std::nullopt;
  return land_at({.gpa = leaf->translate(request.iova.value()),
                  .limit = left_in_page(request.iova, leaf->page_lg2),
                  .permissions = (writes(request.access) ? leaf->permissions.with_write()
                                                         : leaf->permissions) &
                                 context->rights,
                  .outcome = Outcome::kWalked,
                  .page_lg2 = leaf->page_lg2});
}

}  // namespace weir::core

namespace weir {

// Here instead of dma_port.cpp, so that a hit is one function from end to end.
Result<Translation, Fault> DmaPort::Burst::translate_otherwise(Iova iova, std::uint64_t size,
                                                               Access access) {
  Result<Translation, Fault> translation{std::in_place};
  const bool done = state_.words.count != 0
                        ? core::verified_at_once(state_, iova, size, access, *translation)
                        : core::translate_at_once(state_, iova, size, access, *translation);
  if (!done) [[unlikely]]
    translation =
        core::translate(state_, core::make_request(*state_.route, iova, size, access, kPlainDma));
  return translation;
}

Result<Translation, Fault> DmaPort::Burst::translate(Iova iova, std::uint64_t size, Access access,
                                                     const DmaAttributes& attributes) {
  const bool plain = !attributes.pasid && attributes.address_type == AddressType::kUntranslated &&
                     !attributes.privileged && !attributes.execute;
  if (plain) return translate(iova, size, access);
  return core::translate(state_, core::make_request(*state_.route, iova, size, access, attributes));
}

}  // namespace weir
