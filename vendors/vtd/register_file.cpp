// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/register_file.h"

namespace weir::vtd {

namespace {

// The two 32-bit halves of a word.
inline constexpr Field<31, 0> kLowHalf{"low half"};
inline constexpr Field<63, 32> kHighHalf{"high half"};

[[nodiscard]] constexpr bool in_high_half(std::uint64_t offset) { return offset % 8 != 0; }

// `value`, of an access or a register of `bytes` bytes at `offset`, in its place in the 64-bit
// word.
[[nodiscard]] constexpr std::uint64_t place(std::uint64_t offset, unsigned bytes,
                                            std::uint64_t value) {
  if (bytes == 8) return value;
  return in_high_half(offset) ? kHighHalf.of(value) : kLowHalf.of(value);
}
[[nodiscard]] constexpr std::uint64_t extract(std::uint64_t offset, unsigned bytes,
                                              std::uint64_t word) {
  if (bytes == 8) return word;
  return in_high_half(offset) ? kHighHalf.get(word) : kLowHalf.get(word);
}
inline constexpr std::uint64_t kAllBits = ~std::uint64_t{0};

[[nodiscard]] constexpr unsigned bytes_of(const reg::Register& r) { return r.bits / 8U; }

}  // namespace

// The table of registers.h, folded once into masks that a write can use directly.
constexpr std::array<RegisterFile::Rule, RegisterFile::kFixedWords> RegisterFile::fold_rules() {
  std::array<Rule, kFixedWords> rules{};
  for (const reg::Register& r : reg::kRegisters) {
    Rule& rule = rules[r.offset / kWordBytes];
    rule.writable |= place(r.offset, bytes_of(r), r.writable);
    rule.clear_on_one |= place(r.offset, bytes_of(r), r.clear_on_one);
    rule.write_only |= place(r.offset, bytes_of(r), r.write_only);
  }
  return rules;
}

RegisterFile::RegisterFile(const Options& options) : records_(options.fault_records) {
  static constexpr auto kRules = fold_rules();
  rules_ = kRules;
  for (const reg::Register& r : reg::kRegisters) set(r, r.reset);
  set(reg::cap::kRegister, capability_value(options));
  set(reg::ecap::kRegister, extended_capability_value(options));
  if (!options.interrupt_remapping) forbid(reg::irta::kRegister, reg::irta::kLayout.defined);
  if (!options.protected_memory)
    for (const reg::Register* r :
         {&reg::pmen::kRegister, &reg::kPlmbase, &reg::kPlmlimit, &reg::kPhmbase, &reg::kPhmlimit})
      forbid(*r, r->layout.defined);
  if (!options.page_requests) {
    forbid(reg::pqh::kRegister, reg::pqh::kLayout.defined);
    forbid(reg::pqt::kRegister, reg::pqt::kLayout.defined);
    forbid(reg::pqa::kRegister, reg::pqa::kLayout.defined);
    forbid(reg::prs::kRegister, reg::prs::kLayout.defined);
    for (const reg::Register* r : {&reg::kPectl, &reg::kPedata, &reg::kPeaddr, &reg::kPeuaddr})
      forbid(*r, r->layout.defined);
  }
  if (!options.extended_interrupts) {
    forbid(reg::irta::kRegister, reg::irta::kExtended.kMask);
    forbid(reg::kFeuaddr, reg::event::kUpperAddress.defined);
    forbid(reg::kIeuaddr, reg::event::kUpperAddress.defined);
    forbid(reg::kPeuaddr, reg::event::kUpperAddress.defined);
  }
}

void RegisterFile::forbid(const reg::Register& r, std::uint64_t bits) {
  Rule& rule = rules_[r.offset / kWordBytes];
  const std::uint64_t placed = place(r.offset, bytes_of(r), bits);
  rule.writable &= ~placed;
  rule.clear_on_one &= ~placed;
  words_[r.offset / kWordBytes] &= ~placed;
}

RegisterFile::Rule RegisterFile::rule_at(std::size_t word) const {
  if (word < rules_.size()) return rules_[word];
  const bool high_word_of_record =
      word % 2 == 1 && touches_records(static_cast<std::uint64_t>(word) * kWordBytes);
  return {.clear_on_one = high_word_of_record ? reg::frcd::kFault.kMask : 0};
}

std::uint64_t RegisterFile::read(std::uint64_t offset, unsigned size) const {
  const std::size_t word = offset / kWordBytes;
  return extract(offset, size, words_[word] & ~rule_at(word).write_only);
}

void RegisterFile::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const std::size_t word = offset / kWordBytes;
  const Rule rule = rule_at(word);
  const std::uint64_t carried = place(offset, size, kAllBits);
  const std::uint64_t placed = place(offset, size, value);
  const std::uint64_t replaced = rule.writable & carried;
  words_[word] = (words_[word] & ~replaced) | (placed & replaced);
  words_[word] &= ~(placed & rule.clear_on_one);
}

std::optional<Touched> RegisterFile::touched(const reg::Register& r, std::uint64_t offset,
                                             unsigned size, std::uint64_t value) {
  if (offset / kWordBytes != r.offset / kWordBytes) return std::nullopt;
  const std::uint64_t mask = extract(r.offset, bytes_of(r), place(offset, size, kAllBits));
  if (mask == 0) return std::nullopt;
  return Touched{.mask = mask, .value = extract(r.offset, bytes_of(r), place(offset, size, value))};
}

std::uint64_t RegisterFile::get(const reg::Register& r) const {
  return extract(r.offset, bytes_of(r), words_[r.offset / kWordBytes]);
}

void RegisterFile::set(const reg::Register& r, std::uint64_t value) {
  std::uint64_t& word = words_[r.offset / kWordBytes];
  word = (word & ~place(r.offset, bytes_of(r), kAllBits)) | place(r.offset, bytes_of(r), value);
}

}  // namespace weir::vtd
