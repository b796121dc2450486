// SPDX-License-Identifier: Apache-2.0
//
// From a machine and its wishes to an IVRS: device entries that name what is wished, and no more.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "iommu/wishes.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/ivrs_from.h"

namespace weir::amdvi {
namespace {

using Problem = std::optional<std::string>;

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kHidBytes = 8;

class Builder {
 public:
  Builder(const Topology& topology, const IvrsOptions& options)
      : t_(topology), options_(options), table_(empty_ivrs(options)) {}

  [[nodiscard]] Result<ivrs::Table, std::string> run() {
    if (auto problem = first_problem()) return Failure{std::move(*problem)};
    std::vector<std::uint8_t> types{ivrs::ivhd::kType10, ivrs::ivhd::kType11};
    const auto behind_a_unit = [](const NamedDevice& device) {
      return device.wish.kind == Wish::Kind::kUnit;
    };
    if (std::ranges::any_of(t_.named_devices(), behind_a_unit))
      types.push_back(ivrs::ivhd::kType40);
    for (const std::uint8_t type : types)
      for (const bool rest : {true, false})
        for (std::uint32_t u = 0; u < t_.units().size(); ++u)
          if (t_.units()[u].takes_rest == rest) add_unit(u, type);
    for (const ReservedRegion& region : t_.reserved()) add_region(region);
    return std::move(table_);
  }

 private:
  [[nodiscard]] Problem first_problem() const {
    for (std::uint32_t u = 0; u < t_.units().size(); ++u)
      if (auto problem = problem_of_unit(u)) return problem;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (auto problem = other_segment(t_.name({i}), t_.number({i}).segment, t_[{i}].wish))
        return problem;
    for (const NamedDevice& device : t_.named_devices())
      if (auto problem = problem_of(device)) return problem;
    for (const InterruptSource& source : t_.interrupt_sources())
      if (source.unit)
        if (auto problem = other_segment("interrupt source " + to_string(source.as),
                                         source.as.segment, Wish::unit(*source.unit)))
          return problem;
    for (const ReservedRegion& region : t_.reserved())
      if (auto problem = problem_of(region)) return problem;
    if (auto problem = two_aliases()) return problem;
    if (const auto good = check_numbers(t_, NumbersOf::kEverything); !good) return good.error();
    return std::nullopt;
  }

  // Of two that are declared for one slot.
  [[nodiscard]] Problem two_aliases() const {
    std::map<Requester, FunctionId> first;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      const FunctionId id{i};
      if (t_[id].wish.kind != Wish::Kind::kUnit) continue;
      const auto [other, alone] = first.emplace(t_.number(id), id);
      if (alone || t_.requester(other->second) == t_.requester(id)) continue;
      return t_.name(other->second) + " and " + t_.name(id) +
             " are declared for one slot and ask under different numbers, " +
             to_string(t_.requester(other->second)) + " and " + to_string(t_.requester(id)) +
             ", but an IVRS has one alias for a slot: declare one";
    }
    return std::nullopt;
  }

  [[nodiscard]] Problem problem_of_unit(std::uint32_t u) const {
    const UnitPlace& unit = t_.units()[u];
    if (!unit.function)
      return name_of_unit(t_, u) +
             " is no function of the machine, and an IVRS names units by theirs: add one";
    if (t_.number(*unit.function).segment != unit.segment)
      return name_of_unit(t_, u) + " serves segment " + std::to_string(unit.segment) + " and " +
             t_.name(*unit.function) +
             ", which it is itself, is in another, but an IVRS has one segment for both: give "
             "that segment a unit of its own";
    return std::nullopt;
  }

  // A guest takes an entry without a unique id for any device with that hardware id.
  [[nodiscard]] Problem problem_of(const NamedDevice& device) const {
    if (auto problem = other_segment(device.path, device.as.segment, device.wish)) return problem;
    if (device.wish.kind != Wish::Kind::kUnit) return std::nullopt;
    if (device.hid.empty() || device.hid.size() > kHidBytes || device.uid.size() > 0xff)
      return device.path +
             " needs a hardware id of 1 to 8 characters and a unique id of at most 255 in an "
             "IVRS: give it both";
    for (const NamedDevice& other : t_.named_devices())
      if (&other != &device && other.hid == device.hid &&
          (device.uid.empty() || other.uid == device.uid))
        return device.path + " and " + other.path + " have the hardware id " + device.hid +
               (device.uid.empty() ? ", and " + device.path + " no unique id"
                                   : " and the unique id " + device.uid) +
               ", by which an IVRS would name both: give each a unique id of its own";
    return std::nullopt;
  }

  [[nodiscard]] Problem problem_of(const ReservedRegion& region) const {
    if (region.first % kPage != 0 || (region.last + 1) % kPage != 0)
      return "a reserved region of an IVRS consists of whole pages: widen it";
    for (const FunctionId id : region.functions)
      if (t_.number(id).segment != region.segment)
        return t_.name(id) + " is not in segment " + std::to_string(region.segment) +
               ", for which its reserved region is: give the other segment a region of its own";
    return std::nullopt;
  }

  [[nodiscard]] Problem other_segment(const std::string& who, std::uint16_t segment,
                                      Wish wish) const {
    if (wish.kind != Wish::Kind::kUnit || segment == t_.units()[wish.index].segment)
      return std::nullopt;
    return who + " is in another segment than " + name_of_unit(t_, wish.index) +
           ", and a unit of an IVRS serves one: give the other segment a unit of its own";
  }

