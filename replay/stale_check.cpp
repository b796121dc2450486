// SPDX-License-Identifier: Apache-2.0
#include "replay/stale_check.h"

#include <algorithm>

namespace weir::replay {
namespace {

[[nodiscard]] bool says(const MappedLeaf& leaf, const StaleCheck::Answer& answer) {
  return leaf.range().contains(answer.iova) && leaf.translate(answer.iova) == answer.gpa &&
         leaf.permissions.allows(answer.access);
}

[[nodiscard]] bool says(const StaleCheck::Tree& tree, const StaleCheck::Answer& answer) {
  const auto leaf = tree.leaves.find(answer.iova);
  return leaf && says(*leaf, answer);
}

[[nodiscard]] bool says(const StaleCheck::View& view, const StaleCheck::Answer& answer) {
  switch (view.kind) {
    case StaleCheck::View::Kind::kAbsent:
      return false;
    case StaleCheck::View::Kind::kPassThrough:
      return answer.gpa.value() == answer.iova.value();
    case StaleCheck::View::Kind::kTranslated:
      return says(*view.tree, answer);
  }
  return false;
}

}  // namespace

StaleCheck::Source& StaleCheck::source(Requester requester) {
  Source& found = sources_[requester.bdf];
  found.requester_ = requester;
  return found;
}

void StaleCheck::set_view(Source& source, const View& view) {
  if (source.view_ == view) return;
  ++change_;
  const View& old = source.view_;
  if (old.kind != View::Kind::kAbsent) source.former_.push_back({old, change_, line_});
  if (old.kind == View::Kind::kTranslated && old.tree != view.tree)
    formers_[old.domain.value].trees.push_back({old.tree, change_, line_});
  source.view_ = view;
}

void StaleCheck::leaf_gone(DomainId domain, const MappedLeaf& leaf) {
  formers_[domain.value].leaves.push_back({leaf, ++change_, line_});
}

void StaleCheck::posted(const Flush& flush) { posted_.push_back({flush, change_}); }

void StaleCheck::completed() {
  for (const Posted& flush : posted_) cover(flush);
  posted_.clear();
}

void StaleCheck::cover(const Posted& posted) {
  const Flush& flush = posted.flush;
  if (flush.of == Flush::Of::kTranslations) {
    if (flush.reach == Flush::Reach::kAll) {
      for (auto& [domain, formers] : formers_) cover_domain(formers, posted);
    } else if (const auto found = formers_.find(flush.domain.value); found != formers_.end()) {
      cover_domain(found->second, posted);
    }
    return;
  }
  for (auto& [bdf, source] : sources_) {
    const bool named = flush.reach != Flush::Reach::kSelective ||
                       ((bdf ^ flush.requester.bdf) & ~flush.requester_mask) == 0;
    if (!named || source.former_.empty()) continue;
    std::erase_if(source.former_, [&](const FormerView& former) {
      return former.change <= posted.change &&
             (flush.reach != Flush::Reach::kDomain || former.view.domain == flush.domain);
    });
  }
}

void StaleCheck::cover_domain(Formers& formers, const Posted& posted) {
  const bool whole = posted.flush.reach != Flush::Reach::kSelective;
  std::erase_if(formers.leaves, [&](const FormerLeaf& former) {
    if (former.change > posted.change || !former.leaf.range().overlaps(posted.flush.range))
      return false;
    const std::uint64_t lines = line_ - former.line;
    ++windows_.count;
    windows_.lines += lines;
    windows_.longest = std::max(windows_.longest, lines);
    return true;
  });
  // Pages of a tree that are flushed one by one are not kept account of: that errs towards "legal"
  // until the flush of the whole domain that a change of context obliges the guest to.
  if (whole)
    std::erase_if(formers.trees,
                  [&](const FormerTree& former) { return former.change <= posted.change; });
}

bool StaleCheck::legal(const View& view, const Answer& answer) const {
  if (says(view, answer)) return true;
  if (view.kind != View::Kind::kTranslated) return false;
  const auto found = formers_.find(view.domain.value);
  if (found == formers_.end()) return false;
  const Formers& formers = found->second;
  return std::any_of(formers.leaves.begin(), formers.leaves.end(),
                     [&](const FormerLeaf& former) { return says(former.leaf, answer); }) ||
         std::any_of(formers.trees.begin(), formers.trees.end(),
                     [&](const FormerTree& former) { return says(*former.tree, answer); });
}

Freshness StaleCheck::judge(const Source& source, const Answer& answer) const {
  if (says(source.view_, answer)) return Freshness::kCurrent;
  if (legal(source.view_, answer)) return Freshness::kLegalStale;
  for (const FormerView& former : source.former_)
    if (legal(former.view, answer)) return Freshness::kLegalStale;
  return Freshness::kStale;
}

std::uint64_t StaleCheck::taken_away_at(const View& view, const Answer& answer) const {
  std::uint64_t line = 0;
  const auto found = formers_.find(view.domain.value);
  if (view.kind != View::Kind::kTranslated || found == formers_.end()) return line;
  for (const FormerLeaf& former : found->second.leaves)
    if (says(former.leaf, answer)) line = std::max(line, former.line);
  for (const FormerTree& former : found->second.trees)
    if (says(*former.tree, answer)) line = std::max(line, former.line);
  return line;
}

std::uint64_t StaleCheck::changed_at(const Source& source, const Answer& answer) const {
  std::uint64_t line = taken_away_at(source.view_, answer);
  for (const FormerView& former : source.former_) {
    if (says(former.view, answer)) line = std::max(line, former.line);
    line = std::max(line, taken_away_at(former.view, answer));
  }
  return line;
}

void StaleCheck::clear() {
  for (auto& [bdf, source] : sources_) {
    source.view_ = {};
    source.former_.clear();
  }
  formers_.clear();
  posted_.clear();
}

}  // namespace weir::replay
