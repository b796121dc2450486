// SPDX-License-Identifier: Apache-2.0
#include "tests/model/small_world_parts.h"

#include "tests/model/entry_maker.h"

namespace weir::model {

std::vector<Ask> every_ask(const Format& format) {
  std::vector<Ask> all = {{.read = true}, {.write = true}, {.read = true, .write = true}};
  if (!std::holds_alternative<X86FirstStage>(format)) return all;
  all.push_back({.execute = true});
  all.push_back({.read = true, .privileged = true});
  all.push_back({.write = true, .privileged = true});
  all.push_back({.execute = true, .privileged = true});
  return all;
}

std::vector<std::uint64_t> pair_bits(const Format& format) {
  std::vector<std::uint64_t> all;
  const RightBits r = right_bits(format);
  const std::uint64_t mask = r.present | r.read | r.write | r.user | r.no_execute |
                             shape_bits(format) |
                             (std::holds_alternative<AmdV1>(format)           ? bit(55)
                              : std::holds_alternative<X86FirstStage>(format) ? bit(16)
                                                                              : bit(11));
  for (unsigned n = 0; n < 64; ++n)
    if (has(mask, bit(n))) all.push_back(bit(n));
  return all;
}

std::uint64_t spread(std::uint64_t value, const std::vector<std::uint64_t>& onto) {
  std::uint64_t word = 0;
  for (std::size_t n = 0; n < onto.size(); ++n)
    if (has(value, bit(static_cast<unsigned>(n)))) word |= onto[n];
  return word;
}

}  // namespace weir::model
