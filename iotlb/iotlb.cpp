// SPDX-License-Identifier: Apache-2.0
//
// Making, finding and filling; iotlb_flush.cpp removes.
#include "iotlb/iotlb.h"

#include <algorithm>
#include <array>

#include "base/seam.h"
#include "iotlb/iotlb_set.h"
#include "iotlb/reference_tlb.h"

namespace weir::iotlb {
namespace {

// What there is to look at where there is nothing; never written.
constinit std::array<IotlbWay, Iotlb::kWays> nothing;
constexpr std::atomic<std::uint64_t> kNeverFlushed{0};

}  // namespace

Iotlb::Iotlb(const IotlbOptions& options)
    : ways_(nothing.data()),
      off_(options.entries == 0 && !options.reference),
      lineages_(options.reference ? std::max<std::size_t>(options.entries, 4096)
                                  : options.entries) {
  generation_mask_ = (std::uint64_t{1} << options.generation_bits) - 1;
  if (options.reference) {
    reference_ = std::make_unique<ReferenceTlb>(options.entries);
  } else if (!off_) {
    const std::size_t count = std::bit_ceil(std::max(options.entries, kWays));
    own_ways_ = std::make_unique<Way[]>(count);
    ways_ = own_ways_.get();
    slot_mask_ = count - 1;
    slot_bits_ = static_cast<unsigned>(std::countr_zero(count));
    set_mask_ = count / kWays - 1;
    // All of them in half the time that a generation's number takes to come back.
    const std::uint64_t flushes = (generation_mask_ + 1) / 2;
    swept_at_once_ = (count + flushes - 1) / flushes;
  }
}

Iotlb::~Iotlb() = default;

// ---- Keys

IotlbKey Iotlb::make_key(Tag tag, Lineage& domain, Lineage* pasid) const {
  IotlbKey key{.domain = &domain,
               .pasid = pasid,
               // One flush must not count twice where both share a record.
               .pasid_generation =
                   pasid == nullptr || pasid == &domain ? &kNeverFlushed : &pasid->generation};
  // Relaxed: a size that appears later is found by look_closely.
  const std::uint64_t sizes = domain.sizes.load(std::memory_order_relaxed);
  look_first_for(key, tag,
                 sizes == 0 ? kPageLg2 : static_cast<std::uint8_t>(std::countr_zero(sizes)));
  return key;
}

void Iotlb::look_first_for(IotlbKey& key, Tag tag, std::uint8_t page_lg2) const {
  key.page_lg2 = page_lg2;
  key.tag = words::make_tag(tag, page_lg2);
  key.seed = seed_of(tag, page_lg2);
  // Cut off where there is no such block: the first look then fails for the upper half of all
  // addresses, and a closer one does not.
  key.block_lg2 = static_cast<std::uint8_t>(std::min(63U, page_lg2 + slot_bits_));
}

IotlbKey Iotlb::key_for(Tag tag) {
  Lineage& domain = lineages_.obtain({.domain = tag.domain});
  return make_key(tag, domain, tag.pasid == Context::kNoPasid ? nullptr : &lineages_.obtain(tag));
}

std::optional<Iotlb::Owner> Iotlb::owner_of(Tag tag) const {
  Owner owner{.domain = lineages_.find({.domain = tag.domain})};
  if (owner.domain == nullptr) return std::nullopt;
  if (tag.pasid == Context::kNoPasid) return owner;
  owner.pasid = lineages_.find(tag);
  if (owner.pasid == nullptr) return std::nullopt;
  return owner;
}

std::optional<IotlbKey> Iotlb::known_key(Tag tag) const {
  const auto owner = owner_of(tag);
  if (!owner) return std::nullopt;
  return make_key(tag, *owner->domain, owner->pasid);
}

// ---- Looking

bool Iotlb::is_nowhere(const IotlbKey& key, std::uint64_t slot, std::uint64_t page) const {
  // Relaxed, all: as in find().
  return own_ways_ != nullptr &&
         key.domain->sizes.load(std::memory_order_relaxed) == std::uint64_t{1} << key.page_lg2 &&
         ways_from(slot).first([&](const Way& way) {
           // The page first: it mostly says no alone.
           return way.page.load(std::memory_order_relaxed) == page &&
                  way.tag.load(std::memory_order_relaxed) == key.tag;
         }) == nullptr;
}

std::optional<Iotlb::Found> Iotlb::find(const IotlbKey& key, Iova iova) const {
  // Relaxed: a size that appears concurrently belongs to a fill that this may miss.
  for (std::uint64_t left = key.domain->sizes.load(std::memory_order_relaxed); left != 0;
       left &= left - 1) {
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(left));
    const std::uint64_t number = iova.value() >> lg2;
    const std::uint64_t word = tag_word_of(key, lg2);
    Way* const way = ways_from(slot_of(number, seed_of(key, lg2))).first([&](const Way& one) {
      // Relaxed, both: most ways hold something else, and that is all one needs to know of them.
      // One that is just being filled with the page may be missed.
      return ((one.tag.load(std::memory_order_relaxed) ^ word) |
              (one.page.load(std::memory_order_relaxed) ^ number << lg2)) == 0;
    });
    if (way == nullptr) continue;
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      const std::uint64_t generation = generation_of(key) & generation_mask_;
      const Look look = Look::at(*way, word, number << lg2, generation);
      if (look.hit()) return Found{look.output, way, lg2};
      if (look.torn == 0) break;
    }
  }
  return std::nullopt;
}

