// SPDX-License-Identifier: Apache-2.0
//
// From a machine and its wishes to a VIOT: ranges that hold what is wished, and no more.
#include <map>
#include <set>
#include <utility>

#include "iommu/wishes.h"
#include "vendors/virtio_iommu/viot.h"

namespace weir::virtio_iommu {
namespace {

using Problem = std::optional<std::string>;
using Numbers = std::set<std::uint16_t>;

constexpr std::uint32_t kFirstMmioEndpoint = 0x8000'0000;
constexpr unsigned kMostNodes = 1000;  // whose units a 16-bit offset reaches

class Builder {
 public:
  explicit Builder(const Topology& topology) : t_(topology) {}

  [[nodiscard]] Result<Viot, std::string> run() {
    if (auto problem = first_problem()) return Failure{std::move(*problem)};
    for (std::uint32_t u = 0; u < t_.units().size(); ++u) {
      viot_.units.push_back(t_.units()[u].register_base);
      for (const auto& [segment, numbers] : numbers_of(u)) add_ranges(u, segment, numbers);
    }
    for (const NamedDevice& device : t_.named_devices())
      if (device.wish.kind == Wish::Kind::kUnit)
        viot_.mmio_endpoints.push_back({.unit = t_.units()[device.wish.index].register_base,
                                        .base = *device.mmio,
                                        .endpoint = next_endpoint()});
    if (viot_.units.size() + viot_.ranges.size() + viot_.mmio_endpoints.size() > kMostNodes)
      return Failure{std::string(
          "the VIOT would have more than 1000 nodes: number functions behind a unit in a row")};
    return std::move(viot_);
  }

 private:
  // Ids of functions of segments from 8000h on lie where these count.
  [[nodiscard]] std::uint32_t next_endpoint() {
    for (bool taken = true; taken;) {
      taken = false;
      for (const ViotRange& range : viot_.ranges) {
        const std::uint32_t last = range.first_endpoint + (range.last.bdf - range.first.bdf);
        if (next_endpoint_ < range.first_endpoint || next_endpoint_ > last) continue;
        next_endpoint_ = last + 1;
        taken = true;
      }
    }
    return next_endpoint_++;
  }

  [[nodiscard]] Problem first_problem() const {
    for (std::uint32_t u = 0; u < t_.units().size(); ++u) {
      const auto& function = t_.units()[u].function;
      const bool named_by_pci = viot::pci_name::kIsPci.is_set(t_.units()[u].register_base);
      if (function.has_value() != named_by_pci ||
          (function && t_.units()[u].register_base != name_of_pci(t_.number(*function))))
        return name_of_unit(t_, u) +
               " has to be named by its PCI function where it has one (name_of_pci), and by the "
               "address of its registers where it has none";
    }
    for (const NamedDevice& device : t_.named_devices())
      if (device.wish.kind == Wish::Kind::kUnit && !device.mmio)
        return device.path +
               " has no register address, by which alone a VIOT names what is no PCI function: "
               "give it one (mmio)";
    for (const InterruptSource& source : t_.interrupt_sources())
      if (source.unit)
        return "interrupt source " + to_string(source.as) + " wishes to be behind " +
               name_of_unit(t_, *source.unit) +
               ", but a virtio-iommu remaps no interrupts: list it under no unit";
    if (const auto good = check_numbers(t_, NumbersOf::kFunctions); !good) return good.error();
    return std::nullopt;
  }

  // What the function is called, and every number that a quirk or a bridge above puts in its place,
  // also where the next bridge puts another: a guest that misses one of them takes none.
  [[nodiscard]] Numbers on_the_way(FunctionId id) const {
    Numbers numbers{t_.number(id).bdf};
    if (t_[id].alias) numbers.insert(*t_[id].alias);
    for (auto above = t_[id].bridge; above; above = t_[*above].bridge) {
      if (t_[*above].kind == FunctionKind::kPciBridge) numbers.insert(t_.number(*above).bdf);
      if (t_[*above].kind == FunctionKind::kPcieToPciBridge)
        numbers.insert(static_cast<std::uint16_t>(t_[*above].secondary << 8));
    }
    return numbers;
  }

  // By segment. A guest looks for every number that a function may bear, so aliases count.
  [[nodiscard]] std::map<std::uint16_t, Numbers> numbers_of(std::uint32_t u) const {
    std::map<std::uint16_t, Numbers> numbers;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      if (t_[{i}].wish != Wish::unit(u)) continue;
      Numbers& of_segment = numbers[t_.number({i}).segment];
      for (const std::uint16_t bdf : on_the_way(FunctionId{i})) of_segment.insert(bdf);
      for (const Requester as : t_.requesters({i})) of_segment.insert(as.bdf);
    }
    if (t_.units()[u].takes_rest) take_rest(u, numbers[t_.units()[u].segment]);
    return numbers;
  }

  // Every number of the segment that no other unit names.
  void take_rest(std::uint32_t u, Numbers& numbers) const {
    Numbers others;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (t_[{i}].wish != Wish::unit(u) && t_.number({i}).segment == t_.units()[u].segment) {
        others.merge(on_the_way({i}));
        for (const Requester as : t_.requesters({i})) others.insert(as.bdf);
      }
    for (unsigned bdf = 0; bdf <= 0xffff; ++bdf)
      if (!others.contains(static_cast<std::uint16_t>(bdf)))
        numbers.insert(static_cast<std::uint16_t>(bdf));
  }

  void add_ranges(std::uint32_t u, std::uint16_t segment, const Numbers& numbers) {
    for (auto at = numbers.begin(); at != numbers.end();) {
      const std::uint16_t first = *at;
      std::uint16_t last = first;
      while (++at != numbers.end() && *at == last + 1) last = *at;
      viot_.ranges.push_back({.unit = t_.units()[u].register_base,
                              .first = {segment, first},
                              .last = {segment, last},
                              .first_endpoint = std::uint32_t{segment} << 16 | first});
    }
  }

  const Topology& t_;
  Viot viot_;
  std::uint32_t next_endpoint_ = kFirstMmioEndpoint;
};

}  // namespace

Result<Viot, std::string> viot_of(const Topology& topology) {
  if (auto possible = check_wishes(topology); !possible) return Failure{possible.error()};
  return Builder(topology).run();
}

Result<std::vector<std::byte>, std::string> build_viot_for(const Topology& topology) {
  const auto viot = viot_of(topology);
  if (!viot) return Failure{viot.error()};
  std::vector<std::byte> bytes = build_viot(*viot);
  // What the guest will read, and not what was meant, is what has to fit the wishes.
  const auto says = viot_parser().parse(bytes);
  if (!says) return Failure{says.error().cause};
  if (auto kept = check_coverage(topology, *says); !kept) return Failure{kept.error()};
  return bytes;
}

}  // namespace weir::virtio_iommu
