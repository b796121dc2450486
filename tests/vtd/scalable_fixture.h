// SPDX-License-Identifier: Apache-2.0
//
// A unit in scalable mode with one function and one PASID behind it, first- and second-stage tables
// for both, everything written as numbers (compare Linux drivers/iommu/intel/pasid.h).
#pragma once

#include <cstdint>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {

// Scalable structures.
inline constexpr std::uint64_t kUpperContexts = 0x8000, kDirectory = 0x30000, kPasidTable = 0x31000,
                               kPasidTable1 = 0x32000;
// First-stage tables, five levels: [level], and the page.
inline constexpr std::uint64_t kFs5 = 0x45000, kFs4 = 0x44000, kFs3 = 0x43000, kFs2 = 0x42000,
                               kFs1 = 0x41000, kFsPage = 0x88000;
// Second-stage tables, five levels.
inline constexpr std::uint64_t kSs5 = 0x55000, kSs4 = 0x54000, kSs3 = 0x53000, kSs2 = 0x52000,
                               kSs1 = 0x51000, kSsPage = 0x99000;
inline constexpr std::uint64_t kTtmScalable = 0x400;
// PGTT in place.
inline constexpr std::uint64_t kPgttFirst = 1 << 6, kPgttSecond = 2 << 6, kPgttNested = 3 << 6,
                               kPgttPass = 4 << 6;
// AW in place, for 48 and 57 bits.
inline constexpr std::uint64_t kAw48 = 2 << 2, kAw57 = 3 << 2;
inline constexpr std::uint64_t kFspm5 = 1 << 2, kSre = 1, kEre = 2, kWpe = 16, kNxe = 32,
                               kEafe = 128;
inline constexpr std::uint64_t kPwsnp = 1 << 23, kPgsnp = 1 << 24;
inline constexpr std::uint64_t kDid = 7;

class ScalableTest : public UnitTest {
 protected:
  explicit ScalableTest(const Options& options = profile::full()) : UnitTest(options) {
    set_root_table();
    set_scalable_context();
    set_directory();
    set_first_stage();
    set_second_stage();
    set_root(kRoot | kTtmScalable);
  }

  void set_root_table() {
    host_.store(kRoot, kContexts | 1);
    host_.store(kRoot + 8, kUpperContexts | 1);
  }
  // PDTS 0, DTE, PASIDE, PRE 0; RID_PASID 0.
  void set_scalable_context(std::uint64_t q0 = kDirectory | 0xd, std::uint64_t q1 = 0,
                            std::uint16_t sid = kSid) {
    const std::uint64_t table = (sid & 0x80) != 0 ? kUpperContexts : kContexts;
    const std::uint64_t at = table + (sid & 0x7f) * 32U;
    host_.store(at, q0);
    host_.store(at + 8, q1);
    host_.store(at + 16, 0);
    host_.store(at + 24, 0);
  }
  void set_directory() {
    host_.store(kDirectory, kPasidTable | 1);
    host_.store(kDirectory + 8, kPasidTable1 | 1);
  }
  static constexpr std::uint64_t entry_at(std::uint32_t pasid) {
    return (pasid < 64 ? kPasidTable : kPasidTable1) + pasid % 64 * 64U;
  }
  void set_pasid(std::uint32_t pasid, std::uint64_t q0, std::uint64_t q1, std::uint64_t q2 = 0) {
    const std::uint64_t at = entry_at(pasid);
    for (unsigned i = 3; i < 8; ++i) host_.store(at + i * 8U, 0);
    host_.store(at + 16, q2);
    host_.store(at + 8, q1);
    host_.store(at, q0);
  }
  void set_first(std::uint32_t pasid, std::uint64_t q2_bits = kWpe, std::uint64_t did = kDid) {
    const std::uint64_t root = (q2_bits & kFspm5) != 0 ? kFs5 : kFs4;
    set_pasid(pasid, kPgttFirst | 1, did | kPwsnp, root | q2_bits);
  }
  void set_second(std::uint32_t pasid, std::uint64_t q0_bits = 0, std::uint64_t did = kDid) {
    set_pasid(pasid, kSs4 | kAw48 | kPgttSecond | 1 | q0_bits, did | kPwsnp);
  }
  void set_nested(std::uint32_t pasid, std::uint64_t q2_bits = kWpe, std::uint64_t did = kDid,
                  bool five_below = false) {
    const std::uint64_t root = (q2_bits & kFspm5) != 0 ? kFs5 : kFs4;
    set_pasid(pasid, (five_below ? kSs5 | kAw57 : kSs4 | kAw48) | kPgttNested | 1, did | kPwsnp,
              root | q2_bits);
  }
  // IOVA 0 -> kFsPage, all levels present, writable and user; nothing accessed.
  void set_first_stage() {
    host_.store(kFs5, kFs4 | 7);
    host_.store(kFs4, kFs3 | 7);
    host_.store(kFs3, kFs2 | 7);
    host_.store(kFs2, kFs1 | 7);
    host_.store(kFs1, kFsPage | 7);
  }
  // Identity for the first 4 MiB, page by page, and page 1000h -> kSsPage.
  void set_second_stage() {
    host_.store(kSs5, kSs4 | 3);
    host_.store(kSs4, kSs3 | 3);
    host_.store(kSs3, kSs2 | 3);
    for (std::uint64_t i = 0; i < 2; ++i) host_.store(kSs2 + i * 8, (kSs1 + 0x10000 * i) | 3);
    for (std::uint64_t page = 0; page < 1024; ++page)
      host_.store(kSs1 + page / 512 * 0x10000 + page % 512 * 8, page << 12 | 3);
    host_.store(kSs1 + 8, kSsPage | 3);
  }
  [[nodiscard]] static Request with_pasid(std::uint64_t iova, std::uint32_t pasid,
                                          Access access = Access::kRead, std::uint16_t sid = kSid) {
    Request r = request(iova, access, sid);
    r.pasid = Pasid{pasid};
    return r;
  }
  // As the core does it: context, check, walk.
  [[nodiscard]] std::optional<Fault> outcome(const Request& r) {
    const auto context = context_of(r);
    if (!context) return context.error();
    if (auto refused = unit_.check(*context, r)) return refused;
    if (context->kind == iotlb::ContextKind::kPassThrough) return std::nullopt;
    const auto leaf = unit_.walk(*context, r, scope());
    if (!leaf) return leaf.error();
    return std::nullopt;
  }
  [[nodiscard]] unsigned code(const Request& r) {
    const auto fault = outcome(r);
    return fault ? fault->code : 0U;
  }
  // The code, and that it is recorded; with the FPD given set as well, that it is not.
  void expect_code(const Request& r, unsigned expected, bool recorded = true) {
    const auto fault = outcome(r);
    ASSERT_TRUE(fault) << std::hex << expected;
    EXPECT_EQ(fault->code, expected) << std::hex << fault->code << " instead of " << expected;
    EXPECT_EQ(fault->recorded, recorded) << std::hex << expected;
  }
  void set_bits(std::uint64_t at, std::uint64_t bits) { host_.store(at, host_.load(at) | bits); }
  void clear_bits(std::uint64_t at, std::uint64_t bits) { host_.store(at, host_.load(at) & ~bits); }
};

}  // namespace weir::vtd::test
