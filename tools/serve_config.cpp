// SPDX-License-Identifier: Apache-2.0
#include "tools/serve_config.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "tools/acpi/table_file.h"
#include "tools/json_members.h"
#include "tools/serve_devices.h"

namespace weir::tools {
namespace {

using Json = nlohmann::json;
using vfio_user::FrontEnd;
using vfio_user::MachineOptions;

// "00:04.0", or "04.0" on bus 0.
[[nodiscard]] std::optional<Requester> parse_address(std::string_view text) {
  const auto field = [&text](std::size_t digits, char end) -> std::optional<unsigned> {
    unsigned value = 0;
    if (text.size() < digits || (end != 0 && (text.size() == digits || text[digits] != end)))
      return std::nullopt;
    const auto parsed = std::from_chars(text.data(), text.data() + digits, value, 16);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + digits) return std::nullopt;
    text.remove_prefix(digits + (end != 0 ? 1 : 0));
    return value;
  };
  if (text.find(':') != std::string_view::npos && field(2, ':') != 0u) return std::nullopt;
  const auto device = field(2, '.');
  const auto function = field(1, 0);
  if (!device || !function || !text.empty() || *device > 31 || *function > 7) return std::nullopt;
  return Requester::from_bdf(0, *device, *function);
}

[[nodiscard]] Requester address_or(JsonMembers& members, std::string_view name,
                                   Requester otherwise) {
  const auto text = members.text(name);
  if (!text) return otherwise;
  const auto parsed = parse_address(*text);
  if (!parsed) members.refuse(name, "is no address on bus 0, such as 00:04.0");
  return parsed.value_or(otherwise);
}

void take_vtd(JsonMembers& members, const std::string& profile, vtd::Options& options) {
  if (profile == "legacy") {
    options = vtd::profile::legacy();
  } else if (profile == "first-stage") {
    options = vtd::profile::scalable_first_stage();
  } else if (profile == "second-stage") {
    options = vtd::profile::scalable_second_stage();
  } else {
    members.refuse("profile", "is not one of legacy, first-stage, second-stage");
  }
  options.caching_mode = members.flag("caching_mode", false);
  // A guest that finds them asks for interrupts to be remapped that never come this way.
  options.interrupt_remapping = members.flag("interrupt_remapping", false);
  options.extended_interrupts = options.posted_interrupts = false;
}

void take_amdvi(JsonMembers& members, const std::string& profile, amdvi::Options& options) {
  if (profile == "v1") {
    options = amdvi::options_for(amdvi::Profile::kV1);
  } else if (profile == "v2") {
    options = amdvi::options_for(amdvi::Profile::kV2);
  } else {
    members.refuse("profile", "is not one of v1, v2");
  }
  options.caching_mode = members.flag("caching_mode", false);
}

void take_viommu(JsonMembers& members, const std::string& profile, virtio_iommu::Options& options) {
  if (profile != "default") members.refuse("profile", "is not default");
  // Firmware does DMA before there is a driver.
  options.boot_bypass = members.flag("boot_bypass", true);
  options.input_range = {Iova(0), Iova((std::uint64_t{1} << 48) - 1)};
}

void take_front_end(JsonMembers& members, ServeConfig& config) {
  MachineOptions& machine = config.machine;
  const std::string front_end = members.text("front_end").value_or("");
  const auto profile = members.text("profile");
  if (front_end == "vtd") {
    machine.front_end = FrontEnd::kVtd;
    take_vtd(members, config.profile = profile.value_or("legacy"), machine.vtd);
    machine.interrupt_remapping = machine.vtd.interrupt_remapping;
  } else if (front_end == "amdvi") {
    machine.front_end = FrontEnd::kAmdvi;
    take_amdvi(members, config.profile = profile.value_or("v1"), machine.amdvi);
  } else if (front_end == "virtio-iommu") {
    machine.front_end = FrontEnd::kVirtioIommu;
    take_viommu(members, config.profile = profile.value_or("default"), machine.viommu);
  } else if (front_end != "none") {
    members.refuse("front_end", "is not one of vtd, amdvi, virtio-iommu, none");
  }
}

void take_policy(JsonMembers& members, MachineOptions& machine) {
  machine.holder = address_or(members, "iommu_address", machine.holder);
  machine.amdvi_function = address_or(members, "amdvi_address", machine.amdvi_function);
  machine.register_base = members.number("register_base", 0x1000, ~std::uint32_t{0});
  if (machine.register_base.value_or(0) % 0x4000 != 0 && machine.front_end == FrontEnd::kAmdvi)
    members.refuse("register_base", "is no multiple of 16 KiB");
  if (machine.register_base.value_or(0) % 0x1000 != 0)
    members.refuse("register_base", "is no multiple of 4 KiB");
  machine.caches.entries = members.number_or("iotlb_entries", 0, 1 << 24, machine.caches.entries);
  if (members.flag("reference_cache", false))
    machine.caches.organisation = CacheOptions::Organisation::kReference;
  if (members.flag("accept_unsealed_memory", false))
    machine.server.unsealed = vfio_user::UnsealedFiles::kAccept;
}

// As the first unit, but for its place and its caching mode. Empty, or what is wrong.
[[nodiscard]] std::string take_second_unit(JsonMembers& members, MachineOptions& machine) {
  const Json* const second = members.find("second_unit");
  if (second == nullptr) return {};
  JsonMembers one(*second, "second_unit");
  const Requester holder = address_or(one, "address", Requester::from_bdf(0, 0x1d, 0));
  vtd::Options options = machine.vtd;
  options.caching_mode = one.flag("caching_mode", false);
  if (machine.front_end != FrontEnd::kVtd) return "second_unit is of vtd only";
  if (holder.device() == machine.holder.device()) one.refuse("address", "is the first unit's");
  machine.second_unit = {.holder = holder, .vtd = options};
  return one.error();
}

// The bytes of a file. Empty, or what is wrong.
[[nodiscard]] std::string take_table(JsonMembers& members, MachineOptions& machine) {
  const auto path = members.text("table");
  if (!path) return {};
  auto bytes = acpi::read_table_file(*path);
  if (!bytes) return "table: " + *path + ": " + bytes.error();
  machine.table = std::move(*bytes);
  return {};
}

// Empty, or what is wrong.
[[nodiscard]] std::string take_devices(JsonMembers& members, ServeConfig& config) {
  const Json* const devices = members.find("devices");
  if (devices == nullptr || !devices->is_array() || devices->empty() || devices->size() > 24)
    return "devices is no list of 1 to 24 devices";
  for (std::size_t i = 0; i < devices->size(); ++i) {
    const std::string where = "devices[" + std::to_string(i) + "]";
    auto made = make_served_device((*devices)[i], where);
    if (!made) return made.error();
    JsonMembers one((*devices)[i], where);
    const Requester next = Requester::from_bdf(0, 4 + static_cast<unsigned>(i), 0);
    const Requester address = address_or(one, "address", next);
    const bool bypass = one.flag("bypass", false);
    const bool second = one.flag("second_unit", false);
    if (second && !config.machine.second_unit) one.refuse("second_unit", "is not there");
    for (const auto& other : config.machine.devices)
      if (other.function == address) one.refuse("address", "is taken");
    const auto& second_unit = config.machine.second_unit;
    if (address == config.machine.holder || (second_unit && address == second_unit->holder))
      one.refuse("address", "is the IOMMU's");
    // What else was there, the device itself has refused.
    if (const std::string error = one.refused(); !error.empty()) return error;
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::string name{'0',
                           '0',
                           ':',
                           kDigits[address.device() >> 4],
                           kDigits[address.device() & 15],
                           '.',
                           kDigits[address.function()]};
    config.devices.push_back({name, std::move(made->counters)});
    config.machine.devices.push_back({.function = address,
                                      .bypass = bypass,
                                      .second = second,
                                      .device = std::move(made->function)});
  }
  return {};
}

}  // namespace

Result<ServeConfig, std::string> read_serve_config(const std::string& text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    return Failure{"no JSON at byte " + std::to_string(error.byte)};
  }
  ServeConfig config;
  JsonMembers members(json, "");
  take_front_end(members, config);
  take_policy(members, config.machine);
  config.memory_mib = members.number_or("memory_mib", 64, 1 << 20, config.memory_mib);
  config.processors = members.number_or("processors", 1, 255, config.processors);
  (void)members.find("devices");
  std::string wrong = take_second_unit(members, config.machine);
  if (wrong.empty()) wrong = take_table(members, config.machine);
  if (std::string error = members.error(); !error.empty()) return Failure{std::move(error)};
  if (!wrong.empty()) return Failure{std::move(wrong)};
  if (std::string error = take_devices(members, config); !error.empty())
    return Failure{std::move(error)};
  return config;
}

}  // namespace weir::tools
