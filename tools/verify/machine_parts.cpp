// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/machine_parts.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bits.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kMostRam = std::uint64_t{1} << 40;
constexpr std::size_t kMostRanges = 64;
constexpr std::size_t kMostDevices = 256;

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

}  // namespace

std::optional<Premises> read_premises(const Fields& header, const MachineOptions& options) {
  const auto ranges = read_ram_ranges(header);
  auto devices = read_devices(header);
  if (!header.ok()) return std::nullopt;
  auto ram = GuestRam::create(ranges);
  if (!ram) {
    header.complain("ram", ram.error());
    return std::nullopt;
  }
  return Premises{std::move(*ram), std::move(devices), options};
}

void check_device(const Premises& premises, Requester device, const Fields& fields) {
  if (std::ranges::find(premises.devices, device) == premises.devices.end())
    fields.complain("ops", "a device is not in the header's list");
}

void check_runs(const Premises& premises, const std::vector<MemoryRun>& runs,
                const Fields& fields) {
  for (const MemoryRun& run : runs)
    if (!premises.ram.holds(run.first, run.words.size() * sizeof(std::uint64_t)))
      fields.complain("mem", "a run lies outside RAM");
}

void write_runs(GuestRam& ram, const std::vector<MemoryRun>& runs) {
  for (const MemoryRun& run : runs)
    for (std::size_t i = 0; i < run.words.size(); ++i)
      ram.store64(run.first + i * sizeof(std::uint64_t), run.words[i]);
}

Result<Ports, std::string> attach_all(Iommu& iommu, const std::vector<Requester>& devices) {
  Ports ports;
  for (const Requester device : devices) {
    auto port = iommu.attach(Location{.function = device, .bridges = {}});
    if (!port) return Failure{"a device cannot be attached: " + port.error()};
    ports.emplace(device, std::move(*port));
  }
  return ports;
}

Verdict carried_out(const Result<Done, std::string>& outcome) {
  return {.agrees = outcome.ok(),
          .expected = "done",
          .got = outcome ? std::string("done") : outcome.error()};
}

}  // namespace weir::verify
