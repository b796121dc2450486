// SPDX-License-Identifier: Apache-2.0
//
// What a domain's MAP and UNMAP requests mean, in the words of virtio 1.4, 5.13.6.7.2 and
// 5.13.6.8.2: a list of mappings, searched from one end to the other. One thread; slow on purpose.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "pagetables/interval_map.h"

namespace weir::model {

class NaiveIntervalMap {
 public:
  explicit NaiveIntervalMap(std::size_t most) : most_(most) {}

  pagetables::MapStatus map(const pagetables::Mapping& wanted) {
    using pagetables::MapStatus;
    const std::uint64_t first = wanted.range.first.value();
    const std::uint64_t last = wanted.range.last.value();
    if (last < first) return MapStatus::kBadRange;
    const std::uint64_t room_above_output = ~wanted.output.value();
    if (last - first > room_above_output) return MapStatus::kOutputWraps;
    // "If a mapping already exists in the requested range, the device SHOULD reject".
    for (const auto& m : mappings_)
      if (!outside(m, first, last)) return MapStatus::kOverlap;
    if (mappings_.size() == most_) return MapStatus::kNoMemory;
    mappings_.push_back(wanted);
    return MapStatus::kMapped;
  }

  pagetables::Unmapped unmap(AddressRange<Iova> range) {
    using pagetables::UnmapStatus;
    const std::uint64_t first = range.first.value();
    const std::uint64_t last = range.last.value();
    if (last < first) return {UnmapStatus::kBadRange, 0};
    // "If a mapping affected by the range is not covered in its entirety by the range [...] SHOULD
    // NOT remove any mapping."
    for (const auto& m : mappings_)
      if (!outside(m, first, last) && !covered(m, first, last))
        return {UnmapStatus::kWouldSplit, 0};
    return {UnmapStatus::kUnmapped,
            std::erase_if(mappings_, [&](const auto& m) { return covered(m, first, last); })};
  }

  [[nodiscard]] std::optional<pagetables::Mapping> lookup(Iova at) const {
    for (const auto& m : mappings_)
      if (covered_byte(m, at.value())) return m;
    return std::nullopt;
  }

  [[nodiscard]] std::optional<pagetables::Mapping> first_at_or_after(Iova at) const {
    std::optional<pagetables::Mapping> best;
    for (const auto& m : mappings_) {
      if (m.range.last < at) continue;
      if (!best || m.range.first < best->range.first) best = m;
    }
    return best;
  }

  [[nodiscard]] std::size_t size() const { return mappings_.size(); }
  [[nodiscard]] const std::vector<pagetables::Mapping>& mappings() const { return mappings_; }

 private:
  static bool outside(const pagetables::Mapping& m, std::uint64_t first, std::uint64_t last) {
    return m.range.last.value() < first || last < m.range.first.value();
  }
  static bool covered(const pagetables::Mapping& m, std::uint64_t first, std::uint64_t last) {
    return first <= m.range.first.value() && m.range.last.value() <= last;
  }
  static bool covered_byte(const pagetables::Mapping& m, std::uint64_t at) {
    return m.range.first.value() <= at && at <= m.range.last.value();
  }

  const std::size_t most_;
  std::vector<pagetables::Mapping> mappings_;
};

}  // namespace weir::model
