// SPDX-License-Identifier: Apache-2.0
//
// Walks with a memory: the adapters between the walk of pagetables/ and the caches of iotlb/, which
// know nothing of each other. A vendor's walk makes one for each stage it walks.
//
// Objects live for one walk on one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "iotlb/walk_caches.h"
#include "pagetables/readers.h"
#include "pagetables/walk.h"

namespace weir {

// Where the tables of one stage lie, as far as earlier walks found them. `Format` says how much of
// the input a table covers.
template <pagetables::RadixFormat Format, typename Space>
class CachedTables {
 public:
  CachedTables(iotlb::TableCache& cache, iotlb::Tag tag, iotlb::FillTicket ticket)
      : cache_(cache), tag_(tag), ticket_(ticket) {}
  // Of stage 1 over a CachedStage2 that has the same caches and tickets.
  CachedTables(iotlb::WalkCaches& caches, iotlb::Tag tag, const iotlb::WalkCaches::Tickets& tickets)
      : cache_(caches.stage1_tables),
        tag_(tag),
        ticket_(tickets.stage1_tables),
        below_(tickets.stage2_pages),
        keeps_below_(!caches.stage2_pages.off()) {}

  // Without a cache a walk need not keep what it finds.
  [[nodiscard, gnu::always_inline]] bool off() const { return cache_.off(); }
  [[nodiscard, gnu::always_inline]] bool find(std::uint64_t input,
                                              pagetables::KnownTable<Space>& known) {
    iotlb::WalkHit hit;
    if (!cache_.lookup(tag_, input, hit)) return false;
    const bool good = keeps_below_ && hit.pointer.ticket.sequence == below_.sequence;
    known.table = Space(hit.output);
    known.level = level_of(hit.page_lg2);
    known.permissions = hit.permissions;
    known.below = good ? hit.pointer.to : pagetables::kNotKnown;
    return true;
  }
  void store(std::uint64_t input, const pagetables::KnownTable<Space>& known) {
    const unsigned lg2 = pagetables::level_shift<Format>(known.level + 1U);
    if (lg2 >= 64) return;
    iotlb::Pointer pointer;
    if (keeps_below_) pointer = {known.below, below_};
    (void)cache_.fill(ticket_,
                      {.tag = tag_,
                       .page = Iova(input).page_base(lg2),
                       .output = known.table.value(),
                       .page_lg2 = static_cast<std::uint8_t>(lg2),
                       .permissions = known.permissions},
                      pointer);
  }

 private:
  static_assert(iotlb::Pointer::kNone == pagetables::kNotKnown);
  // The inverse of store's choice: a table of `level` covers 2^level_shift(level + 1).
  [[nodiscard]] static constexpr std::uint8_t level_of(unsigned lg2) {
    return static_cast<std::uint8_t>((lg2 - kPageLg2) / Format::kIndexBits);
  }

  iotlb::TableCache& cache_;
  iotlb::Tag tag_;
  iotlb::FillTicket ticket_;
  iotlb::FillTicket below_{};
  bool keeps_below_ = false;
};

// A whole lower stage with its caches: what nested_walk asks for as `lower`. Of a page that is
// written in several entries (AMD-Vi v1), the one that was read answers for all, until it is
// invalidated: software has to keep them alike. A leaf that a cache answers has no level and no
// entry: what of it outlives the walk are its rights.
template <pagetables::RadixFormat Format, pagetables::TableReader Reader>
class CachedStage2 {
 public:
  using Space = typename Reader::Space;

  // Everything given must outlive the walk.
  CachedStage2(const typename Format::Rules& rules, Reader& reader, Space root, unsigned levels,
               iotlb::WalkCaches& caches, DomainId domain,
               const iotlb::WalkCaches::Tickets& tickets)
      : rules_(&rules),
        reader_(&reader),
        root_(root),
        levels_(levels),
        caches_(&caches),
        tag_{.domain = domain},
        tickets_(&tickets) {}

