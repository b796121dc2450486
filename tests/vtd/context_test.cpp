// SPDX-License-Identifier: Apache-2.0
//
// Legacy root and context entries: L1 (each code, FPD off and on), L6 request types, L7
// pass-through, R9 translation-table modes, and words that real guests wrote.
//
// Clauses of the manual: 9.1 and 9.3 (entries), 7.1.3 (L1, L6, L7; its conditions by name), 7.2.3
// (FPD), 10.4.6 (R9).
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "tests/vtd/unit_fixture.h"
#include "vendors/vtd/tables.h"

namespace weir::vtd::test {
namespace {

class ContextTest : public UnitTest {
 protected:
  using UnitTest::UnitTest;

  void expect_fault(const Request& r, unsigned code, bool recorded, FaultReason reason) {
    const auto fault = fault_of(r);
    ASSERT_TRUE(fault) << "code " << code;
    EXPECT_EQ(fault->code, code);
    EXPECT_EQ(fault->recorded, recorded) << "code " << code;
    EXPECT_EQ(fault->reason, reason) << "code " << code;
    EXPECT_EQ(fault->request.iova, r.iova);
    EXPECT_EQ(fault->request.requester, r.requester);
  }
};

class DeviceTlbContextTest : public ContextTest {
 protected:
  DeviceTlbContextTest() : ContextTest(Options{.device_tlb = true}) {}
};

// Words that a Linux guest wrote for 00:03.0 (high 402 low 7b00001) and, later, others.
TEST_F(ContextTest, RealContextWords) {
  set_root(kRoot);
  set_context(0x7b00001, 0x402);
  const auto context = context_of(request(0));
  ASSERT_TRUE(context);
  EXPECT_EQ(context->kind, iotlb::ContextKind::kStage2);
  EXPECT_EQ(context->domain, DomainId{4});
  EXPECT_EQ(context->stage2_root, 0x7b00000U);
  EXPECT_EQ(context->stage2_levels, 4);
  EXPECT_EQ(context->input_bits, 48);
  EXPECT_EQ(context->pasid, iotlb::Context::kNoPasid);
  EXPECT_FALSE(context->silence_faults);
  EXPECT_FALSE(context->allow_translated);
  EXPECT_FALSE(context->allow_translation_requests);

  set_context(0x146da3001, 0x902);
  EXPECT_EQ(context_of(request(0))->domain, DomainId{9});
  EXPECT_EQ(context_of(request(0))->stage2_root, 0x146da3000U);
  // Pass-through, and domain ids of 16 bits.
  set_context(9, 0xb202);
  EXPECT_EQ(context_of(request(0))->kind, iotlb::ContextKind::kPassThrough);
  EXPECT_EQ(context_of(request(0))->domain, DomainId{0xb2});
  set_context(9, 0xffff02);
  EXPECT_EQ(context_of(request(0))->domain, DomainId{0xffff});
}

TEST_F(ContextTest, RootAndContextAreIndexedByBusAndDevfn) {
  set_root(kRoot);
  set_context(0x8001, 5 << 8 | 2, 0xff08);
  set_context(0x9001, 6 << 8 | 2, 0x00ff);
  EXPECT_EQ(context_of(request(0, Access::kRead, 0xff08))->domain, DomainId{5});
  EXPECT_EQ(context_of(request(0, Access::kRead, 0x00ff))->domain, DomainId{6});
}

// L1: 08 LRT.1, 01 LRT.2, 0A LRT.3. No context entry was read, so nothing can silence them.
TEST_F(ContextTest, L1RootFaults) {
  set_root(kOutsideRam);
  expect_fault(request(0x1234), 0x08, true, FaultReason::kRootUnreadable);
  set_root(kRoot);
  expect_fault(request(0x1234), 0x01, true, FaultReason::kRootNotPresent);
  set_context(1, 2);
  ASSERT_EQ(code_of(request(0)), 0x06U);  // an empty table at address 0
  for (unsigned bit = 1; bit < 128; ++bit) {
    const bool reserved = bit < 12 || bit >= 48;
    host_.store(kRoot, kContexts | 1);
    host_.store(kRoot + 8, 0);
    const std::uint64_t at = kRoot + bit / 64 * 8;
    host_.store(at, host_.load(at) ^ std::uint64_t{1} << bit % 64);
    const unsigned code = code_of(request(0));
    EXPECT_EQ(code == 0x0a, reserved) << bit;
  }
  // P is looked at before reserved bits.
  host_.store(kRoot, ~std::uint64_t{1});
  host_.store(kRoot + 8, ~std::uint64_t{0});
  expect_fault(request(0x1234), 0x01, true, FaultReason::kRootNotPresent);
  host_.store(kRoot, ~std::uint64_t{0});
  expect_fault(request(0x1234), 0x0a, true, FaultReason::kRootReserved);
}

TEST_F(ContextTest, L1ContextUnreadable) {
  set_root(kRoot);
  host_.store(kRoot, kOutsideRam | 1);
  expect_fault(request(0x1234), 0x09, true, FaultReason::kContextUnreadable);
  EXPECT_EQ(fault_of(request(0))->entry_at, kOutsideRam + kSid * 16U);
  EXPECT_EQ(fault_of(request(0))->references, 2U);
}

// L1: 02 LCT.2, 0B LCT.3, 03 LCT.4, each with FPD 0 and 1; FPD counts even where P is 0.
TEST_F(ContextTest, L1ContextFaultsHonourFpd) {
  set_root(kRoot);
  for (const std::uint64_t fpd : {0U, 2U}) {
    const bool recorded = fpd == 0;
    set_context(fpd, 0);
    expect_fault(request(0x1234), 0x02, recorded, FaultReason::kContextNotPresent);
    set_context(fpd | 0xff0 | ~std::uint64_t{3}, ~std::uint64_t{0});  // P before reserved bits
    expect_fault(request(0x1234), 0x02, recorded, FaultReason::kContextNotPresent);
    set_context(fpd | 1 | 0x10, 0x402);
    expect_fault(request(0x1234), 0x0b, recorded, FaultReason::kContextReserved);
    set_context(fpd | 1 | 0xc, 0x402);  // TT 11
    expect_fault(request(0x1234), 0x03, recorded, FaultReason::kContextInvalid);
    set_context(fpd | 1 | 0x4, 0x402);  // TT 01 without device-TLBs
    expect_fault(request(0x1234), 0x03, recorded, FaultReason::kContextInvalid);
    for (const std::uint64_t aw : {0U, 3U, 4U, 5U, 6U, 7U}) {
      set_context(fpd | 1, 0x400 | aw);
      expect_fault(request(0x1234), 0x03, recorded, FaultReason::kContextInvalid);
      set_context(fpd | 9, 0x400 | aw);  // in pass-through too
      expect_fault(request(0x1234), 0x03, recorded, FaultReason::kContextInvalid);
    }
  }
}

TEST_F(ContextTest, L1EveryReservedContextBit) {
  set_root(kRoot);
  for (unsigned bit = 4; bit < 128; ++bit) {
    const bool reserved = bit < 12 || (bit >= 48 && bit < 64) || bit == 64 + 7 || bit >= 64 + 24;
    std::uint64_t low = 1;
    std::uint64_t high = 2;
    (bit < 64 ? low : high) ^= std::uint64_t{1} << bit % 64;
    set_context(low, high);
    EXPECT_EQ(code_of(request(0)) == 0x0b, reserved) << bit;
  }
}

// The order of settled rules: reserved bits before TT, TT before AW.
TEST_F(ContextTest, L1SeveralFaultsAtOnce) {
  set_root(kRoot);
  set_context(1 | 0xc | 0x10, 0);
  EXPECT_EQ(code_of(request(0)), 0x0bU);
  auto translated = request(0);
  translated.address_type = AddressType::kTranslated;
  set_context(1, 0);  // AW 0 as well
  EXPECT_EQ(code_of(translated), 0x0dU);
  set_context(1 | 0xc, 0);
  EXPECT_EQ(code_of(translated), 0x03U);
}

// L6 LCT.5: only TT 01 lets translation requests and translated requests through.
TEST_F(DeviceTlbContextTest, L6RequestTypes) {
  set_tables();
  for (const auto type : {AddressType::kTranslationRequest, AddressType::kTranslated}) {
    auto r = request(0x123);
    r.address_type = type;
    for (const std::uint64_t fpd : {0U, 2U}) {
      set_context(kLevel4 | 1 | fpd, 0x402);
      expect_fault(r, 0x0d, fpd == 0, FaultReason::kRequestTypeBlocked);
      set_context(kLevel4 | 9 | fpd, 0x402);
      expect_fault(r, 0x0d, fpd == 0, FaultReason::kRequestTypeBlocked);
      // The same from a context that was cached for plain requests.
      const auto cached = context_of(request(0));
      ASSERT_TRUE(cached);
      const auto blocked = unit_.check(*cached, r);
      ASSERT_TRUE(blocked);
      EXPECT_EQ(blocked->code, 0x0d);
      EXPECT_EQ(blocked->recorded, fpd == 0);
    }
    set_context(kLevel4 | 5, 0x402);
    const auto context = context_of(r);
    ASSERT_TRUE(context);
    EXPECT_TRUE(context->allow_translated);
    EXPECT_TRUE(context->allow_translation_requests);
    EXPECT_FALSE(unit_.check(*context, r));
    EXPECT_TRUE(unit_.walk(*context, request(0), scope()));
  }
  // MGAW bounds translated requests as well (CAP.MGAW).
  auto beyond = request(std::uint64_t{1} << 48);
  beyond.address_type = AddressType::kTranslated;
  const auto fault = unit_.check(*context_of(beyond), beyond);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->code, 0x04);
}

// TTM 00 knows no PASIDs: 31h, before any table is read, whatever FPD says.
TEST_F(ContextTest, RequestWithPasid) {
  auto r = request(0);
  r.pasid = Pasid{3};
  set_root(kOutsideRam);
  expect_fault(r, 0x31, true, FaultReason::kPasidUnsupported);
  set_tables();
  set_context(kLevel4 | 3, 0x402);
  expect_fault(r, 0x31, true, FaultReason::kPasidUnsupported);
  const auto fault = unit_.check(*context_of(request(0)), r);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->code, 0x31);
  EXPECT_TRUE(fault->recorded);
}

