// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/acpi/linux_matcher.h"

#include <algorithm>
#include <cstring>

namespace weir::tools::acpi::test {

template <typename T>
T LinuxMatcher::at(std::size_t offset) const {
  T value{};
  if (offset + sizeof value <= table_.size())
    std::memcpy(&value, table_.data() + offset, sizeof value);
  return value;
}

const Seen* LinuxMatcher::find(std::uint16_t segment, unsigned bus, unsigned device,
                               unsigned function) const {
  for (const Seen& seen : functions_)
    if (seen.segment == segment && seen.bdf == (bus << 8 | device << 3 | function)) return &seen;
  return nullptr;
}

// Down from the start bus: each step but the last is a bridge, whose secondary bus is next.
const Seen* LinuxMatcher::resolve(std::size_t offset, std::uint16_t segment) const {
  const auto length = at<std::uint8_t>(offset + 1);
  unsigned bus = at<std::uint8_t>(offset + 5);
  for (std::size_t step = offset + 6; step + 1 < offset + length; step += 2) {
    const Seen* const here = find(segment, bus, at<std::uint8_t>(step), at<std::uint8_t>(step + 1));
    if (here == nullptr || step + 2 >= offset + length) return here;
    if (!here->bridge) return nullptr;
    bus = here->secondary;
  }
  return nullptr;
}

Verdict LinuxMatcher::dmar(const Seen& function) const {
  // Scopes know a virtual function by its physical one.
  const Seen* target = &function;
  if (function.physical)
    for (const Seen& seen : functions_)
      if (seen.segment == function.segment && seen.bdf == *function.physical) target = &seen;

  struct Unit {
    std::size_t offset;
    bool all;
  };
  std::vector<Unit> units;
  for (std::size_t o = 48; o + 4 <= table_.size(); o += at<std::uint16_t>(o + 2)) {
    if (at<std::uint16_t>(o + 2) < 4) return {.complaint = "a structure without length"};
    if (at<std::uint16_t>(o) != 0) continue;
    const bool all = (at<std::uint8_t>(o + 4) & 1) != 0;
    // list_add and list_add_tail of dmar_register_drhd_unit.
    units.insert(all ? units.end() : units.begin(), {o, all});
  }
  for (const Unit& unit : units) {
    const auto segment = at<std::uint16_t>(unit.offset + 6);
    if (segment != function.segment) continue;
    const std::size_t end = unit.offset + at<std::uint16_t>(unit.offset + 2);
    for (std::size_t s = unit.offset + 16; s < end; s += at<std::uint8_t>(s + 1)) {
      const auto type = at<std::uint8_t>(s);
      if (at<std::uint8_t>(s + 1) < 8) return {.complaint = "a scope without length"};
      if (type != 1 && type != 2) continue;
      const Seen* const named = resolve(s, segment);
      if (named == nullptr) continue;
      if (named->bridge != (type == 2)) return {.complaint = "device scope type does not match"};
      const unsigned bus = target->bdf >> 8;
      const bool below = named->bridge && named->secondary != 0 && named->secondary <= bus &&
                         bus <= named->subordinate;
      if (named == target || below)
        return {.covered = true, .unit = at<std::uint64_t>(unit.offset + 8)};
    }
    if (unit.all) return {.covered = true, .unit = at<std::uint64_t>(unit.offset + 8)};
  }
  return {};
}

// The last entry that names a number counts.
Verdict LinuxMatcher::ivrs_number(std::uint16_t segment, std::uint16_t bdf) const {
  unsigned target = 0;
  for (std::size_t o = 48; o + 4 <= table_.size(); o += at<std::uint16_t>(o + 2)) {
    if (at<std::uint16_t>(o + 2) < 4) return {.complaint = "a block without length"};
    const auto type = at<std::uint8_t>(o);
    if (type == 0x10 || type == 0x11 || type == 0x40) target = std::max<unsigned>(target, type);
  }
  Verdict verdict;
  for (std::size_t o = 48; o + 4 <= table_.size(); o += at<std::uint16_t>(o + 2)) {
    if (at<std::uint8_t>(o) != target || at<std::uint16_t>(o + 16) != segment) continue;
    const std::size_t end = o + at<std::uint16_t>(o + 2);
    const Verdict here{.covered = true, .unit = at<std::uint64_t>(o + 8)};
    unsigned start = 0, alias = 0;
    bool aliased = false;
    std::size_t size = 0;
    for (std::size_t e = o + (target == 0x10 ? 24U : 40U); e < end; e += size) {
      const auto type = at<std::uint8_t>(e);
      size = type >= 0xc0 ? 22U + at<std::uint8_t>(e + 21) : std::size_t{4} << (type >> 6);
      const auto device = at<std::uint16_t>(e + 1), source = at<std::uint16_t>(e + 5);
      bool named = false;
      switch (type) {
        case 0x01:
          named = true;
          break;
        case 0x02:
        case 0x46:
        case 0xf0:
          named = device == bdf;
          break;
        case 0x42:
          named = device == bdf || source == bdf;
          break;
        case 0x48:
          named = source == bdf;
          break;
        case 0x03:
        case 0x43:
        case 0x47:
          start = device;
          aliased = type == 0x43;
          alias = source;
          break;
        case 0x04:
          named = (start <= bdf && bdf <= device) || (aliased && alias == bdf);
          break;
        default:
          break;
      }
      if (named) verdict = here;
    }
  }
  return verdict;
}

Verdict LinuxMatcher::ivrs(const Seen& function) const {
  Verdict verdict = ivrs_number(function.segment, function.bdf);
  // DMA arrives under the numbers of requests, and each has an entry of its own in the device
  // table.
  for (const std::uint16_t as : function.requesters) {
    const Verdict of_request = ivrs_number(function.segment, as);
    if (of_request.covered != verdict.covered || of_request.unit != verdict.unit)
      verdict.complaint = "requests are covered otherwise than their function";
  }
  return verdict;
}

Verdict LinuxMatcher::viot_number(std::uint16_t segment, std::uint16_t bdf) const {
  std::size_t o = at<std::uint16_t>(38);
  Verdict verdict;
  for (unsigned i = at<std::uint16_t>(36); i > 0; --i, o += at<std::uint16_t>(o + 2)) {
    if (at<std::uint8_t>(o) != 1) continue;
    if (segment < at<std::uint16_t>(o + 8) || segment > at<std::uint16_t>(o + 10) ||
        bdf < at<std::uint16_t>(o + 12) || bdf > at<std::uint16_t>(o + 14))
      continue;
    const std::size_t unit = at<std::uint16_t>(o + 16);
    if (verdict.covered) verdict.complaint = "two ranges hold a number";
    verdict.covered = true;
    verdict.unit = at<std::uint8_t>(unit) == 3 ? std::uint64_t{at<std::uint16_t>(unit + 4)} << 16 |
                                                     at<std::uint16_t>(unit + 6)
                                               : at<std::uint64_t>(unit + 8);
  }
  return verdict;
}

// Linux asks for every alias, and one that is in no range leaves the function without an IOMMU.
Verdict LinuxMatcher::viot(const Seen& function) const {
  Verdict verdict = viot_number(function.segment, function.bdf);
  for (const std::uint16_t as : function.requesters) {
    const Verdict of_request = viot_number(function.segment, as);
    if (of_request.covered != verdict.covered || of_request.unit != verdict.unit)
      verdict.complaint = "requests are covered otherwise than their function";
  }
  return verdict;
}

}  // namespace weir::tools::acpi::test
