// SPDX-License-Identifier: Apache-2.0
//
// R2 reset values, R3 access kinds, R4 sizes and halves, and accesses that no driver makes.
//
// Clauses of the manual: 10.4 (R2, R3, R4; each register in vendors/vtd/registers.h).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"
#include "vendors/vtd/registers.h"

namespace weir::vtd::test {
namespace {

class RegisterTest : public UnitTest {};

// R2, 10.4.10 and 10.4.25: events start masked; everything else that software can see starts 0.
TEST_F(RegisterTest, R2ResetValues) {
  for (std::uint64_t at = 0; at < Unit::kRegisterBytes; at += 4) {
    const std::uint32_t value = read32(at);
    if (at == kFectlAt || at == kIectlAt) {
      EXPECT_EQ(value, 0x80000000U) << std::hex << at;
    } else if (at >= kEcap + 8 || (at >= 4 && at < kCap)) {
      EXPECT_EQ(value, 0U) << std::hex << at;
    }
  }
}

TEST_F(RegisterTest, R2ResetBringsThemBack) {
  write32(kFectlAt, 0);
  write32(kFedataAt, 0x1234);
  set_tables();
  enable_queue();
  turn_on(kTe);
  unit_.record(fault_from(kSid, 0x5000));
  ASSERT_NE(read32(kFsts), 0U);
  unit_.reset();
  EXPECT_EQ(read32(kGsts), 0U);
  EXPECT_EQ(read32(kFsts), 0U);
  EXPECT_EQ(read64(kFrcd + 8), 0U);
  EXPECT_EQ(read32(kFectlAt), kIm);
  EXPECT_EQ(read32(kFedataAt), 0U);
  EXPECT_EQ(read64(kRtaddr), 0U);
  EXPECT_EQ(host_.modes().back(), UnitMode::kOff);
  // The latched root went too: nothing is at address 0.
  EXPECT_EQ(code_of(request(0)), 0x01U);
}

// R3: which bits of each register a driver can change, by writing ones and then zeros.
TEST_F(RegisterTest, R3WritableBits) {
  struct Row {
    std::uint64_t at;
    std::uint32_t writable;
  };
  constexpr Row kRows[] = {
      {0x00, 0},          {0x08, 0},          {0x0c, 0},          {0x10, 0},
      {0x14, 0},          {0x1c, 0},          {0x20, 0xfffffc00}, {0x24, 0xffffffff},
      {0x28, 0xffffffff}, {0x34, 0},          {0x38, 0x80000000}, {0x3c, 0x0000ffff},
      {0x40, 0xfffffffc}, {0x44, 0},          {0x58, 0},          {0x64, 0},
      {0x80, 0},          {0x84, 0},          {0x88, 0x0007fff0}, {0x8c, 0},
      {0x90, 0xfffff807}, {0x94, 0xffffffff}, {0x9c, 0},          {0xa0, 0x80000000},
      {0xa4, 0x0000ffff}, {0xa8, 0xfffffffc}, {0xac, 0},          {0xb0, 0},
      {0xb4, 0},          {0xb8, 0},          {0xc0, 0},          {0xd0, 0},
      {0xf8, 0},          {0x220, 0},         {0x224, 0},         {0x228, 0},
      {0x22c, 0},         {0x1ffc, 0},
  };
  for (const Row& row : kRows) {
    const std::uint32_t before = read32(row.at);
    write32(row.at, 0xffffffff);
    EXPECT_EQ(read32(row.at), before | row.writable) << std::hex << row.at;
    write32(row.at, 0);
    EXPECT_EQ(read32(row.at), before & ~row.writable) << std::hex << row.at;
    write32(row.at, before);
  }
  // The halves that hold a command bit are written without it.
  write32(kCcmd + 4, 0x7fffffff);
  EXPECT_EQ(read32(kCcmd + 4), 0x60000003U);
  write32(kIotlbAt + 4, 0x7fffffff);
  EXPECT_EQ(read32(kIotlbAt + 4), 0x3003ffffU);
}

// R3: write-only registers read 0.
TEST_F(RegisterTest, R3WriteOnlyRegistersReadZero) {
  turn_on(kTe);
  EXPECT_EQ(read32(kGcmd), 0U);
  write64(kIva, ~std::uint64_t{0});
  EXPECT_EQ(read64(kIva), 0U);
  EXPECT_EQ(read32(kIva + 4), 0U);
}

// R3: status bits clear by writing ones, and only those that were written.
TEST_F(RegisterTest, R3StatusClearsByOnes) {
  enable_queue();
  post(0x0f);             // no such type
  post(0x15, kStatusAt);  // never reached
  unit_.record(fault_from(kSid, 0x5000));
  ASSERT_EQ(read32(kFsts), kIqe | kPpf);
  write32(kFsts, kPfo);
  EXPECT_EQ(read32(kFsts), kIqe | kPpf);
  write32(kFsts, kPpf);  // read-only: it says what the records say
  EXPECT_EQ(read32(kFsts), kIqe | kPpf);
  write32(kFrcd + 12, 0x7fffffff);
  EXPECT_EQ(read32(kFsts), kIqe | kPpf);
  write32(kFrcd + 12, 0x80000000);
  EXPECT_EQ(read32(kFsts), kIqe);
  // The rest of the record stays for whoever still reads it.
  EXPECT_EQ(read32(kFrcd + 8), kSid);
}

// R4: 8-byte registers by halves, and two 4-byte registers at once.
TEST_F(RegisterTest, R4Halves) {
  write32(kRtaddr, 0x12345c00);
  write32(kRtaddr + 4, 0x9abcdef0);
  EXPECT_EQ(read64(kRtaddr), 0x9abcdef012345c00U);
  write64(kIqa, 0xfedcba9876543007);
  EXPECT_EQ(read32(kIqa), 0x76543007U);
  EXPECT_EQ(read32(kIqa + 4), 0xfedcba98U);
  write64(kFectlAt, 0x000000ab00000000);  // IM 0, data ab
  EXPECT_EQ(read32(kFectlAt), 0U);
  EXPECT_EQ(read32(kFedataAt), 0xabU);
  EXPECT_EQ(read64(kFectlAt), 0x000000ab00000000U);
  // GCMD is the low half here; the high half, GSTS, ignores what is written.
  write64(kGcmd, 0xffffffff00000000 | kTe);
  EXPECT_EQ(read64(kGcmd), std::uint64_t{kTe} << 32);
}

// R4: other sizes and alignments are no accesses at all.
TEST_F(RegisterTest, R4OddSizesReadZeroAndWriteNothing) {
  write64(kRtaddr, 0x1000);
  for (std::uint64_t at = 0; at < 0x300; ++at) {
    for (unsigned size = 0; size <= 16; ++size) {
      if ((size == 4 || size == 8) && at % size == 0) continue;
      EXPECT_EQ(unit_.read_register(at, size), 0U) << at << " " << size;
      unit_.write_register(at, size, ~std::uint64_t{0});
    }
  }
  EXPECT_EQ(read64(kRtaddr), 0x1000U);
  EXPECT_EQ(read32(kGsts), 0U);
  EXPECT_EQ(read32(kFectlAt), kIm);
  EXPECT_TRUE(host_.invalidations().empty());
  EXPECT_TRUE(host_.modes().empty());
}

// Any offset, any size, any value: nothing but registers changes, and the unit still works.
TEST_F(RegisterTest, EveryOffsetAndSizeIsSafe) {
  for (const std::uint64_t value : {~std::uint64_t{0}, std::uint64_t{0}, 0xaaaaaaaaaaaaaaaaU}) {
    for (std::uint64_t at = 0; at <= Unit::kRegisterBytes + 16; ++at) {
      for (unsigned size = 1; size <= 8; ++size) {
        unit_.write_register(at, size, value);
        (void)unit_.read_register(at, size);
      }
    }
  }
  for (const std::uint64_t at : {Unit::kRegisterBytes, ~std::uint64_t{0}, ~std::uint64_t{7},
                                 ~std::uint64_t{3}, std::uint64_t{1} << 63}) {
    for (unsigned size = 0; size <= 9; ++size) {
      unit_.write_register(at, size, ~std::uint64_t{0});
      EXPECT_EQ(unit_.read_register(at, size), 0U);
    }
  }
  EXPECT_EQ(unit_.read_register(0, ~0U), 0U);
  unit_.reset();
  commanded_ = 0;
  set_tables();
  EXPECT_EQ(code_of(request(0)), 0U);
  for (std::uint64_t at = 0; at < kRoot; at += 8) EXPECT_EQ(host_.load(at), 0U);
}

// The table is what is documented: reserved bits of a register never read 1.
TEST_F(RegisterTest, ReservedBitsReadZero) {
  for (std::uint64_t at = 0; at < Unit::kRegisterBytes; at += 8) write64(at, ~std::uint64_t{0});
  for (const reg::Register& r : reg::kRegisters)
    EXPECT_EQ(unit_.read_register(r.offset, r.bits / 8U) & r.layout.reserved, 0U) << r.mnemonic;
}

}  // namespace
}  // namespace weir::vtd::test