// R9: 01 needs ECAP.SMTS, 11 ECAP.ADMS, 10 is reserved: 30h each, latched like the pointer itself.
TEST_F(ContextTest, R9TranslationTableModes) {
  set_tables();
  for (const std::uint64_t mode : {1U, 2U, 3U}) {
    write64(kRtaddr, kRoot | mode << 10);
    EXPECT_EQ(code_of(request(0)), 0U) << "before SRTP";
    command(kSrtp);
    expect_fault(request(0), 0x30, true, FaultReason::kRootReserved);
    set_root(kRoot);
    EXPECT_EQ(code_of(request(0)), 0U);
  }
}

// L7: pass-through reaches as far as min(MGAW, AW); beyond it the walk has only a fault to give.
TEST_F(ContextTest, L7PassThrough) {
  set_root(kRoot);
  for (const std::uint64_t aw : {1U, 2U}) {
    set_context(9, 0x400 | aw);
    const auto context = context_of(request(0));
    ASSERT_TRUE(context);
    EXPECT_EQ(context->kind, iotlb::ContextKind::kPassThrough);
    EXPECT_EQ(context->input_bits, aw == 1 ? 39 : 48);
    const auto beyond = fault_of(request(std::uint64_t{1} << context->input_bits));
    ASSERT_TRUE(beyond);
    EXPECT_EQ(beyond->code, 0x04);
    EXPECT_EQ(beyond->references, 0U);
  }
  set_context(9 | 2, 0x402);
  EXPECT_FALSE(fault_of(request(~std::uint64_t{0}))->recorded);
}

