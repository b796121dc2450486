// SPDX-License-Identifier: Apache-2.0
//
// A unit over a FakeHost, and the few things that a guest's driver does with one. Registers, bits
// and entries are written as numbers here, never through the layouts under test: a test that
// repeats the shift is not a test.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "tests/vtd/fake_host.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd::test {

// Offsets and bits as a driver has them (compare Linux include/linux/dmar.h, kvm-unit-tests).
inline constexpr std::uint64_t kVer = 0x00, kCap = 0x08, kEcap = 0x10, kGcmd = 0x18, kGsts = 0x1c,
                               kRtaddr = 0x20, kCcmd = 0x28, kFsts = 0x34, kFectlAt = 0x38,
                               kFedataAt = 0x3c, kFeaddrAt = 0x40, kFeuaddrAt = 0x44, kIqh = 0x80,
                               kIqt = 0x88, kIqa = 0x90, kIcs = 0x9c, kIectlAt = 0xa0,
                               kIedataAt = 0xa4, kIeaddrAt = 0xa8, kIeuaddrAt = 0xac, kIqer = 0xb0,
                               kIva = 0xf0, kIotlbAt = 0xf8, kFrcd = 0x220;
inline constexpr std::uint32_t kTe = 1U << 31, kSrtp = 1U << 30, kQie = 1U << 26;
inline constexpr std::uint32_t kPfo = 1, kPpf = 2, kIqe = 0x10;
inline constexpr std::uint32_t kIm = 1U << 31, kIp = 1U << 30;

// Where the tests put things.
inline constexpr std::uint64_t kRoot = 0x1000, kContexts = 0x2000, kLevel4 = 0x3000,
                               kLevel3 = 0x4000, kLevel2 = 0x5000, kLevel1 = 0x6000, kPage = 0x7000,
                               kQueueAt = 0x10000, kStatusAt = 0x20000;
inline constexpr std::uint64_t kOutsideRam = kRamBytes;
inline constexpr std::uint16_t kSid = 0x0010;  // 00:02.0

class UnitTest : public ::testing::Test {
 protected:
  explicit UnitTest(const Options& options = {}) : options_(options), unit_(host_, options) {}

  [[nodiscard]] std::uint32_t read32(std::uint64_t at) {
    return static_cast<std::uint32_t>(unit_.read_register(at, 4));
  }
  [[nodiscard]] std::uint64_t read64(std::uint64_t at) { return unit_.read_register(at, 8); }
  void write32(std::uint64_t at, std::uint32_t value) { unit_.write_register(at, 4, value); }
  void write64(std::uint64_t at, std::uint64_t value) { unit_.write_register(at, 8, value); }

  // Commands that stay in force are repeated with every write, as drivers do.
  void command(std::uint32_t bit) { write32(kGcmd, commanded_ | bit); }
  void turn_on(std::uint32_t bit) { write32(kGcmd, commanded_ |= bit); }
  void turn_off(std::uint32_t bit) { write32(kGcmd, commanded_ &= ~bit); }
  void set_root(std::uint64_t address) {
    write64(kRtaddr, address);
    command(kSrtp);
  }

  // The context entry of `sid`, with its root entry.
  void set_context(std::uint64_t low, std::uint64_t high, std::uint16_t sid = kSid) {
    host_.store(kRoot + (sid >> 8) * 16U, kContexts | 1);
    host_.store(kContexts + (sid & 0xff) * 16U, low);
    host_.store(kContexts + (sid & 0xff) * 16U + 8, high);
  }
  // Four levels that map IOVA 0 to kPage, read and write, and a context of domain 7 over them.
  void set_tables() {
    set_context(kLevel4 | 1, 7 << 8 | 2);
    host_.store(kLevel4, kLevel3 | 3);
    host_.store(kLevel3, kLevel2 | 3);
    host_.store(kLevel2, kLevel1 | 3);
    host_.store(kLevel1, kPage | 3);
    set_root(kRoot);
  }

  [[nodiscard]] static Request request(std::uint64_t iova, Access access = Access::kRead,
                                       std::uint16_t sid = kSid) {
    Request r;
    r.requester = Requester::from_sid(sid);
    r.iova = Iova(iova);
    r.size = 4;
    r.access = access;
    return r;
  }
  [[nodiscard]] Result<iotlb::Context, Fault> context_of(const Request& r) {
    return unit_.read_context(r, host_.memory());
  }
  [[nodiscard]] WalkScope scope() { return {host_.memory(), walk_caches_, {}}; }
  // Context and walk; the fault's code, or nothing.
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> translate(const Request& r) {
    const auto context = context_of(r);
    if (!context) return Failure{context.error()};
    return unit_.walk(*context, r, scope());
  }
  [[nodiscard]] std::optional<Fault> fault_of(const Request& r) {
    const auto result = translate(r);
    if (result) return std::nullopt;
    return result.error();
  }
  [[nodiscard]] unsigned code_of(const Request& r) {
    const auto fault = fault_of(r);
    return fault ? fault->code : 0U;
  }
  [[nodiscard]] static Fault fault_from(std::uint16_t sid, std::uint64_t iova,
                                        Access access = Access::kWrite, std::uint16_t code = 5) {
    Fault fault;
    fault.request = request(iova, access, sid);
    fault.reason = FaultReason::kNoWritePermission;
    fault.code = code;
    fault.recorded = true;
    return fault;
  }

  // The queue: one page of 128-bit descriptors at kQueueAt.
  void enable_queue(std::uint64_t iqa = kQueueAt) {
    write32(kIqt, 0);
    write64(kIqa, iqa);
    turn_on(kQie);
  }
  void put_descriptor(std::uint64_t index, std::uint64_t low, std::uint64_t high = 0) {
    host_.store(kQueueAt + index * 16, low);
    host_.store(kQueueAt + index * 16 + 8, high);
  }
  // Puts one descriptor at the tail and hands it over.
  void post(std::uint64_t low, std::uint64_t high = 0) {
    const std::uint64_t tail = read32(kIqt);
    host_.store(kQueueAt + tail, low);
    host_.store(kQueueAt + tail + 8, high);
    write32(kIqt, static_cast<std::uint32_t>((tail + 16) % 4096));
  }
  [[nodiscard]] std::uint64_t head() { return read64(kIqh); }
  [[nodiscard]] std::uint32_t queue_error() { return read32(kIqer) & 0xf; }
  // Clears IQE with a harmless wait in the culprit's place, as a driver does.
  void repair() {
    host_.store(kQueueAt + head(), 0x25);
    host_.store(kQueueAt + head() + 8, kStatusAt);
    write32(kFsts, kIqe);
  }
  static constexpr std::uint64_t kWaitStatus = 0x25 | std::uint64_t{2} << 32;  // writes 2
  static constexpr std::uint64_t kFlushDomain4 = 0x400e2;  // as seen in a recorded guest

  FakeHost host_;
  iotlb::WalkCaches walk_caches_{{.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}};
  const Options options_;
  Unit unit_;
  std::uint32_t commanded_ = 0;
};

}  // namespace weir::vtd::test
