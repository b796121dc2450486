// SPDX-License-Identifier: Apache-2.0
//
// What the conformance suite has to be told about a format: facts written down by hand from the
// manuals, never computed by the format itself. One struct of facts per format (*_facts.h), one
// line per format in all_formats.h; the tests here know no format by name.
//
// A struct of facts gives:
//   Format, kName, kLevelCounts
//   kIndex           by level, the input bits that select an entry
//   pages(levels)    the page sizes that tables of so many levels can hold
//   kRefusal, accepts(input, levels)
//   table(address, level), leaf(page, lg2)     words that allow everything
//   deny(word, access)                         the word without a right, if it can go without
//   kJudgedAtLeaf    permissions are judged at the leaf, all together
//   kNamesLevels     an entry names the level that follows
//   kNothing[access] what a zero word means to a read, to a write
//   all_ones(level)  what a word of ones means; nothing: it is a leaf
//   kAccessed, kDirty, rules(), accessed_dirty_rules()    0: the format has none
//   variants()       every capability that changes the meaning of a bit
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::pagetables::facts {

struct BitRange {
  unsigned high = 0;
  unsigned low = 0;
};

struct PageFact {
  unsigned lg2 = 0;
  unsigned level = 0;
  std::uint64_t copies = 1;  // adjoining entries that hold the leaf
};

// The meaning of each bit of a word, bit 63 first, in words that allow everything and have their
// accessed and dirty bits set:
//   P present   r reading   w writing   u user   x execute-disable   A accessed   D dirty
//   S page size   L level that follows   z size code   a address   i ignored   R reserved
struct EntryKind {
  unsigned level = 0;
  unsigned page_lg2 = 0;  // 0: a table
  std::string bits;
};

template <typename Rules>
struct Variant {
  std::string_view name;
  Rules rules;
  std::vector<EntryKind> kinds;
};

// Bits 51…12 of an entry whose address begins at bit `lg2`.
[[nodiscard]] inline std::string address(unsigned lg2, char below) {
  return std::string(52 - lg2, 'a') + std::string(lg2 - 12, below);
}

}  // namespace weir::pagetables::facts
