// SPDX-License-Identifier: Apache-2.0
//
// Tables that lie about lengths: every length, count and offset field with every value that it can
// have, and tables that are cut off anywhere. A parser answers with a table that is written back
// byte for byte, or with one line and an offset inside the bytes.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "tests/truth/random_machine.h"
#include "tests/truth/scribe.h"
#include "tests/truth/truth.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::truth {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kStep = 251;
#else
constexpr unsigned kStep = 1;
#endif

struct Field {
  std::size_t at;
  unsigned bytes;
};

[[nodiscard]] std::vector<Field> lengths_of(Format format, Bytes table) {
  std::vector<Field> fields;
  switch (format) {
    case Format::kDmar:
      for (const auto& s : read_dmar_again(table).structures) {
        fields.push_back({s.place.at + 2, 2});
        for (const auto& scope : s.scopes) fields.push_back({scope.place.at + 1, 1});
      }
      break;
    case Format::kIvrs:
      for (const auto& unit : read_ivrs_again(table).units) {
        fields.push_back({unit.place.at + 2, 2});
        for (const auto& e : unit.entries) {
          fields.push_back({e.place.at, 1});  // the type says how long it is
          if (e.type == 0xf0) fields.push_back({e.place.at + 21, 1});
        }
      }
      for (const auto& memory : read_ivrs_again(table).memory)
        fields.push_back({memory.place.at + 2, 2});
      break;
    case Format::kViot:
      fields.push_back({36, 2});
      fields.push_back({38, 2});
      for (const auto& node : read_viot_again(table).nodes) {
        fields.push_back({node.place.at + 2, 2});
        if (node.type <= 2) fields.push_back({node.place.at + 16, 2});
      }
      break;
  }
  return fields;
}

// The error; nothing: it was taken, and is written back as it was.
struct Taken {
  std::optional<TableError> error;
  bool same = true;
};

template <typename Parse, typename Write, typename Cover>
[[nodiscard]] Taken take(Bytes bytes, const Parse& parse, const Write& write, const Cover& cover) {
  const auto parsed = parse(bytes);
  if (!parsed) return {.error = parsed.error()};
  const auto again = write(*parsed);
  Taken taken{
      .error = std::nullopt,
      .same = again.ok() && std::equal(again->begin(), again->end(), bytes.begin(), bytes.end())};
  if (const auto covered = cover(*parsed); !covered) taken.error = covered.error();
  return taken;
}

[[nodiscard]] Taken take(Format format, Bytes bytes) {
  switch (format) {
    case Format::kDmar:
      return take(bytes, vtd::parse_dmar, vtd::write_dmar,
                  [](const vtd::dmar::Table& t) { return vtd::coverage_of(t); });
    case Format::kIvrs:
      return take(bytes, amdvi::parse_ivrs, amdvi::write_ivrs,
                  [](const amdvi::ivrs::Table& t) { return amdvi::coverage_of(t); });
    case Format::kViot:
      return take(bytes, virtio_iommu::parse_viot_table, virtio_iommu::write_viot,
                  [](const virtio_iommu::viot::Table& t) { return virtio_iommu::coverage_of(t); });
  }
  return {};
}

// Quietly: there are millions.
[[nodiscard]] bool is_well_answered(const Taken& taken, Bytes bytes) {
  if (!taken.error) return taken.same;
  const std::string& cause = taken.error->cause;
  return taken.error->offset <= bytes.size() && !cause.empty() &&
         cause.find_first_of("\n\r") == std::string::npos;
}

class HostileLengths : public ::testing::TestWithParam<Format> {
 protected:
  // The longest of some: with everything in it.
  [[nodiscard]] static std::vector<std::byte> a_table() {
    std::mt19937 random(5);
    std::vector<std::byte> best;
    for (int i = 0; i < 300; ++i) {
      const auto bytes = build(random_machine(random, GetParam()), GetParam());
      if (bytes && bytes->size() > best.size() && bytes->size() < 600) best = *bytes;
    }
    return best;
  }
};

TEST_P(HostileLengths, EveryFieldWithEveryValue) {
  const auto table = a_table();
  const auto fields = lengths_of(GetParam(), table);
  ASSERT_GT(fields.size(), 8U);
  std::uint64_t tried = 0, refused = 0;
  std::set<std::string> causes;
  for (const Field& field : fields)
    for (unsigned value = 0; value < 1U << 8 * field.bytes; value += field.bytes == 1 ? 1 : kStep) {
      std::vector<std::byte> lying = table;
      std::memcpy(lying.data() + field.at, &value, field.bytes);
      seal(lying);
      const Taken taken = take(GetParam(), lying);
      ++tried;
      refused += taken.error ? 1U : 0U;
      if (taken.error) causes.insert(taken.error->cause);
      ASSERT_TRUE(is_well_answered(taken, lying))
          << "field at " << field.at << " is " << value << ": "
          << (taken.error ? taken.error->cause : "written back otherwise");
    }
  EXPECT_GT(refused, tried / 2);
  EXPECT_GE(causes.size(), 4U);
}

TEST_P(HostileLengths, CutOffAnywhere) {
  const auto table = a_table();
  for (std::size_t length = 0; length < table.size(); ++length) {
    // As it is, and with a header that knows.
    const Bytes cut = Bytes(table).first(length);
    const Taken taken = take(GetParam(), cut);
    ASSERT_TRUE(taken.error) << length;
    ASSERT_TRUE(is_well_answered(taken, cut)) << length;
    if (length < 36) continue;
    std::vector<std::byte> sealed(cut.begin(), cut.end());
    seal(sealed);
    ASSERT_TRUE(is_well_answered(take(GetParam(), sealed), sealed)) << length;
  }
}

TEST_P(HostileLengths, TheTablesOwnLength) {
  const auto table = a_table();
  for (std::uint64_t value = 0; value < 0x100000000; value += value < 0x1000 ? 1 : 0xfffff1) {
    std::vector<std::byte> lying = table;
    const auto length = static_cast<std::uint32_t>(value);
    std::memcpy(lying.data() + 4, &length, sizeof length);
    const Taken taken = take(GetParam(), lying);
    // A shorter one may end between two structures, and its sum be right by chance.
    if (value >= table.size()) {
      ASSERT_EQ(taken.error.has_value(), value != table.size()) << value;
    }
    if (taken.error) {
      ASSERT_TRUE(is_well_answered(taken, lying)) << value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, HostileLengths,
                         ::testing::Values(Format::kDmar, Format::kIvrs, Format::kViot));

}  // namespace
}  // namespace weir::truth
