// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "base/bits.h"
#include "base/ids.h"
#include "iommu/topology.h"

namespace weir::tools::acpi {
namespace {

[[nodiscard]] std::optional<std::uint64_t> digits(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

[[nodiscard]] std::optional<std::uint64_t> function_of(std::string_view text) {
  const std::size_t colon = text.find(':'), point = text.find('.');
  if (colon == std::string_view::npos || point == std::string_view::npos || point < colon)
    return std::nullopt;
  const auto bus = digits(text.substr(0, colon), 16);
  const auto device = digits(text.substr(colon + 1, point - colon - 1), 16);
  const auto function = digits(text.substr(point + 1), 16);
  if (!bus || !device || !function || *bus > 0xff || *device > 0x1f || *function > 7)
    return std::nullopt;
  return *bus << 8 | *device << 3 | *function;
}

template <typename... Values>
[[nodiscard]] std::string formatted(const char* form, Values... values) {
  std::array<char, 32> text{};
  const int length = std::snprintf(text.data(), text.size(), form, values...);
  return std::string(text.data(), static_cast<std::size_t>(length));
}

}  // namespace

std::string number_text(std::uint64_t value, Style style) {
  switch (style) {
    case Style::kDecimal:
      return std::to_string(value);
    case Style::kHex:
      return formatted("0x%llx", static_cast<unsigned long long>(value));
    case Style::kFunction:
      return to_string(Requester::from_sid(static_cast<std::uint16_t>(value)));
  }
  return {};
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) return digits(text.substr(2), 16);
  if (text.find(':') != std::string_view::npos) return function_of(text);
  return digits(text, 10);
}

std::string hex_text(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += formatted("%02x", std::to_integer<unsigned>(b));
  return text;
}

std::optional<std::vector<std::byte>> bytes_of(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto value = digits(text.substr(i, 2), 16);
    if (!value) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(*value));
  }
  return bytes;
}

std::string step_text(PathStep step) {
  return formatted("%02x.%x", unsigned{step.device}, unsigned{step.function});
}

std::optional<PathStep> step_of(std::string_view text) {
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) return std::nullopt;
  const auto device = digits(text.substr(0, point), 16);
  const auto function = digits(text.substr(point + 1), 16);
  if (!device || !function || *device > 0xff || *function > 0xff) return std::nullopt;
  return PathStep{.device = static_cast<std::uint8_t>(*device),
                  .function = static_cast<std::uint8_t>(*function)};
}

std::uint64_t mask_of(const Part& part) { return bit_mask(part.high, part.low); }

std::uint64_t unclaimed(std::span<const Part> parts, std::size_t bytes) {
  std::uint64_t mask = bit_mask(static_cast<unsigned>(bytes * 8 - 1), 0);
  for (const Part& part : parts) mask &= ~mask_of(part);
  return mask;
}

bool is_readable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace weir::tools::acpi
