// SPDX-License-Identifier: Apache-2.0
#include "tests/model/entry_maker.h"

namespace weir::model {
namespace {

bool is_v1(const Format& format) { return std::holds_alternative<AmdV1>(format); }
bool is_x86(const Format& format) { return std::holds_alternative<X86FirstStage>(format); }

std::uint64_t all_rights(const Format& format) {
  const RightBits b = right_bits(format);
  return b.present | b.read | b.write | b.user;
}

}  // namespace

RightBits right_bits(const Format& format) {
  if (is_v1(format)) return {.present = bit(0), .read = bit(61), .write = bit(62)};
  if (is_x86(format))
    return {.present = bit(0), .write = bit(1), .user = bit(2), .no_execute = bit(63)};
  return {.read = bit(0), .write = bit(1)};
}

std::uint64_t sometimes_reserved(const Format& format) {
  const std::uint64_t address = bits(51, output_width(format));
  if (is_v1(format)) return bits(60, 52);
  if (is_x86(format)) return address | bit(7) | bits(29, 13);
  return address | bit(7) | bit(11) | bits(29, 12) | bit(62);
}

std::uint64_t shape_bits(const Format& format) { return is_v1(format) ? bits(11, 9) : bit(7); }

unsigned output_width(const Format& format) {
  if (const auto* ss = std::get_if<VtdSecondStage>(&format)) return ss->host_width;
  if (const auto* fs = std::get_if<X86FirstStage>(&format)) return fs->host_width;
  return 52;
}

std::uint64_t table_entry(const Format& format, std::uint64_t table, unsigned next_level) {
  const std::uint64_t shape = is_v1(format) ? std::uint64_t{next_level} << 9 : 0;
  return table | all_rights(format) | shape;
}

std::vector<unsigned> leaf_sizes(const Format& format, unsigned level) {
  if (!is_v1(format)) {
    if (level > 3) return {};
    return {level_lg2(level)};
  }
  std::vector<unsigned> sizes;
  if (level == 6) return sizes;
  for (unsigned lg2 = level_lg2(level); lg2 < level_lg2(level + 1) && lg2 <= 51; ++lg2)
    sizes.push_back(lg2);
  return sizes;
}

std::uint64_t leaf_entry(const Format& format, unsigned level, std::uint64_t page, unsigned lg2) {
  std::uint64_t entry = page | all_rights(format);
  if (!is_v1(format)) return level == 1 ? entry : entry | bit(7);
  // A7: 2^(n+1) where n is the lowest zero bit of the address.
  if (lg2 > level_lg2(level)) entry |= std::uint64_t{7} << 9 | bits(lg2 - 2, 12);
  return entry;
}

unsigned leaf_replicas(unsigned level, unsigned lg2) { return 1U << (lg2 - level_lg2(level)); }

}  // namespace weir::model