// Memory whose every read of a context's high word finds the guest rewriting the entry.
class RewritingMemory final : public MemoryTarget {
 public:
  explicit RewritingMemory(unsigned rewrites) : left_(rewrites) {}
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    ++reads;
    const bool high = offset % 16 == 8;
    if (high && left_ > 0) {
      --left_;
      ++version_;
    }
    const std::uint64_t word = high ? version_ << 8 | 2 : version_ << 12 | 1;
    std::memcpy(to.data(), &word, to.size());
    return true;
  }
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }
  unsigned reads = 0;

 private:
  unsigned left_;
  std::uint64_t version_ = 8;
};

// L3: the words of an entry are used together only if memory held them together. One that never
// stands still is given up after a while, as unreadable.
TEST_F(ContextTest, EntryRewrittenBetweenItsWords) {
  constexpr std::uint64_t kTable = kRamBytes;
  std::uint64_t root[512] = {kTable | 1};
  for (const unsigned rewrites : {1U, 3U, 1000U}) {
    RewritingMemory table(rewrites);
    auto memory = GuestMemory::create(
        {{.first = Hpa(kRoot), .size = sizeof root, .host = reinterpret_cast<std::byte*>(root)},
         {.first = Hpa(kTable), .size = 4096, .target = &table}});
    ASSERT_TRUE(memory);
    const pagetables::PhysicalMemory physical(
        std::make_shared<const GuestMemory>(std::move(*memory)));
    set_root(kRoot);
    const auto context = unit_.read_context(request(0), physical);
    if (rewrites < 8) {
      ASSERT_TRUE(context);
      EXPECT_EQ(context->domain.value, 8 + rewrites);
      EXPECT_EQ(context->stage2_root >> 12, 8 + rewrites);
    } else {
      ASSERT_FALSE(context);
      EXPECT_EQ(context.error().code, 0x09);
      EXPECT_LT(table.reads, 100U);
    }
  }
}

}  // namespace
}  // namespace weir::vtd::test
