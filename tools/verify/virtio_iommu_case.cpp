// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/virtio_iommu_case.h"

#include <algorithm>
#include <array>
#include <set>

#include "replay/trace_error.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kAny32 = 0xffffffff;
constexpr std::uint8_t kReasonDomain = 1;  // VIRTIO_IOMMU_FAULT_R_DOMAIN, _MAPPING
constexpr std::uint8_t kReasonMapping = 2;

// VIRTIO_IOMMU_S_*, in their order.
constexpr std::array kStatuses = {"ok",    "ioerr", "unsupp", "deverr", "inval",
                                  "range", "noent", "fault",  "nomem"};

std::uint8_t read_status(const Fields& fields, const std::string& name) {
  const auto* const found = std::ranges::find(kStatuses, name);
  if (found == kStatuses.end())
    fields.complain("status", replay::in_quotes(name) + " is not a status");
  return static_cast<std::uint8_t>(found - kStatuses.begin());
}

std::uint32_t number32(const Fields& fields, const char* key) {
  return static_cast<std::uint32_t>(fields.number(key, kAny32));
}
std::uint32_t reserved_of(const Fields& fields) {
  return fields.has("rsv") ? number32(fields, "rsv") : 0;
}

ViommuProbe read_probe(const Fields& fields) {
  ViommuProbe probe{.endpoint = read_bdf(fields, "ep"), .properties = {}};
  probe.with_properties = fields.has("props");
  if (!probe.with_properties) return probe;
  for (const Fields& one : fields.objects("props"))
    probe.properties.push_back({.msi = one.text("resv") == "msi",
                                .range = {Iova(one.hex("start")), Iova(one.hex("end"))}});
  return probe;
}

ViommuRequest read_request(const Fields& fields) {
  ViommuRequest request;
  const std::string type = fields.text("t");
  if (type == "attach") {
    request.what = ViommuAttach{number32(fields, "domain"), read_bdf(fields, "ep"),
                                number32(fields, "flags"), reserved_of(fields)};
  } else if (type == "detach") {
    request.what =
        ViommuDetach{number32(fields, "domain"), read_bdf(fields, "ep"), reserved_of(fields)};
  } else if (type == "map") {
    request.what = ViommuMap{number32(fields, "domain"), fields.hex("start"), fields.hex("end"),
                             fields.hex("phys"), number32(fields, "flags")};
  } else if (type == "unmap") {
    request.what = ViommuUnmap{number32(fields, "domain"), fields.hex("start"), fields.hex("end"),
                               reserved_of(fields)};
  } else if (type == "probe") {
    request.what = read_probe(fields);
  } else {
    fields.complain("t", replay::in_quotes(type) + " is not a request of this mode");
  }
  request.permitted.push_back(read_status(fields, fields.text("status")));
  if (fields.has("also"))
    for (const std::string& also : fields.texts("also"))
      request.permitted.push_back(read_status(fields, also));
  return request;
}

DmaResult read_result(const Fields& fields) {
  if (fields.has("gpa")) return Reached{Gpa(fields.hex("gpa"))};
  if (fields.has("msi")) return BecameInterrupt{};
  const std::string fault = fields.text("fault");
  if (fault != "domain" && fault != "mapping")
    fields.complain("fault", replay::in_quotes(fault) + " is not a reason of this mode");
  return Blocked{.recorded = true, .code = fault == "domain" ? kReasonDomain : kReasonMapping};
}

Dma read_dma(const Fields& fields) {
  Dma dma = read_access(fields);
  for_each_permitted(fields, [&](const Fields& one) { dma.permitted.push_back(read_result(one)); });
  return dma;
}

ViommuOperation read_operation(const Fields& fields) {
  const std::string op = fields.text("op");
  if (op == "req") return read_request(fields);
  if (op == "bypass") return ViommuBypass{fields.flag("on")};
  if (op == "dma") return read_dma(fields);
  fields.complain("op", replay::in_quotes(op) + " is not an operation of this mode");
  return ViommuBypass{};
}

ViommuConfig read_config(const Fields& fields) {
  ViommuConfig config;
  config.page_size_mask = fields.hex("page_size_mask");
  if (config.page_size_mask == 0) fields.complain("page_size_mask", "has no bit");
  const auto input = fields.hex_list("input_range");
  const auto domains = fields.number_or_list("domain_range", kAny32);
  if (input.size() == 2)
    config.input_range = {Iova(input[0]), Iova(input[1])};
  else
    fields.complain("input_range", "is not two addresses");
  if (domains.size() == 2) {
    config.first_domain = static_cast<std::uint32_t>(domains[0]);
    config.last_domain = static_cast<std::uint32_t>(domains[1]);
  } else {
    fields.complain("domain_range", "is not two numbers");
  }
  config.probe_size = static_cast<std::uint32_t>(fields.number("probe_size", 1024));
  config.bypass = fields.flag("bypass");
  config.features = fields.hex("features");
  for (const std::string& name : fields.texts("endpoints"))
    config.endpoints.push_back(parse_bdf(fields, "endpoints", name));
  return config;
}

void add_pages(std::set<std::uint64_t>& named, std::uint64_t address) {
  named.insert(address / kPageSize);
}

}  // namespace

std::string status_in_words(std::uint8_t status) {
  return status < kStatuses.size() ? kStatuses[status] : "nothing written";
}

ViommuCase read_viommu_case(const Fields& fields) {
  ViommuCase result;
  result.config = read_config(fields.object("cfg"));
  for_each_operation(fields,
                     [&](const Fields& one) { result.operations.push_back(read_operation(one)); });
  return result;
}

std::optional<Gpa> find_driver_area(const ViommuCase& read, const GuestRam& ram,
                                    std::uint64_t bytes) {
  // Low memory; any pages that are not named would do.
  constexpr std::uint64_t kFirst = 0xf00000 / kPageSize;
  std::set<std::uint64_t> named;
  for (const ViommuOperation& operation : read.operations) {
    const auto* const dma = std::get_if<Dma>(&operation);
    if (dma == nullptr) continue;
    add_pages(named, dma->iova.value());
    for (const DmaResult& result : dma->permitted)
      if (const auto* reached = std::get_if<Reached>(&result))
        add_pages(named, reached->gpa.value());
  }
  const std::uint64_t wanted = (bytes + kPageSize - 1) / kPageSize;
  std::uint64_t first = kFirst;
  // Each named page can spoil one start.
  for (std::size_t i = 0; i <= named.size(); ++i) {
    const auto spoilt = named.lower_bound(first);
    if (spoilt == named.end() || *spoilt >= first + wanted) {
      const Gpa at(first * kPageSize);
      return ram.holds(at, wanted * kPageSize) ? std::optional(at) : std::nullopt;
    }
    first = *spoilt + 1;
  }
  return std::nullopt;
}

}  // namespace weir::verify
