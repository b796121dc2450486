// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/register_file.h"

#include <algorithm>

#include "vendors/amdvi/capabilities.h"

namespace weir::amdvi {
namespace {

constexpr std::uint64_t kWordBytes = 8;

// The two 32-bit halves of a register.
inline constexpr Field<31, 0> kLowHalf{"low half"};
inline constexpr Field<63, 32> kHighHalf{"high half"};

[[nodiscard]] constexpr bool in_high_half(std::uint64_t offset) { return offset % kWordBytes != 0; }

// The bits that an access carries, and its value in their place.
[[nodiscard]] constexpr std::uint64_t carried(std::uint64_t offset, unsigned size) {
  if (size == kWordBytes) return ~std::uint64_t{0};
  return in_high_half(offset) ? kHighHalf.kMask : kLowHalf.kMask;
}
[[nodiscard]] constexpr std::uint64_t place(std::uint64_t offset, unsigned size,
                                            std::uint64_t value) {
  if (size == kWordBytes) return value;
  return in_high_half(offset) ? kHighHalf.of(value) : kLowHalf.of(value);
}

[[nodiscard]] consteval bool offsets_rise() {
  for (std::size_t i = 1; i < reg::kRegisters.size(); ++i)
    if (reg::kRegisters[i - 1].offset >= reg::kRegisters[i].offset) return false;
  return true;
}
static_assert(offsets_rise(), "registers.h lists registers by offset");

}  // namespace

RegisterFile::RegisterFile(const Options& options)
    : features_(feature_value(options)), control_bits_(control_bits(options)) {
  set(reg::efr::kRegister, features_);
  set(reg::efr2::kRegister, feature2_value(options));
  // 2^8 entries each is the least, and what they have at reset (3.4.1).
  for (const auto& base :
       {reg::kCommandBase, reg::kEventBase, reg::kRequestBase, reg::kGuestLogBase})
    set(base, reg::ring::kLength.of(reg::ring::kLeastLength));
}

std::size_t RegisterFile::index_of(const reg::Register& r) {
  const auto found =
      std::ranges::lower_bound(reg::kRegisters, r.offset, {}, &reg::Register::offset);
  return static_cast<std::size_t>(found - reg::kRegisters.begin());
}

const reg::Register* RegisterFile::find(std::uint64_t offset) const {
  const std::uint64_t at = offset - offset % kWordBytes;
  const auto found = std::ranges::lower_bound(reg::kRegisters, at, {}, &reg::Register::offset);
  if (found == reg::kRegisters.end() || found->offset != at) return nullptr;
  return (found->needs & ~features_) == 0 ? &*found : nullptr;
}

std::uint64_t RegisterFile::read(std::uint64_t offset, unsigned size) const {
  const reg::Register* r = find(offset);
  if (r == nullptr) return 0;
  const std::uint64_t word = get(*r) | r->reads_as_one;
  if (size == kWordBytes) return word;
  return in_high_half(offset) ? kHighHalf.get(word) : kLowHalf.get(word);
}

void RegisterFile::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const reg::Register* r = find(offset);
  if (r == nullptr) return;
  const bool is_control = r->offset == reg::control::kRegister.offset;
  const std::uint64_t writable = is_control ? control_bits_ : r->writable;
  const std::uint64_t replaced = writable & carried(offset, size);
  const std::uint64_t placed = place(offset, size, value);
  set(*r, ((get(*r) & ~replaced) | (placed & replaced)) & ~(placed & r->clear_on_one));
}

}  // namespace weir::amdvi
