// SPDX-License-Identifier: Apache-2.0
//
// What an IOTLB keeps and what it answers. An entry holds only what its tag (domain, PASID, page)
// determines (L10); the requester's rights are applied by whoever asks. Plain values; any thread.
#pragma once

#include <cstdint>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"
#include "iotlb/context.h"
#include "iotlb/invalidation.h"

namespace weir::iotlb {

// Whose translation: what an entry is tagged with and an invalidation names.
struct Tag {
  DomainId domain{};
  std::uint32_t pasid = Context::kNoPasid;

  friend constexpr bool operator==(Tag, Tag) = default;
};

// A translated page, whoever's it is.
struct Mapping {
  Iova page{};                       // base; a multiple of 2^page_lg2
  std::uint64_t output = 0;          // base, in whatever space the unit's walks end in
  std::uint8_t page_lg2 = kPageLg2;  // 12…63; what is smaller is not kept
  Permissions permissions{};         // of the tables alone
};

struct Entry {
  Tag tag{};
  Iova page{};                       // base; a multiple of 2^page_lg2
  std::uint64_t output = 0;          // base, in whatever space the unit's walks end in
  std::uint8_t page_lg2 = kPageLg2;  // 12…63; what is smaller is not kept
  Permissions permissions{};         // of the tables alone
};

struct Hit {
  std::uint64_t output = 0;  // of the asked-for byte
  std::uint8_t page_lg2 = 0;
  Permissions permissions{};
};

// Taken before a walk reads its first table word; a fill that shows it is refused if anything that
// could cover it was invalidated since (L2).
struct FillTicket {
  std::uint64_t sequence = 0;
};
// Of whoever must not fill: numbers do not grow so far.
inline constexpr FillTicket kNoFill{~std::uint64_t{0}};

enum class FillResult : std::uint8_t {
  kFilled,
  kReplaced,
  kEvicted,
  kRefused,  // overtaken by an invalidation (L2)
  kNotKept,  // there is no cache
};

// Whether an invalidation of translations covers an entry.
[[nodiscard]] constexpr bool covers(const Invalidation& what, Tag tag, Iova page,
                                    std::uint8_t page_lg2, std::uint64_t output) {
  const std::uint64_t span = (std::uint64_t{1} << page_lg2) - 1;
  switch (what.scope) {
    case Scope::kAll:
      return true;
    case Scope::kDomain:
      return tag.domain == what.domain;
    case Scope::kPasid:
      return tag.domain == what.domain && what.pasid && tag.pasid == what.pasid->value;
    case Scope::kRange:
      return tag.domain == what.domain && (!what.pasid || tag.pasid == what.pasid->value) &&
             what.range.overlaps({page, page + span});
    case Scope::kStage2Range:
      return tag.domain == what.domain &&
             (tag.pasid != Context::kNoPasid || what.range.overlaps({page, page + span}));
    case Scope::kHostRange:
      return what.host_range.overlaps({Gpa(output), Gpa(output + span)});
    case Scope::kContextAll:
    case Scope::kContextDomain:
    case Scope::kContextPasid:
    case Scope::kContextDevice:
    case Scope::kInterruptAll:
    case Scope::kInterruptRange:
    case Scope::kInterruptDevice:
    case Scope::kDeviceTlb:
    case Scope::kRequester:
      return false;
  }
  return false;
}

}  // namespace weir::iotlb