std::optional<Hit> Iotlb::look_closely(IotlbKey& key, Iova iova) {
  if (reference_ != nullptr) return reference_->lookup(key.plain(), iova);
  const auto found = find(key, iova);
  if (!found) return std::nullopt;
  mark(*found->way);
  if (found->page_lg2 != key.page_lg2) look_first_for(key, key.plain(), found->page_lg2);
  return Look::hit_of(found->output, iova, found->page_lg2);
}

std::optional<Hit> Iotlb::lookup(Tag tag, Iova iova) {
  if (reference_ != nullptr) return reference_->lookup(tag, iova);
  auto key = known_key(tag);
  if (!key) return std::nullopt;
  return lookup(*key, iova);
}

std::optional<Hit> Iotlb::peek(Tag tag, Iova iova) const {
  if (reference_ != nullptr) return reference_->peek(tag, iova);
  const auto key = known_key(tag);
  if (!key) return std::nullopt;
  const auto found = find(*key, iova);
  if (!found) return std::nullopt;
  return Look::hit_of(found->output, iova, found->page_lg2);
}

// ---- Generations and counts

bool Iotlb::is_dead(const Way& way, const Owner& owner) const {
  // Relaxed: asked under the set's lock.
  return way.generation.load(std::memory_order_relaxed) !=
         (generations_of(owner).tag & generation_mask_);
}

void Iotlb::list(Lineage& domain) {
  // Sequentially consistent: who sets it owns the domain's place in the list.
  if (domain.listed.exchange(true, std::memory_order_seq_cst)) return;
  domain.next_listed = listed_.load(std::memory_order_relaxed);
  // Release: pairs with the exchange in end_generation_of_all.
  while (!listed_.compare_exchange_weak(domain.next_listed, &domain, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
}

bool Iotlb::count_in(Owner owner, Generations now) {
  if (lineages_.is_shared(*owner.domain)) return true;
  const LiveCount::Added added = owner.domain->live.add(now.domain);
  if (!added.in_time) return false;
  // Relaxed: a sum, taken by the next flush that comes by.
  if (added.left != 0) owner.domain->left.fetch_add(added.left, std::memory_order_relaxed);
  if (owner.pasid != nullptr && !lineages_.is_shared(*owner.pasid) &&
      !owner.pasid->live.add(now.tag).in_time) {
    (void)owner.domain->live.remove(now.domain);
    return false;
  }
  // Sequentially consistent, after the count: either this sees the flag cleared, or who cleared it
  // sees the count.
  if (!owner.domain->listed.load(std::memory_order_seq_cst)) list(*owner.domain);
  return true;
}

bool Iotlb::count_out(Owner owner, Generations then) {
  if (lineages_.is_shared(*owner.domain)) return true;
  if (owner.pasid != nullptr && !lineages_.is_shared(*owner.pasid) &&
      !owner.pasid->live.remove(then.tag))
    return false;
  return owner.domain->live.remove(then.domain);
}

// ---- Filling

FillTicket Iotlb::begin_fill(DomainId domain) const {
  return begin_fill(IotlbKey{.domain = &lineages_.obtain({.domain = domain})});
}

FillResult Iotlb::fill(FillTicket ticket, const Entry& entry) {
  return fill(key_for(entry.tag), ticket,
              {entry.page, entry.output, entry.page_lg2, entry.permissions});
}

FillResult Iotlb::fill_reference(const IotlbKey& key, FillTicket ticket, const Entry& entry) {
  if (reference_ == nullptr) return FillResult::kNotKept;
  return reference_->fill(entry, [&] { return is_current(*key.domain, ticket); });
}

FillResult Iotlb::fill(const IotlbKey& key, FillTicket ticket, std::uint64_t page,
                       std::uint64_t output, std::uint8_t page_lg2) {
  if (key.domain == nullptr || page_lg2 < kPageLg2) return FillResult::kNotKept;
  const std::uint64_t tag = tag_word_of(key, page_lg2);
  if (own_ways_ == nullptr) [[unlikely]]
    return fill_reference(key, ticket, words::entry_of(tag, page, output));

  Lineage& domain = *key.domain;
  const std::uint64_t size_bit = std::uint64_t{1} << page_lg2;
  // The load avoids a shared write on every fill. Sequentially consistent, both: an invalidation
  // that misses the bit comes before it, whoever of the fills set it, and is seen by the check
  // below.
  if ((domain.sizes.load(std::memory_order_seq_cst) & size_bit) == 0)
    domain.sizes.fetch_or(size_bit, std::memory_order_seq_cst);
  if (key.pasid != nullptr && !domain.has_pasids.load(std::memory_order_seq_cst))
    domain.has_pasids.store(true, std::memory_order_seq_cst);

  Set set(*this, slot_of(page >> page_lg2, seed_of(key, page_lg2)));
  // The generation first: if it is over by the time of the check, the check says so; if it ends
  // afterwards, it takes this entry with it.
  const Owner owner{.domain = &domain, .pasid = key.pasid};
  const Generations now = generations_of(owner);
  if (!is_current(domain, ticket)) return FillResult::kRefused;
  return set.put({.tag = tag,
                  .page = page,
                  .output = output,
                  .generation = static_cast<std::uint16_t>(now.tag & generation_mask_)},
                 owner, now);
}

std::size_t Iotlb::size() const {
  if (reference_ != nullptr) return reference_->size();
  std::size_t count = 0;
  for (std::uint64_t i = 0; own_ways_ != nullptr && i <= slot_mask_; ++i) {
    // Acquire: pairs with the fill's release; the tag's record is there.
    const std::uint64_t tag = ways_[i].tag.load(std::memory_order_acquire);
    if (tag == 0) continue;
    const auto owner = owner_of(words::tag_of(tag));
    count += owner && !is_dead(ways_[i], *owner) ? 1 : 0;
  }
  return count;
}

}  // namespace weir::iotlb
