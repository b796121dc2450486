// SPDX-License-Identifier: Apache-2.0
//
// How the nodes of a VIOT are told apart, measured and sealed.
#include <array>
#include <cstddef>
#include <cstring>

#include "vendors/virtio_iommu/viot_fields.h"

namespace weir::acpi {
namespace {

namespace viot = virtio_iommu::viot;
using Nodes = Framing<viot::Node>;

[[nodiscard]] Failure<std::string> wrong(const char* cause) { return Failure{std::string(cause)}; }

// The alternatives of a node in their order, whose types count from 1; the last is any other.
constexpr std::array<std::string_view, 5> kKinds = {"pci_range", "mmio_endpoint", "pci_unit",
                                                    "mmio_unit", "unknown"};
constexpr std::array<std::string_view, 5> kWords = {"range of functions", "memory-mapped endpoint",
                                                    "unit on PCI", "memory-mapped unit", "node"};
constexpr std::size_t kUnknown = kKinds.size() - 1;

[[nodiscard]] viot::Node nth(std::size_t index) {
  switch (index) {
    case 0:
      return viot::PciRange{};
    case 1:
      return viot::MmioEndpoint{};
    case 2:
      return viot::PciUnit{};
    case 3:
      return viot::MmioUnit{};
    default:
      return viot::Unknown{};
  }
}

}  // namespace

Result<std::size_t, std::string> Nodes::bytes(std::span<const std::byte> from) {
  if (from.size() < viot::node::kHeadBytes) return wrong("a node begins beyond the table");
  std::uint16_t length = 0;
  std::memcpy(&length, from.data() + viot::node::kLength, sizeof length);
  if (length < viot::node::kHeadBytes) return wrong("a node is shorter than its own header");
  if (length > from.size()) return wrong("a node runs past the end of the table");
  return std::size_t{length};
}

viot::Node Nodes::make(std::span<const std::byte> from) {
  // 0 is no type, and wraps to one past all.
  return nth(std::to_integer<std::size_t>(from[viot::node::kType]) - 1);
}

Result<Done, std::string> Nodes::seal(const viot::Node& n, std::span<std::byte> made) {
  if (n.index() != kUnknown) made[viot::node::kType] = static_cast<std::byte>(n.index() + 1);
  return put_length<std::uint16_t>(made, viot::node::kLength);
}

std::string_view Nodes::kind(const viot::Node& n) { return kKinds[n.index()]; }
std::string_view Nodes::words(const viot::Node& n) { return kWords[n.index()]; }

std::optional<viot::Node> Nodes::of(std::string_view kind) {
  for (std::size_t i = 0; i < kKinds.size(); ++i)
    if (kKinds[i] == kind) return nth(i);
  return std::nullopt;
}

}  // namespace weir::acpi
