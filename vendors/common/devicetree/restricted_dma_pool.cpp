// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/devicetree/restricted_dma_pool.h"

#include <algorithm>
#include <array>
#include <optional>

namespace weir::devicetree {
namespace {

constexpr std::size_t kCellBytes = 4;
constexpr unsigned kByteBits = 8;
// A pool of bounce buffers has to be plain memory that is always there.
constexpr std::array<std::string_view, 4> kRefused{"no-map", "reusable", "linux,cma-default",
                                                   "linux,dma-default"};

[[nodiscard]] const Property* find(std::span<const Property> node, std::string_view name) {
  const auto found = std::ranges::find(node, name, &Property::name);
  return found == node.end() ? nullptr : &*found;
}

// The most significant byte first.
[[nodiscard]] std::uint64_t number(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes)
    value = value << kByteBits | std::to_integer<std::uint64_t>(byte);
  return value;
}
void put(std::vector<std::byte>& bytes, std::uint64_t value, unsigned cells) {
  for (std::size_t i = cells * kCellBytes; i-- > 0;)
    bytes.push_back(static_cast<std::byte>(value >> kByteBits * i));
}

}  // namespace

bool is_restricted_pool(std::span<const Property> node) {
  const Property* compatible = find(node, "compatible");
  if (compatible == nullptr) return false;
  // A list of strings, each with its end.
  const auto* text = reinterpret_cast<const char*>(compatible->value.data());
  std::string_view rest(text, compatible->value.size());
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find('\0'));
    if (one == kCompatible) return true;
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
  }
  return false;
}

Result<Window, std::string> read_pool(std::span<const Property> node, Cells cells) {
  for (const std::string_view name : kRefused)
    if (find(node, name) != nullptr)
      return Failure{"a restricted DMA pool cannot be " + std::string(name)};
  const Property* reg = find(node, "reg");
  if (reg == nullptr) return Failure{std::string("a restricted DMA pool has no reg")};
  const std::size_t address_bytes = cells.address * kCellBytes;
  if (reg->value.size() != address_bytes + cells.size * kCellBytes)
    return Failure{std::string("the reg of a restricted DMA pool is not one range")};
  const std::span<const std::byte> bytes(reg->value);
  const Gpa first(number(bytes.first(address_bytes)));
  const std::uint64_t size = number(bytes.subspan(address_bytes));
  if (size == 0) return Failure{std::string("a restricted DMA pool is empty")};
  const Window window = Window::identity({first, first + (size - 1)});
  if (auto why = why_no_window(window)) return Failure{std::move(*why)};
  return window;
}

std::vector<Property> write_pool(const Window& window, Cells cells, std::uint32_t phandle) {
  Property compatible{.name = "compatible"};
  for (const char c : kCompatible) compatible.value.push_back(static_cast<std::byte>(c));
  compatible.value.push_back(std::byte{0});
  Property reg{.name = "reg"};
  put(reg.value, window.to.value(), cells.address);
  put(reg.value, window.range.last - window.range.first + 1, cells.size);
  Property handle{.name = "phandle"};
  put(handle.value, phandle, 1);
  return {std::move(compatible), std::move(reg), std::move(handle)};
}

Result<std::vector<std::uint32_t>, std::string> read_memory_region(const Property& property) {
  if (property.value.size() % kCellBytes != 0)
    return Failure{std::string("a memory-region is not whole cells")};
  std::vector<std::uint32_t> phandles;
  for (std::size_t at = 0; at < property.value.size(); at += kCellBytes)
    phandles.push_back(static_cast<std::uint32_t>(
        number(std::span(property.value).subspan(at, kCellBytes))));
  return phandles;
}

Property write_memory_region(std::span<const std::uint32_t> phandles) {
  Property property{.name = "memory-region"};
  for (const std::uint32_t phandle : phandles) put(property.value, phandle, 1);
  return property;
}

}  // namespace weir::devicetree