  void add_unit(std::uint32_t u, std::uint8_t type) {
    const UnitPlace& unit = t_.units()[u];
    ivrs::Ivhd ivhd = empty_ivhd(type, options_);
    ivhd.device = t_.number(*unit.function).bdf;
    ivhd.base = unit.register_base;
    ivhd.segment = unit.segment;
    if (unit.takes_rest) {
      ivhd.entries.push_back({.type = ivrs::entry::kAll});
    } else {
      add_functions(u, ivhd.entries);
    }
    add_aliases(u, ivhd.entries);
    for (const InterruptSource& source : t_.interrupt_sources())
      if (source.unit == u)
        ivhd.entries.push_back({.type = ivrs::entry::kSpecial,
                                .source = source.as.bdf,
                                .handle = source.id,
                                .variety = source.kind == InterruptSource::Kind::kIoApic
                                               ? ivrs::entry::kIoApic
                                               : ivrs::entry::kHpet});
    if (type == ivrs::ivhd::kType40)
      for (const NamedDevice& device : t_.named_devices())
        if (device.wish == Wish::unit(u)) ivhd.entries.push_back(entry_of(device));
    table_.blocks.emplace_back(std::move(ivhd));
  }

  [[nodiscard]] static ivrs::Entry entry_of(const NamedDevice& device) {
    ivrs::Entry entry{.type = ivrs::entry::kAcpi, .device = device.as.bdf};
    std::ranges::copy(device.hid, entry.hid.begin());
    if (!device.uid.empty()) {
      entry.uid_format = ivrs::entry::kUidText;
      entry.uid = device.uid;
    }
    return entry;
  }

  [[nodiscard]] bool has_alias(FunctionId id) const { return t_.requester(id) != t_.number(id); }

  // Numbers that lie side by side and are all wished make a range; nothing between them is
  // named that was not wished.
  void add_functions(std::uint32_t u, std::vector<ivrs::Entry>& entries) const {
    std::set<std::uint16_t> numbers;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      if (t_[{i}].wish != Wish::unit(u) || has_alias({i})) continue;
      for (const Requester as : t_.requesters({i})) numbers.insert(as.bdf);
    }
    for (auto at = numbers.begin(); at != numbers.end();) {
      FunctionRange range{.first = *at, .last = *at};
      while (++at != numbers.end() && *at == range.last + 1) range.last = *at;
      add_range(entries, range);
    }
  }

  void add_aliases(std::uint32_t u, std::vector<ivrs::Entry>& entries) const {
    std::set<std::pair<std::uint16_t, std::uint16_t>> pairs;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (t_[{i}].wish == Wish::unit(u) && has_alias({i}))
        pairs.emplace(t_.number({i}).bdf, t_.requester({i}).bdf);
    for (const auto& [device, source] : pairs)
      entries.push_back({.type = ivrs::entry::kAlias, .device = device, .source = source});
  }

  void add_region(const ReservedRegion& region) {
    namespace ivmd = ivrs::ivmd;
    ivrs::Ivmd block{
        .segment = region.segment, .base = region.first, .length = region.last - region.first + 1};
    block.flags = static_cast<std::uint8_t>(region.exclusion
                                                ? ivmd::kExclusion.of(1)
                                                : ivmd::kUnity.of(1) | ivmd::kRead.of(region.read) |
                                                      ivmd::kWrite.of(region.write));
    if (region.functions.empty()) {
      table_.blocks.emplace_back(std::move(block));
      return;
    }
    std::set<std::uint16_t> numbers;
    // Guests look by what a function is called, units by what its requests bear.
    for (const FunctionId id : region.functions) {
      numbers.insert(t_.number(id).bdf);
      for (const Requester as : t_.requesters(id)) numbers.insert(as.bdf);
    }
    for (auto at = numbers.begin(); at != numbers.end();) {
      block.device = block.last_device = *at;
      while (++at != numbers.end() && *at == block.last_device + 1) block.last_device = *at;
      block.type = block.device == block.last_device ? ivmd::kOne : ivmd::kRange;
      ivrs::Ivmd one = block;
      if (one.type == ivmd::kOne) one.last_device = 0;
      table_.blocks.emplace_back(std::move(one));
    }
  }

  const Topology& t_;
  const IvrsOptions& options_;
  ivrs::Table table_;
};

}  // namespace

Result<ivrs::Table, std::string> ivrs_of(const Topology& topology, const IvrsOptions& options) {
  if (auto possible = check_wishes(topology); !possible) return Failure{possible.error()};
  return Builder(topology, options).run();
}

Result<std::vector<std::byte>, std::string> build_ivrs_for(const Topology& topology,
                                                           const IvrsOptions& options) {
  const auto table = ivrs_of(topology, options);
  if (!table) return Failure{table.error()};
  auto bytes = write_ivrs(*table);
  if (!bytes) return Failure{bytes.error().cause};
  // What the guest will read, and not what was meant, is what has to fit the wishes.
  const auto says = ivrs_parser().parse(*bytes);
  if (!says) return Failure{says.error().cause};
  if (auto kept = check_coverage(topology, *says); !kept) return Failure{kept.error()};
  return std::move(*bytes);
}

}  // namespace weir::amdvi
