// SPDX-License-Identifier: Apache-2.0
//
// A case of mode virtio-iommu as plain values, read out of its JSON line and checked whole before
// anything of it is carried out. Numbers are as the file writes them.
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "tools/verify/case_parts.h"
#include "tools/verify/fields.h"
#include "tools/verify/guest_ram.h"

namespace weir::verify {

struct ViommuConfig {
  std::uint64_t page_size_mask = 0;
  AddressRange<Iova> input_range{};
  std::uint32_t first_domain = 0;
  std::uint32_t last_domain = 0;
  std::uint32_t probe_size = 0;
  bool bypass = false;
  std::uint64_t features = 0;
  std::vector<Requester> endpoints;
};

// What a request may be answered with: the number of a status.
using ViommuStatuses = std::vector<std::uint8_t>;
[[nodiscard]] std::string status_in_words(std::uint8_t status);

struct ViommuRegion {
  bool msi = false;
  AddressRange<Iova> range{};
  friend bool operator==(const ViommuRegion&, const ViommuRegion&) = default;
};

struct ViommuAttach {
  std::uint32_t domain = 0;
  Requester endpoint;
  std::uint32_t flags = 0;
  std::uint32_t reserved = 0;
};
struct ViommuDetach {
  std::uint32_t domain = 0;
  Requester endpoint;
  std::uint32_t reserved = 0;
};
struct ViommuMap {
  std::uint32_t domain = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t output = 0;
  std::uint32_t flags = 0;
};
struct ViommuUnmap {
  std::uint32_t domain = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint32_t reserved = 0;
};
struct ViommuProbe {
  Requester endpoint;
  bool with_properties = false;
  std::vector<ViommuRegion> properties;
};
struct ViommuRequest {
  std::variant<ViommuAttach, ViommuDetach, ViommuMap, ViommuUnmap, ViommuProbe> what;
  ViommuStatuses permitted;
};
struct ViommuBypass {
  bool on = false;
};

using ViommuOperation = std::variant<ViommuRequest, ViommuBypass, Dma>;

struct ViommuCase {
  ViommuConfig config;
  std::vector<ViommuOperation> operations;
};

// Empty, or wrong in part, once `fields` has complained.
[[nodiscard]] ViommuCase read_viommu_case(const Fields& fields);

// `bytes` of RAM in a row that the case says nothing about; nothing: it names too much.
[[nodiscard]] std::optional<Gpa> find_driver_area(const ViommuCase& read, const GuestRam& ram,
                                                  std::uint64_t bytes);

}  // namespace weir::verify
