// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_setup.h"

#include <array>
#include <cstdio>

#include "base/bits.h"
#include "tools/verify/vtd_driver_registers.h"

namespace weir::verify {
namespace {

using namespace vtd_registers;

constexpr std::uint64_t kCapMatters =
    decltype(kCachingMode)::kMask | decltype(kWidths)::kMask | decltype(kMgaw)::kMask |
    decltype(kLargePages)::kMask | decltype(kPageSelective)::kMask |
    decltype(kFaultRecords)::kMask | decltype(kMostAddressMask)::kMask |
    decltype(kRootPointerFlushes)::kMask | decltype(kFirstStage1g)::kMask |
    decltype(kFirstStage5)::kMask;
constexpr std::uint64_t kEcapMatters = decltype(kQueuedInvalidation)::kMask |
                                       decltype(kDeviceTlb)::kMask | decltype(kPassThrough)::kMask |
                                       decltype(kSnoopControl)::kMask | kScalableFeatures;

}  // namespace

vtd::Options read_unit_options(const VtdConfig& config, const Fields& fields) {
  vtd::Options options;
  const std::uint64_t widths = kWidths.get(config.cap);
  const std::uint64_t pages = kLargePages.get(config.cap);
  options.address_bits = config.address_bits;
  options.levels_3 = (widths & 2) != 0;
  options.levels_4 = (widths & 4) != 0;
  options.levels_5 = (widths & 8) != 0;
  options.pages_2m = (pages & 1) != 0;
  options.pages_1g = (pages & 2) != 0;
  options.caching_mode = config.caching_mode;
  options.snoop_control = kSnoopControl.is_set(config.ecap);
  options.device_tlb = kDeviceTlb.is_set(config.ecap);
  options.scalable = kScalable.is_set(config.ecap);
  options.second_stage = kSecondStage.is_set(config.ecap);
  options.first_stage = kFirstStage.is_set(config.ecap);
  options.first_stage_1g = kFirstStage1g.is_set(config.cap);
  options.first_stage_5 = kFirstStage5.is_set(config.cap);
  options.fault_records = static_cast<unsigned>(kFaultRecords.get(config.cap) + 1);
  options.max_address_mask = static_cast<unsigned>(kMostAddressMask.get(config.cap));

  constexpr std::array<unsigned, 3> kBits = {39, 48, 57};
  if (std::ranges::find(kBits, config.address_bits) == kBits.end() ||
      kMgaw.get(config.cap) + 1 != config.address_bits) {
    fields.complain("aw", "is not 39, 48 or 57, or CAP.MGAW says otherwise");
  }
  if (config.scalable && !options.scalable) fields.complain("ecap", "has no scalable mode");
  if (config.caching_mode != kCachingMode.is_set(config.cap)) {
    fields.complain("cm", "CAP.CM says otherwise");
  }
  const bool five_levels_fit = !options.levels_5 || config.address_bits == 57;
  if ((widths & ~std::uint64_t{0xe}) != 0 || widths == 0 || !five_levels_fit || pages > 3 ||
      pages == 2) {
    fields.complain("cap", "asks for table levels or page sizes that no unit has");
  }
  return options;
}

std::string compare_capabilities(const VtdConfig& config, std::uint64_t cap, std::uint64_t ecap) {
  const auto differ = [](const char* name, std::uint64_t bits) {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "the unit of this build differs in %s bits %llx", name,
                  static_cast<unsigned long long>(bits));
    return std::string(text.data());
  };
  if (const auto bits = (cap ^ config.cap) & kCapMatters; bits != 0) return differ("CAP", bits);
  if (const auto bits = (ecap ^ config.ecap) & kEcapMatters; bits != 0) return differ("ECAP", bits);
  return {};
}

void check_case(const VtdCase& checked, const Premises& premises, const Fields& fields) {
  check_runs(premises, checked.memory, fields);
  if (checked.config.scalable && !checked.config.through_queue)
    fields.complain("cfg", "scalable mode without a queue");
  for (const VtdOperation& operation : checked.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation))
      check_runs(premises, edit->runs, fields);
    if (const auto* dma = std::get_if<Dma>(&operation)) {
      check_device(premises, dma->requester, fields);
      check_runs(premises, dma->updated, fields);
    }
    if (const auto* burst = std::get_if<FaultBurst>(&operation))
      for (const auto& write : burst->writes) check_device(premises, write.requester, fields);
    if (std::holds_alternative<BadDescriptor>(operation) && !checked.config.through_queue)
      fields.complain("ops", "a malformed descriptor in a case that uses no queue");
  }
}

std::optional<DriverPages> find_driver_pages(const NamedPages& named, const GuestRam& ram) {
  const auto found = named.others(ram, 2);
  if (found.size() < 2) return std::nullopt;
  return DriverPages{.queue = found[0], .status = found[1]};
}

std::optional<DriverPages> find_driver_pages(const VtdCase& read, const GuestRam& ram) {
  NamedPages named;
  named.add(read.root.value());
  named.add(read.memory);
  for (const VtdOperation& operation : read.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation)) named.add(edit->runs);
    if (const auto* root = std::get_if<SetRoot>(&operation)) named.add(root->root.value());
    if (const auto* dma = std::get_if<Dma>(&operation)) named.add(*dma);
    if (const auto* bad = std::get_if<BadDescriptor>(&operation))
      for (const std::uint64_t word : bad->words) named.add(word);
  }
  return find_driver_pages(named, ram);
}

}  // namespace weir::verify
