// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_setup.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "base/bits.h"
#include "tools/verify/vtd_driver_registers.h"

namespace weir::verify {
namespace {

using namespace vtd_registers;

constexpr std::uint64_t kMostRam = std::uint64_t{1} << 40;
constexpr std::size_t kMostRanges = 64;
constexpr std::size_t kMostDevices = 256;

// Low memory below the tables of every file so far; any page that is not named would do.
constexpr std::uint64_t kFirstDriverPage = 0xf00000 >> kPageLg2;

constexpr std::uint64_t kCapMatters =
    decltype(kCachingMode)::kMask | decltype(kWidths)::kMask | decltype(kMgaw)::kMask |
    decltype(kLargePages)::kMask | decltype(kPageSelective)::kMask |
    decltype(kFaultRecords)::kMask | decltype(kMostAddressMask)::kMask |
    decltype(kRootPointerFlushes)::kMask | decltype(kFirstStage1g)::kMask |
    decltype(kFirstStage5)::kMask;
constexpr std::uint64_t kEcapMatters = decltype(kQueuedInvalidation)::kMask |
                                       decltype(kDeviceTlb)::kMask | decltype(kPassThrough)::kMask |
                                       decltype(kSnoopControl)::kMask | kScalableFeatures;

// Every page that a case says anything about, or could by a word taken as a pointer.
class NamedPages {
 public:
  void add(std::uint64_t address) { pages_.insert(address >> kPageLg2); }
  void add(const std::vector<MemoryRun>& runs) {
    for (const MemoryRun& run : runs) {
      for (std::size_t i = 0; i < run.words.size(); ++i) {
        add(run.first.value() + i * sizeof(std::uint64_t));
        add(run.words[i] & bit_mask(51, kPageLg2));
      }
    }
  }
  void add(const Dma& dma) {
    add(dma.iova.value());
    for (const DmaResult& result : dma.permitted) {
      if (const auto* reached = std::get_if<Reached>(&result)) add(reached->gpa.value());
    }
  }
  void add(const VtdOperation& operation) {
    if (const auto* edit = std::get_if<EditMemory>(&operation)) add(edit->runs);
    if (const auto* root = std::get_if<SetRoot>(&operation)) add(root->root.value());
    if (const auto* dma = std::get_if<Dma>(&operation)) add(*dma);
    if (const auto* bad = std::get_if<BadDescriptor>(&operation)) {
      for (const std::uint64_t word : bad->words) add(word);
    }
  }

  [[nodiscard]] bool holds(std::uint64_t page) const { return pages_.contains(page); }
  [[nodiscard]] std::size_t count() const { return pages_.size(); }

 private:
  std::set<std::uint64_t> pages_;
};

}  // namespace

std::vector<AddressRange<Gpa>> read_ram_ranges(const Fields& header) {
  std::vector<AddressRange<Gpa>> ranges;
  std::uint64_t total = 0;
  for (const auto& row : header.hex_rows("ram", 2)) {
    const bool good = row.size() == 2 && row[0] < row[1] && is_aligned(row[0], kPageLg2) &&
                      is_aligned(row[1], kPageLg2) && row[1] - row[0] <= kMostRam - total;
    if (!good || ranges.size() == kMostRanges) {
      header.complain("ram", "is not a short list of page-aligned [start, end), 1 TiB in all");
      return {};
    }
    total += row[1] - row[0];
    ranges.push_back({Gpa(row[0]), Gpa(row[1] - 1)});
  }
  if (ranges.empty()) header.complain("ram", "is empty");
  return ranges;
}

std::vector<Requester> read_devices(const Fields& header) {
  std::vector<Requester> devices;
  for (const Fields& one : header.objects("devices")) {
    const Requester device = read_bdf(one, "bdf");
    if (std::ranges::find(devices, device) != devices.end()) one.complain("bdf", "is there twice");
    devices.push_back(device);
  }
  if (devices.size() > kMostDevices) header.complain("devices", "are more than 256");
  return devices;
}

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

void check_case(const VtdCase& checked, const GuestRam& ram, const std::vector<Requester>& devices,
                const Fields& fields) {
  const auto check_runs = [&](const std::vector<MemoryRun>& runs) {
    for (const MemoryRun& run : runs) {
      if (!ram.holds(run.first, run.words.size() * sizeof(std::uint64_t))) {
        fields.complain("mem", "a run lies outside RAM");
      }
    }
  };
  const auto check_device = [&](Requester device) {
    if (std::ranges::find(devices, device) == devices.end()) {
      fields.complain("ops", "a device is not in the header's list");
    }
  };
  check_runs(checked.memory);
  if (checked.config.scalable && !checked.config.through_queue)
    fields.complain("cfg", "scalable mode without a queue");
  for (const VtdOperation& operation : checked.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation)) check_runs(edit->runs);
    if (const auto* dma = std::get_if<Dma>(&operation)) {
      check_device(dma->requester);
      check_runs(dma->updated);
    }
    if (const auto* burst = std::get_if<FaultBurst>(&operation)) {
      for (const auto& write : burst->writes) check_device(write.requester);
    }
    if (std::holds_alternative<BadDescriptor>(operation) && !checked.config.through_queue) {
      fields.complain("ops", "a malformed descriptor in a case that uses no queue");
    }
  }
}

std::optional<DriverPages> find_driver_pages(const VtdCase& read, const GuestRam& ram) {
  NamedPages named;
  named.add(read.root.value());
  named.add(read.memory);
  for (const VtdOperation& operation : read.operations) named.add(operation);

  std::vector<Gpa> found;
  // Of count() + 2 pages in a row, at least two are not named.
  for (std::uint64_t i = 0; i < named.count() + 2 && found.size() < 2; ++i) {
    const std::uint64_t page = kFirstDriverPage + i;
    const Gpa at(page << kPageLg2);
    if (!named.holds(page) && ram.holds(at, kPageSize)) found.push_back(at);
  }
  if (found.size() < 2) return std::nullopt;
  return DriverPages{.queue = found[0], .status = found[1]};
}

}  // namespace weir::verify
