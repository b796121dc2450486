// SPDX-License-Identifier: Apache-2.0
//
// Tells for every answer of a unit whether it is what the tables say now (current), what they said
// before a change that no completed invalidation covers yet (legal-stale), or neither (stale). It
// knows the tables from who wrote them and the invalidations from who posted them, never from the
// unit or its caches.
//
// A tree is one set of page tables; a view is what a context entry makes of a requester. An IOTLB
// tags entries with the domain, so a tree that a context let go of may still answer for its domain.
//
// For one thread. Changes are recorded before the unit can see them, posts before they are made.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"
#include "replay/flush.h"
#include "replay/leaf_map.h"

namespace weir::replay {

enum class Freshness : std::uint8_t { kCurrent, kLegalStale, kStale };

class StaleCheck {
 public:
  // One set of page tables. Given out by the caller; must outlive its use here.
  struct Tree {
    LeafMap leaves;
  };
  // What a context entry says of a requester.
  struct View {
    enum class Kind : std::uint8_t { kAbsent, kPassThrough, kTranslated };
    Kind kind = Kind::kAbsent;
    DomainId domain{};
    Tree* tree = nullptr;  // kTranslated

    friend bool operator==(const View&, const View&) = default;
  };

  class Source;  // a requester, found once and then held
  [[nodiscard]] Source& source(Requester requester);

  // Where in the trace we are: dates the changes that follow.
  void at(std::uint64_t line) { line_ = line; }
  // The tables change.
  void set_view(Source& source, const View& view);
  void leaf_gone(DomainId domain, const MappedLeaf& leaf);

  // The guest asks for a flush; it takes hold of what changed before this call, and counts once
  // completed() has been called.
  void posted(const Flush& flush);
  // Every flush posted so far has completed.
  void completed();

  // An answer that let `access` through to `gpa`.
  struct Answer {
    Iova iova;
    Gpa gpa;
    Access access = Access::kRead;
  };
  [[nodiscard]] Freshness judge(const Source& source, const Answer& answer) const;

  // Of an answer that is legal-stale: the line of the last change without which it would be
  // current; how long ago that was is its stale window.
  [[nodiscard]] std::uint64_t changed_at(const Source& source, const Answer& answer) const;

  // Leaves that changed and have been flushed since: how many, and how many lines of the trace lay
  // between, within which a cache may answer as before.
  struct Windows {
    std::uint64_t count = 0;
    std::uint64_t lines = 0;
    std::uint64_t longest = 0;
  };
  [[nodiscard]] const Windows& windows() const { return windows_; }

  // Forgets everything: the machine was reset.
  void clear();

 private:
  struct FormerView {
    View view;
    std::uint64_t change = 0;
    std::uint64_t line = 0;
  };
  struct FormerLeaf {
    MappedLeaf leaf;
    std::uint64_t change = 0;
    std::uint64_t line = 0;
  };
  struct FormerTree {
    Tree* tree = nullptr;
    std::uint64_t change = 0;
    std::uint64_t line = 0;
  };
  // What the caches may hold of a domain besides what its trees say.
  struct Formers {
    std::vector<FormerLeaf> leaves;
    std::vector<FormerTree> trees;
  };
  struct Posted {
    Flush flush;
    std::uint64_t change = 0;  // changes up to this one are covered
  };

  void cover(const Posted& posted);
  void cover_domain(Formers& formers, const Posted& posted);
  [[nodiscard]] bool legal(const View& view, const Answer& answer) const;
  // The last change of the domain's tables that took the answer away; 0: none did.
  [[nodiscard]] std::uint64_t taken_away_at(const View& view, const Answer& answer) const;

  std::uint64_t change_ = 0;  // number of the last change
  std::uint64_t line_ = 0;
  Windows windows_;
  std::vector<Posted> posted_;
  std::unordered_map<std::uint16_t, Source> sources_;
  std::unordered_map<std::uint32_t, Formers> formers_;  // by domain; only those that have any

 public:
  class Source {
   public:
    [[nodiscard]] const View& view() const { return view_; }

   private:
    friend class StaleCheck;
    Requester requester_;
    View view_;
    std::vector<FormerView> former_;
  };
};

}  // namespace weir::replay
