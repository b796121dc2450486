// SPDX-License-Identifier: Apache-2.0
//
// How a table is described once for everybody who goes through it. For each structure a function
//
//   template <typename V> void describe(V& v, Structure& s);
//
// names its fields in the order of their bytes; readers and writers of bytes, of JSON and of plain
// text are visitors of it, so that none of them can know a field that another does not. A visitor
// has these members, of which each takes where the field lies within its structure:
//
//   head(bytes)                      the first bytes are type and length, which Framing sees to
//   number(name, at, value, style)   an unsigned integer of the width of `value`
//   parts(name, at, value, parts)    one that consists of bit fields; what none claims is reserved
//   text(name, at, array)            characters, padded
//   raw(name, at, array)             bytes without a meaning (reserved)
//   path(name, steps)                what is left, as steps of two bytes
//   string(name, text, rest)         what is left: text up to a zero byte, and the bytes from it on
//   rest(name, bytes)                what is left, as bytes
//   some(name, bytes, count)         so many bytes of what is left
//   list(name, elements)             what is left, as structures; Framing<Element> tells them apart
//   list(name, elements, count)      so many structures of what is left
//
// Values only; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::acpi {

// How people write a number.
enum class Style : std::uint8_t { kDecimal, kHex, kFunction };  // kFunction: bus, device, function

// A bit field of a number, both ends included.
struct Part {
  std::string_view name;
  unsigned high = 0;
  unsigned low = 0;
};

// parts() for fields as the layouts declare them.
template <typename V, typename T, typename... Fields>
void fields(V& v, std::string_view name, std::size_t at, T& value, const Fields&... each) {
  const Part parts[] = {{each.mnemonic, Fields::kHigh, Fields::kLow}...};
  v.parts(name, at, value, std::span<const Part>(parts));
}

// Specialised for what stands in lists:
//   static Result<std::size_t, std::string> bytes(std::span<const std::byte> from)
//     how many the structure at the start of `from` has, at most all of them; else what is wrong
//   static Element make(std::span<const std::byte> structure)   the right kind, fields still empty
//   static Result<Done, std::string> seal(const Element& e, std::span<std::byte> structure)
//     writes its type and length
//   static std::string_view kind(const Element& e)              its name, and
//   static std::string_view words(const Element& e)             what errors call it
//   static std::optional<Element> of(std::string_view kind)     by that name
template <typename Element>
struct Framing;

}  // namespace weir::acpi
