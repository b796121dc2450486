// SPDX-License-Identifier: Apache-2.0
#include "replay/live_check.h"

#include <algorithm>
#include <iterator>
#include <memory>

namespace weir::replay {
namespace {

using iotlb::Context;
using iotlb::ContextKind;
using iotlb::Scope;

[[nodiscard]] std::uint64_t offset_mask(unsigned lg2) {
  return lg2 >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << lg2) - 1;
}

[[nodiscard]] std::uint32_t tag_of(const Request& request) {
  return request.pasid ? request.pasid->value : Context::kNoPasid;
}

}  // namespace

LiveCheck::Look LiveCheck::look(const Request& request) const {
  Look now;
  if (unit_ == nullptr || !memory_) return now;
  const auto context = unit_->read_context(request, *memory_);
  if (!context) return now;
  now.context = *context;
  if (context->kind == ContextKind::kPassThrough) {
    now.gpa = Gpa(request.iova.value());
    return now;
  }
  if (context->kind == ContextKind::kBlocked) return now;
  iotlb::WalkCaches none({.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0});
  const auto leaf = unit_->walk(
      *context, request,
      {.memory = *memory_, .caches = none, .tickets = none.begin_fill(context->domain)});
  const Ask ask = iotlb::ask_of(*context, request);
  if (leaf && !judge(leaf->permissions & context->rights, ask) &&
      context->rights.allows(request.access))
    now.gpa = leaf->translate(request.iova.value());
  return now;
}

const Context* LiveCheck::context_of(const Source& source, const Look& now) {
  const auto found = contexts_.find(source);
  if (found != contexts_.end()) return &found->second;
  if (!now.context) return nullptr;
  return &contexts_.emplace(source, *now.context).first->second;
}

bool LiveCheck::walked(const Context& context, Iova iova, Gpa gpa) const {
  const auto space = spaces_.find({context.domain.value, context.pasid});
  if (space == spaces_.end()) return false;
  // Page sizes that occur, a few; the map is in their order.
  const Pages& pages = space->second;
  for (auto at = pages.begin(); at != pages.end(); at = pages.lower_bound({at->first.lg2 + 1, 0})) {
    const std::uint64_t mask = offset_mask(at->first.lg2);
    const auto page = pages.find({at->first.lg2, iova.value() & ~mask});
    if (page != pages.end() &&
        std::ranges::find(page->second, gpa.value() - (iova.value() & mask)) != page->second.end())
      return true;
  }
  return false;
}

void LiveCheck::remember(const Request& request, const Translation& answer) {
  const Look now = look(request);
  const Context* const context = context_of({request.requester, tag_of(request)}, now);
  if (now.gpa != answer.gpa) ++findings_.overtaken;
  if (context == nullptr) return;
  const std::uint64_t mask = offset_mask(answer.page_lg2);
  auto& outputs = spaces_[{context->domain.value, context->pasid}]
                         [{answer.page_lg2, request.iova.value() & ~mask}];
  const std::uint64_t output = answer.gpa.value() - (request.iova.value() & mask);
  if (std::ranges::find(outputs, output) == outputs.end()) outputs.push_back(output);
}

void LiveCheck::judge_hit(const Request& request, const Translation& answer) {
  const Look now = look(request);
  ++findings_.judged;
  const Context* const context = context_of({request.requester, tag_of(request)}, now);
  if (now.gpa == answer.gpa) return;
  if (context != nullptr && walked(*context, request.iova, answer.gpa))
    ++findings_.legal_stale;
  else
    found_stale(request, answer.gpa, now);
}

void LiveCheck::judge_pass(const Request& request) {
  const Look now = look(request);
  ++findings_.judged;
  const Context* const context = context_of({request.requester, tag_of(request)}, now);
  if (now.context && now.context->kind == ContextKind::kPassThrough) return;
  if (context != nullptr && context->kind == ContextKind::kPassThrough)
    ++findings_.legal_stale;
  else
    found_stale(request, Gpa(request.iova.value()), now);
}

void LiveCheck::found_stale(const Request& request, Gpa answered, const Look& now) {
  ++findings_.stale;
  if (!findings_.first) findings_.first = {request.requester, request.iova, answered, now.gpa};
}

bool LiveCheck::agrees(const Stats& books) const {
  return std::ranges::all_of(
      std::initializer_list<Outcome>{Outcome::kBypassed, Outcome::kWindowed,
                                     Outcome::kPassedThrough, Outcome::kHit, Outcome::kWalked,
                                     Outcome::kTranslated, Outcome::kFaulted},
      [&](Outcome one) { return heard_[static_cast<std::size_t>(one)] == books.of(one); });
}

void LiveCheck::after_piece(const Request& request, PieceForm form,
                            const Result<Translation, Fault>& result) {
  last_ = result ? result->outcome : Outcome::kFaulted;
  ++heard_[static_cast<std::size_t>(*last_)];
  if (last_ == Outcome::kWalked) remember(request, *result);
  if (request.address_type == AddressType::kUntranslated) {
    if (last_ == Outcome::kHit) judge_hit(request, *result);
    // Passed by a unit that is off, it has no context.
    if (last_ == Outcome::kPassedThrough && on_ && on_()) judge_pass(request);
  }
  if (next_ != nullptr) next_->after_piece(request, form, result);
}

