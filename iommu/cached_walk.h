// SPDX-License-Identifier: Apache-2.0
//
// Walks with a memory: the adapters between the walk of pagetables/ and the caches of iotlb/, which
// know nothing of each other. A vendor's walk makes one for each stage it walks.
//
// Objects live for one walk on one thread.
#pragma once

#include <utility>

#include "iotlb/walk_caches.h"
#include "pagetables/readers.h"
#include "pagetables/walk.h"

namespace weir {

// Where the tables of one stage lie, as far as earlier walks found them. `Format` says how much of
// the input a table covers.
template <pagetables::RadixFormat Format, typename Space>
class CachedTables {
 public:
  CachedTables(iotlb::Iotlb& cache, iotlb::Tag tag, iotlb::FillTicket ticket)
      : cache_(cache), tag_(tag), ticket_(ticket) {}

  // Without a cache a walk need not keep what it finds.
  [[nodiscard]] bool off() const { return cache_.off(); }
  [[nodiscard]] std::optional<pagetables::KnownTable<Space>> find(std::uint64_t input) {
    const auto hit = cache_.lookup(tag_, Iova(input));
    if (!hit) return std::nullopt;
    const std::uint64_t inside = Iova(input).page_offset(hit->page_lg2);
    return pagetables::KnownTable<Space>{Space(hit->output - inside), level_of(hit->page_lg2),
                                         hit->permissions};
  }
  void store(std::uint64_t input, const pagetables::KnownTable<Space>& known) {
    const unsigned lg2 = pagetables::level_shift<Format>(known.level + 1U);
    if (lg2 >= 64) return;
    (void)cache_.fill(ticket_, {.tag = tag_,
                                .page = Iova(input).page_base(lg2),
                                .output = known.table.value(),
                                .page_lg2 = static_cast<std::uint8_t>(lg2),
                                .permissions = known.permissions});
  }

 private:
  // The inverse of store's choice: a table of `level` covers 2^level_shift(level + 1).
  [[nodiscard]] static constexpr std::uint8_t level_of(unsigned lg2) {
    return static_cast<std::uint8_t>((lg2 - kPageLg2) / Format::kIndexBits);
  }

  iotlb::Iotlb& cache_;
  iotlb::Tag tag_;
  iotlb::FillTicket ticket_;
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
        tickets_(tickets) {}

  [[nodiscard]] pagetables::WalkResult<Space> operator()(std::uint64_t address, const Ask& ask) {
    iotlb::Iotlb& pages = caches_->stage2_pages;
    if (pages.off()) return walk_tables(address, ask);
    if (const auto hit = pages.lookup(tag_, Iova(address));
        hit && hit->permissions.allows(ask.access)) {
      const std::uint64_t inside = Iova(address).page_offset(hit->page_lg2);
      return pagetables::Leaf<Space>{.page = Space(hit->output - inside),
                                     .page_lg2 = hit->page_lg2,
                                     .permissions = hit->permissions};
    }
    return walk_and_fill(address, ask);
  }

 private:
  // These give the variable they made and nothing else, so that the answer is built where the
  // caller wants it: copied at once after its bytes were written one by one, it would wait for
  // them.
  [[nodiscard]] pagetables::WalkResult<Space> walk_tables(std::uint64_t address, const Ask& ask) {
    CachedTables<Format, Space> tables(caches_->stage2_tables, tag_, tickets_.stage2_tables);
    auto leaf = pagetables::walk<Format>(*rules_, *reader_, root_, levels_, address, ask, tables);
    if (!leaf && leaf.error().stage == Stage::kNone) leaf.error().stage = Stage::kStage2;
    return leaf;
  }
  [[nodiscard]] pagetables::WalkResult<Space> walk_and_fill(std::uint64_t address, const Ask& ask) {
    auto leaf = walk_tables(address, ask);
    if (leaf)
      (void)caches_->stage2_pages.fill(tickets_.stage2_pages,
                                       {.tag = tag_,
                                        .page = Iova(address).page_base(leaf->page_lg2),
                                        .output = leaf->page.value(),
                                        .page_lg2 = leaf->page_lg2,
                                        .permissions = leaf->cacheable()});
    return leaf;
  }

  const typename Format::Rules* rules_;
  Reader* reader_;
  Space root_;
  unsigned levels_;
  iotlb::WalkCaches* caches_;
  iotlb::Tag tag_;
  iotlb::WalkCaches::Tickets tickets_;
};

}  // namespace weir
