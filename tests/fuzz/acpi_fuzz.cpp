// SPDX-License-Identifier: Apache-2.0
//
// Firmware tables under libFuzzer: any bytes as a DMAR, an IVRS, a VIOT, a device tree and a list.
// Whatever they are, each parser answers with a table or with one line and an offset inside the
// bytes; what it accepts is written back byte for byte; and what it says of who is covered can be
// asked about any function.
//
// Built by the preset `fuzz`; ./run tests runs it.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "iommu/list_source.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/device_tree.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::acpi_fuzz {
namespace {

using Bytes = std::span<const std::byte>;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "acpi_fuzz: %s\n", what);
  std::abort();
}

void check_error(const TableError& error, Bytes bytes) {
  require(error.offset <= bytes.size(), "an error lies outside the bytes");
  require(!error.cause.empty() && error.cause.find('\n') == std::string::npos,
          "an error is not one line");
}

void ask(const Result<Coverage, TableError>& coverage, Bytes bytes) {
  if (!coverage) return check_error(coverage.error(), bytes);
  for (const unsigned bus : {0U, 1U, 0xffU})
    for (const unsigned device : {0U, 2U, 0x1fU})
      (void)covering(*coverage, {.function = Requester::from_bdf(bus, device, 0),
                                 .bridges = {Requester::from_bdf(0, 0x1c, 0)}});
}

// REQUIRES: a whole table, as a parser accepted it.
template <typename Parsed, typename Write, typename Cover>
void check(const Result<Parsed, TableError>& parsed, Bytes bytes, const Write& write,
           const Cover& cover) {
  if (!parsed) return check_error(parsed.error(), bytes);
  const auto written = write(*parsed);
  require(written.ok(), "what was read cannot be written");
  require(written->size() <= bytes.size() &&
              std::equal(written->begin(), written->end(), bytes.begin()),
          "what was written is not what was read");
  ask(cover(*parsed), bytes);
}

// Most inputs have the right signature, length and checksum, so that what lies behind is reached.
[[nodiscard]] std::vector<std::byte> table_of(const std::uint8_t* data, std::size_t size,
                                              const char* signature, bool mend) {
  const auto given = std::as_bytes(std::span(data, size));
  std::vector<std::byte> table(given.begin(), given.end());
  constexpr std::size_t kHeader = 36;
  if (!mend || size < kHeader) return table;
  std::memcpy(table.data(), signature, 4);
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(table.data() + 4, &length, sizeof length);
  unsigned sum = 0;
  table[9] = std::byte{0};
  for (const std::byte b : table) sum += std::to_integer<unsigned>(b);
  table[9] = static_cast<std::byte>(-sum);
  return table;
}

[[nodiscard]] std::vector<std::byte> tree_of(const std::uint8_t* data, std::size_t size,
                                             bool mend) {
  const auto given = std::as_bytes(std::span(data, size));
  std::vector<std::byte> tree(given.begin(), given.end());
  constexpr std::size_t kHeader = 40;
  if (!mend || size < kHeader) return tree;
  const auto put = [&tree](std::size_t at, std::size_t value) {
    for (std::size_t i = 0; i < 4; ++i)
      tree[at + i] = static_cast<std::byte>(value >> (24 - 8 * i));
  };
  put(0, 0xd00dfeed);
  put(4, size);
  put(8, kHeader);
  put(24, 16);
  return tree;
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  const bool mend = (data[0] & 3) != 0;
  const unsigned which = data[0] >> 2;
  ++data, --size;
  switch (which % 5) {
    case 0: {
      const auto table = table_of(data, size, "DMAR", mend);
      return check(vtd::parse_dmar(table), table, vtd::write_dmar,
                   [](const vtd::dmar::Table& t) { return vtd::coverage_of(t); });
    }
    case 1: {
      const auto table = table_of(data, size, "IVRS", mend);
      return check(amdvi::parse_ivrs(table), table, amdvi::write_ivrs,
                   [](const amdvi::ivrs::Table& t) { return amdvi::coverage_of(t); });
    }
    case 2: {
      const auto table = table_of(data, size, "VIOT", mend);
      return check(virtio_iommu::parse_viot_table(table), table, virtio_iommu::write_viot,
                   [](const virtio_iommu::viot::Table& t) { return virtio_iommu::coverage_of(t); });
    }
    case 3: {
      const auto tree = tree_of(data, size, mend);
      return ask(virtio_iommu::device_tree_parser().parse(tree), tree);
    }
    default: {
      const auto list = std::as_bytes(std::span(data, size));
      return ask(list_parser().parse(list), list);
    }
  }
}

}  // namespace
}  // namespace weir::acpi_fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::acpi_fuzz::run(data, size);
  return 0;
}