void LiveCheck::on_refused(const Request& request, FaultReason reason) {
  if (last_) {
    --heard_[static_cast<std::size_t>(*last_)];
    ++heard_[static_cast<std::size_t>(Outcome::kFaulted)];
  }
  if (next_ != nullptr) next_->on_refused(request, reason);
}

void LiveCheck::forget(const iotlb::Invalidation& what) {
  if (what.scope == Scope::kAll) return spaces_.clear();
  for (auto space = spaces_.lower_bound({what.domain.value, 0});
       space != spaces_.end() && space->first.first == what.domain.value;) {
    Pages& pages = space->second;
    const std::uint32_t pasid = space->first.second;
    const bool of_pasid = what.pasid && pasid == what.pasid->value;
    if (what.scope == Scope::kDomain || (what.scope == Scope::kPasid && of_pasid) ||
        // What was made through that stage as well, all of it.
        (what.scope == Scope::kStage2Range && pasid != Context::kNoPasid))
      pages.clear();
    else if (what.scope == Scope::kStage2Range ||
             (what.scope == Scope::kRange && (!what.pasid || of_pasid)))
      forget_pages(pages, what.range);
    space = pages.empty() ? spaces_.erase(space) : std::next(space);
  }
}

void LiveCheck::forget_pages(Pages& pages, const AddressRange<Iova>& range) {
  for (auto page = pages.begin(); page != pages.end();) {
    const auto& [lg2, first] = page->first;
    const bool overlaps = range.overlaps({Iova(first), Iova(first + offset_mask(lg2))});
    page = overlaps ? pages.erase(page) : std::next(page);
  }
}

void LiveCheck::forget_contexts(const iotlb::Invalidation& what) {
  std::erase_if(contexts_, [&](const auto& entry) {
    const auto& [source, context] = entry;
    switch (what.scope) {
      case Scope::kContextAll:
        return true;
      case Scope::kContextDomain:
        return context.domain == what.domain;
      case Scope::kContextPasid:
        return context.domain == what.domain && (source.second == Context::kNoPasid ||
                                                 !what.pasid || source.second == what.pasid->value);
      case Scope::kContextDevice:
        return what.matches(source.first);
      default:
        return false;
    }
  });
}

void LiveCheck::on_invalidation(UnitId unit, const iotlb::Invalidation& what,
                                const iotlb::Removed& removed) {
  if (what.is_context_scope())
    forget_contexts(what);
  else if (what.is_translation_scope())
    forget(what);
  if (next_ != nullptr) next_->on_invalidation(unit, what, removed);
}

void LiveCheck::begin(const RecordedCall& call) {
  last_.reset();
  if (call.what == RecordedCall::What::kReset) {
    contexts_.clear();
    spaces_.clear();
  }
  if (next_ != nullptr) next_->begin(call);
}

void LiveCheck::on_memory(const pagetables::PhysicalMemory& memory) {
  // Not owned: the machine says when there is another. Without a witness, so that what is read here
  // is nobody's reading.
  memory_.emplace(std::shared_ptr<const GuestMemory>(std::shared_ptr<void>(), &memory.memory()));
  if (next_ != nullptr) next_->on_memory(memory);
}

void LiveCheck::take_turn() {
  if (next_ != nullptr)
    next_->take_turn();
  else
    turn_.lock();
}
void LiveCheck::end_turn() {
  if (next_ != nullptr)
    next_->end_turn();
  else
    turn_.unlock();
}

// What only the next one wants to know.
void LiveCheck::on_config(const IommuConfig& config) {
  if (next_ != nullptr) next_->on_config(config);
}
void LiveCheck::on_table(std::span<const std::byte> table) {
  if (next_ != nullptr) next_->on_table(table);
}
void LiveCheck::on_unit(UnitId unit, std::uint64_t register_base, std::string_view vendor,
                        std::span<const std::uint64_t> options) {
  if (next_ != nullptr) next_->on_unit(unit, register_base, vendor, options);
}
void LiveCheck::on_unrecordable(std::string_view what) {
  if (next_ != nullptr) next_->on_unrecordable(what);
}
void LiveCheck::end(const RecordedAnswer& answer) {
  if (next_ != nullptr) next_->end(answer);
}
void LiveCheck::before_piece(const Request& request, PieceForm form) {
  if (next_ != nullptr) next_->before_piece(request, form);
}
void LiveCheck::on_unit_msi(UnitId unit, Msi msi) {
  if (next_ != nullptr) next_->on_unit_msi(unit, msi);
}
void LiveCheck::on_device_msi(Requester requester, Msi msi) {
  if (next_ != nullptr) next_->on_device_msi(requester, msi);
}
void LiveCheck::on_peek() {
  if (next_ != nullptr) next_->on_peek();
}
void LiveCheck::before_read(Gpa at) {
  if (next_ != nullptr) next_->before_read(at);
}
void LiveCheck::on_read(Gpa at, std::span<const std::byte> bytes) {
  if (next_ != nullptr) next_->on_read(at, bytes);
}
void LiveCheck::on_write(Gpa at, std::span<const std::byte> bytes) {
  if (next_ != nullptr) next_->on_write(at, bytes);
}

}  // namespace weir::replay