  [[nodiscard]] pagetables::WalkResult<Space> operator()(std::uint64_t address, const Ask& ask) {
    pagetables::Leaf<Space> cached;
    if (known(address, ask, cached)) return cached;
    Tables tables(caches_->stage2_tables, tag_, tickets_->stage2_tables);
    auto leaf = pagetables::walk<Format>(*rules_, *reader_, root_, levels_, address, ask, tables);
    if (leaf)
      fill(address, *leaf);
    else if (leaf.error().stage == Stage::kNone)
      leaf.error().stage = Stage::kStage2;
    return leaf;
  }
  // Whether the cache of pages has it; see pagetables::nested_walk_at_once.
  [[nodiscard, gnu::always_inline]] bool known(std::uint64_t address, const Ask& ask,
                                               pagetables::Leaf<Space>& leaf) const {
    iotlb::WalkHit hit;
    if (!caches_->stage2_pages.lookup(tag_, address, hit) || !hit.permissions.allows(ask.access))
      return false;
    leaf.page = Space(hit.output);
    leaf.page_lg2 = hit.page_lg2;
    leaf.level = 0;
    leaf.permissions = hit.permissions;
    leaf.dirty_owed = false;
    leaf.entry = 0;
    leaf.references = 0;
    return true;
  }
  // For a walk of both stages that remembers nothing; see pagetables::nested_walk_plain.
  [[nodiscard]] bool refuses(std::uint64_t address) const {
    return Format::refuse_input(address, levels_).has_value();
  }
  [[nodiscard, gnu::always_inline]] auto plain_tables(const Ask& ask) const
      requires(pagetables::detail::kGoesPlain<Format, Reader>) {
    return pagetables::detail::PlainTables<Format, Reader>(*rules_, *reader_, root_, levels_, ask);
  }
  // In registers where it can be; see pagetables::translate_at_once.
  [[nodiscard, gnu::always_inline]] bool at_once(std::uint64_t address, const Ask& ask,
                                                 pagetables::Leaf<Space>& leaf) {
    if (known(address, ask, leaf)) return true;
    if (caches_->stage2_pages.off() && caches_->stage2_tables.off()) {
      pagetables::NoWalkCache::For<Space> nothing;
      return pagetables::walk_at_once<Format>(*rules_, *reader_, root_, levels_, address, ask,
                                              nothing, leaf);
    }
    pagetables::Leaf<Space> found;
    // Copied, so that what is asked stays in registers above.
    const Ask asked{ask.access, ask.execute, ask.privileged, ask.write_protect};
    if (!walk_and_fill(address, asked, found)) return false;
    pagetables::detail::copy(found, leaf);
    return true;
  }

 private:
  using Tables = CachedTables<Format, Space>;

  [[nodiscard, gnu::noinline]] bool walk_and_fill(std::uint64_t address, const Ask& ask,
                                                  pagetables::Leaf<Space>& leaf) {
    Tables tables(caches_->stage2_tables, tag_, tickets_->stage2_tables);
    if (!pagetables::walk_at_once<Format>(*rules_, *reader_, root_, levels_, address, ask, tables,
                                          leaf))
      return false;
    fill(address, leaf);
    return true;
  }
  void fill(std::uint64_t address, const pagetables::Leaf<Space>& leaf) {
    if (caches_->stage2_pages.off()) return;
    (void)caches_->stage2_pages.fill(tickets_->stage2_pages,
                                     {.tag = tag_,
                                      .page = Iova(address).page_base(leaf.page_lg2),
                                      .output = leaf.page.value(),
                                      .page_lg2 = leaf.page_lg2,
                                      .permissions = leaf.cacheable()});
  }

  const typename Format::Rules* rules_;
  Reader* reader_;
  Space root_;
  unsigned levels_;
  iotlb::WalkCaches* caches_;
  iotlb::Tag tag_;
  const iotlb::WalkCaches::Tickets* tickets_;
};

}  // namespace weir
