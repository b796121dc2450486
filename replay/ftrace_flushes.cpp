// SPDX-License-Identifier: Apache-2.0
//
// The second half of FtraceReplay: what the guest asks the unit to forget, and the accesses.

#include <algorithm>
#include <iterator>
#include <utility>

#include "replay/ftrace_replay.h"

namespace weir::replay {

// ---- Flushes

FtraceReplay::Step FtraceReplay::on(const InvalidationDescriptor& descriptor) {
  if (is_scalable_descriptor(descriptor.type()) && !is_scalable())
    return Failure{std::string("the guest uses VT-d scalable mode and legacy mode in turn")};
  if (unit_.value_or(descriptor.unit) != descriptor.unit)
    return Failure{std::string("a second IOMMU, where a replay has one")};
  unit_ = descriptor.unit;
  guest_.interrupt_flushes += descriptor.type() == kInterruptDescriptor;
  guest_.device_tlb_flushes += descriptor.type() == kDeviceTlbDescriptor;
  const bool of_translations =
      descriptor.type() == kIotlbDescriptor || descriptor.type() == kPasidIotlbDescriptor;
  const bool of_contexts =
      descriptor.type() == kContextDescriptor || descriptor.type() == kPasidCacheDescriptor;
  guest_.iotlb_flushes += of_translations;
  guest_.context_flushes += of_contexts;
  if (of_translations || of_contexts) {
    if (auto done = post(descriptor); !done) return done;
    const auto flush = flush_of(descriptor);
    if (flush && flush->of == Flush::Of::kTranslations && flush->reach == Flush::Reach::kDomain)
      flushed_whole_ = flush->domain;
    if (flush && flush->of == Flush::Of::kTranslations && flush->reach != Flush::Reach::kAll &&
        flush->domain != kModelDomain && domains_.contains(kModelDomain.value)) {
      constexpr std::uint64_t kDomainField = std::uint64_t{0xffff} << 16;
      InvalidationDescriptor again = descriptor;
      again.words[0] = (again.words[0] & ~kDomainField) | std::uint64_t{kModelDomain.value} << 16;
      ++guest_.flushes_added;
      if (auto done = post(again); !done) return done;
    }
  }
  // A trace does not show waits: there is one after each run of descriptors.
  const bool more = next_ != nullptr && next_->cpu == now_->event.cpu &&
                    std::holds_alternative<InvalidationDescriptor>(next_->what);
  return more ? Step(Done{}) : complete();
}

FtraceReplay::Step FtraceReplay::post(const InvalidationDescriptor& descriptor) {
  run_batch();
  if (!driver_.post(descriptor)) {
    comparison_.take_refusal(now_->event.line, descriptor);
    return Done{};
  }
  if (const auto flush = flush_of(descriptor)) {
    check_.posted(*flush);
    posted_.push_back(*flush);
  }
  return Done{};
}

FtraceReplay::Step FtraceReplay::complete() {
  if (posted_.empty()) return Done{};
  run_batch();
  const bool completed = driver_.wait({});
  if (completed) check_.completed();
  comparison_.take_wait(now_->event.line, completed);
  const std::vector<Flush> flushes = std::exchange(posted_, {});
  for (const Flush& flush : flushes) {
    if (flush.of != Flush::Of::kTranslations) continue;
    const bool all = flush.reach == Flush::Reach::kAll;
    for (auto at = all ? domains_.begin() : domains_.find(flush.domain.value); at != domains_.end();
         ++at) {
      auto& waiting = at->second.unflushed;
      const auto covered = [&](const Unflushed& page) { return flush.range.contains(page.page); };
      std::vector<Unflushed> now;
      std::copy_if(waiting.begin(), waiting.end(), std::back_inserter(now), covered);
      std::erase_if(waiting, covered);
      for (const Unflushed& page : now) {
        ++guest_.after_flush;
        if (auto done = access(DomainId{at->first}, page.requester, page.page, Access::kRead,
                               now_->event.line);
            !done)
          return done;
      }
      if (!all) break;
    }
  }
  return Done{};
}

// ---- Accesses

void FtraceReplay::run_batch() {
  if (batch_.empty()) return;
  batch_.run();
  comparison_.take(batch_);
  batch_.clear();
}

FtraceReplay::Step FtraceReplay::access_due() {
  while (!due_.empty() && due_.begin()->first <= now_->number) {
    const Due due = due_.begin()->second;
    due_.erase(due_.begin());
    const auto who = requester_in(due.domain, due.requester);
    if (!who) return Failure{who.error()};
    const std::uint64_t pages = ((due.range.last - due.range.first) >> kPageLg2) + 1;
    const std::uint64_t taken = std::min(pages, kMostAccessesPerMap);
    guest_.left_out += pages - taken;
    guest_.after_map += taken;
    guest_.with_direction += due.access ? taken : 0;
    for (std::uint64_t i = 0; i < taken; ++i)
      if (auto done = access(due.domain, *who, due.range.first + (i << kPageLg2),
                             due.access.value_or(Access::kRead), due.line);
          !done)
        return done;
  }
  return Done{};
}

FtraceReplay::Step FtraceReplay::access(DomainId id, Requester requester, Iova iova, Access access,
                                        std::uint64_t line) {
  const auto who = function(requester);
  if (!who) return Failure{who.error()};
  // A function that went to another domain since it was noted sees that one's tables.
  const auto tables = domain((*who)->home.value_or(id));
  if (!tables) return Failure{tables.error()};
  const auto leaf = (*tables)->tables->leaves().find(iova);
  batch_.add({.device = (*who)->device,
              .source = (*who)->source,
              .line = line,
              .requester = requester,
              .iova = iova,
              .gpa = leaf ? leaf->translate(iova) : Gpa{},
              .page_lg2 = leaf ? leaf->page_lg2 : std::uint8_t{0},
              .access = access,
              .expected = leaf ? Expected::kMapped : Expected::kUnmapped});
  if (batch_.full()) run_batch();
  return Done{};
}

}  // namespace weir::replay
