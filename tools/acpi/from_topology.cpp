// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/from_topology.h"

#include <nlohmann/json.hpp>

#include "tools/acpi/topology_json.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi {

Result<std::vector<std::byte>, std::string> bytes_from_topology(
    const nlohmann::ordered_json& json) {
  const auto topology = topology_from_json(json);
  if (!topology) return Failure{topology.error()};
  const auto flag = [&json](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_boolean() && found->get<bool>();
  };
  const std::string table = json.contains("table") && json["table"].is_string()
                                ? json["table"].get<std::string>()
                                : std::string();
  if (table == "DMAR") {
    vtd::DmarOptions options{.interrupt_remapping = flag("interrupt_remapping"),
                             .x2apic_opt_out = flag("x2apic_opt_out"),
                             .platform_opt_in = flag("platform_opt_in")};
    if (const auto bits = json.find("host_address_bits"); bits != json.end()) {
      if (!bits->is_number_unsigned() || bits->get<std::uint64_t>() < 1 ||
          bits->get<std::uint64_t>() > 64)
        return Failure{std::string("host_address_bits: is no number from 1 to 64")};
      options.host_address_bits = bits->get<unsigned>();
    }
    return vtd::build_dmar_for(*topology, options);
  }
  if (table == "IVRS") return amdvi::build_ivrs_for(*topology);
  if (table == "VIOT") return virtio_iommu::build_viot_for(*topology);
  return Failure{std::string("table: is none of DMAR, IVRS and VIOT")};
}

}  // namespace weir::tools::acpi
