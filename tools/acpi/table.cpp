// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi {
namespace {

// In the order of the variant.
constexpr std::array<std::string_view, 3> kSignatures = {"DMAR", "IVRS", "VIOT"};

template <typename T>
[[nodiscard]] Result<Table, TableError> as_table(Result<T, TableError> parsed) {
  if (!parsed) return Failure{std::move(parsed).error()};
  return Table(std::move(*parsed));
}

[[nodiscard]] std::string_view first_four(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(4, bytes.size())};
}

template <typename... Fs>
struct Overloads : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloads(Fs...) -> Overloads<Fs...>;

}  // namespace

std::string_view signature_of(const Table& table) { return kSignatures[table.index()]; }

bool is_supported(std::string_view signature) {
  for (const std::string_view known : kSignatures)
    if (known == signature) return true;
  return false;
}

Table empty_table(std::string_view signature) {
  if (signature == kSignatures[0]) return vtd::dmar::Table{};
  if (signature == kSignatures[1]) return amdvi::ivrs::Table{};
  return virtio_iommu::viot::Table{};
}

Result<Table, TableError> parse_table(std::span<const std::byte> bytes) {
  const std::string_view signature = first_four(bytes);
  if (signature == kSignatures[0]) return as_table(vtd::parse_dmar(bytes));
  if (signature == kSignatures[1]) return as_table(amdvi::parse_ivrs(bytes));
  if (signature == kSignatures[2]) return as_table(virtio_iommu::parse_viot_table(bytes));
  return Failure{TableError{.offset = 0, .cause = "neither a DMAR nor an IVRS nor a VIOT"}};
}

Result<std::vector<std::byte>, TableError> write_table(const Table& table) {
  return std::visit(
      Overloads{[](const vtd::dmar::Table& t) { return vtd::write_dmar(t); },
                [](const amdvi::ivrs::Table& t) { return amdvi::write_ivrs(t); },
                [](const virtio_iommu::viot::Table& t) { return virtio_iommu::write_viot(t); }},
      table);
}

Result<Coverage, TableError> coverage_of(const Table& table) {
  return std::visit(
      Overloads{[](const vtd::dmar::Table& t) { return vtd::coverage_of(t); },
                [](const amdvi::ivrs::Table& t) { return amdvi::coverage_of(t); },
                [](const virtio_iommu::viot::Table& t) { return virtio_iommu::coverage_of(t); }},
      table);
}

}  // namespace weir::tools::acpi
