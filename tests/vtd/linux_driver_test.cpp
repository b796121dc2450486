// SPDX-License-Identifier: Apache-2.0
//
// The sequences of Linux's driver (drivers/iommu/intel: dmar.c, iommu.c, pasid.c, cache.c,
// irq_remapping.c; 7.2) against every profile, in its order and its access sizes, each poll of
// which would end in a panic if it were not answered.
#include <gtest/gtest.h>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

struct Profile {
  const char* name;
  Options options;
};
void PrintTo(const Profile& profile, std::ostream* out) { *out << profile.name; }

constexpr std::uint16_t kSid = 0x0010, kOther = 0x0090;
constexpr std::uint16_t kDid = 5, kPassDid = 1;
constexpr std::uint64_t kIova = 0xffff0000;

class LinuxDriver : public ::testing::TestWithParam<Profile> {
 protected:
  LinuxDriver() : machine_(GetParam().options) {}

  void probe() {
    ASSERT_NE(machine_.readq(0x08), ~std::uint64_t{0});
    ASSERT_NE(machine_.readq(0x10), ~std::uint64_t{0});
    const std::uint64_t cap = machine_.readq(0x08), ecap = machine_.readq(0x10);
    const std::uint64_t end = std::max((ecap >> 8 & 0x3ff) * 16 + 16,
                                       (cap >> 24 & 0x3ff) * 16 + ((cap >> 40 & 0xff) + 1) * 16);
    EXPECT_LE(end, Unit::kRegisterBytes);
    EXPECT_NE(cap & 0x1f00, 0U) << "SAGAW";
    EXPECT_EQ(machine_.readl(0x1c), 0U);
    // The fault handler: clear what is there, unmask.
    EXPECT_TRUE(machine_.take_faults().empty());
    machine_.writel(0x3c, 0x21);
    machine_.writel(0x40, 0xfee01000);
    machine_.writel(0x44, 0);
    machine_.writel(0x38, 0);
    (void)machine_.readl(0x38);
  }
  [[nodiscard]] bool first_stage() { return machine_.has_ecap(47); }

  void enable() {
    machine_.start_queue();
    root_ = machine_.page();
    set_root(root_);
    machine_.command(WholeMachine::kTe);
  }
  void set_root(std::uint64_t root) {
    machine_.writeq(0x20, root | (machine_.is_scalable() ? 0x400U : 0));
    machine_.command(WholeMachine::kSrtp);
    // CAP.ESRTPS: the driver skips the global flushes, so the unit must have done them.
    EXPECT_TRUE(machine_.has_cap(63));
  }
  [[nodiscard]] std::uint64_t context_at(std::uint16_t sid) {
    const bool scalable = machine_.is_scalable();
    const bool upper = scalable && (sid & 0x80) != 0;
    const std::uint64_t root_at = root_ + (sid >> 8) * 16U + (upper ? 8U : 0);
    if (machine_.get(root_at) == 0) machine_.put(root_at, machine_.page() | 1);
    const std::uint64_t table = machine_.get(root_at) & ~std::uint64_t{0xfff};
    return table + (scalable ? (sid & 0x7f) * 32U : (sid & 0xff) * 16U);
  }
  // Attaches the function to a domain with tables of the default kind.
  void attach(std::uint16_t sid, std::uint64_t tables, std::uint16_t did = kDid) {
    const std::uint64_t context = context_at(sid);
    if (!machine_.is_scalable()) {
      machine_.put(context + 8, std::uint64_t{did} << 8 | 2);
      machine_.put(context, tables | 1);
    } else {
      make_pasids(sid);
      set_pasid_entry(sid, 0, did, tables);
    }
    if (machine_.has_cap(7)) {  // caching mode
      machine_.flush_context(sid, 0);
      machine_.flush_domain(did);
    }
  }
  void make_pasids(std::uint16_t sid) {
    const std::uint64_t context = context_at(sid);
    if (machine_.get(context) != 0) return;
    const std::uint64_t directory = machine_.page();
    machine_.put(directory, machine_.page() | 1);
    machine_.put(context + 8, 0);  // RID_PASID: IOMMU_NO_PASID
    machine_.put(context, directory | 9);
  }
  [[nodiscard]] std::uint64_t pasid_at(std::uint16_t sid, std::uint32_t pasid) {
    const std::uint64_t directory = machine_.get(context_at(sid)) & 0xffffffffff000;
    const std::uint64_t slot = directory + pasid / 64 * 8;
    if (machine_.get(slot) == 0) machine_.put(slot, machine_.page() | 1);
    return (machine_.get(slot) & 0xffffffffff000) + pasid % 64 * 64;
  }
  void set_pasid_entry(std::uint16_t sid, std::uint32_t pasid, std::uint16_t did,
                       std::uint64_t tables) {
    const std::uint64_t at = pasid_at(sid, pasid);
    const std::uint64_t snoop = machine_.has_ecap(48) ? 1U << 23 : 0;
    if (first_stage()) {
      machine_.put(at + 16, tables | 0x10);  // FSPTPTR, WPE, 4 levels
      machine_.put(at + 8, did | snoop);
      machine_.put(at, 2 << 2 | 1 << 6 | 1);
    } else {
      machine_.put(at + 8, did | snoop);
      machine_.put(at, tables | 2 << 2 | 2 << 6 | 1);
    }
    if (machine_.has_cap(7)) {
      machine_.flush_pasid(did, pasid);
      machine_.flush_first_stage(did, pasid);
    }
  }
  void map(std::uint64_t tables, std::uint64_t iova, std::uint64_t gpa) {
    const bool first = first_stage();
    machine_.put(machine_.entry_for(tables, 4, iova, first ? 0x27 : 3), gpa | (first ? 0x67 : 3));
  }
  void unmap(std::uint64_t tables, std::uint64_t iova) {
    machine_.put(machine_.entry_for(tables, 4, iova, 0), 0);
  }
  void flush_page(std::uint16_t did, std::uint64_t iova) {
    if (first_stage())
      machine_.flush_first_stage(did, 0, iova, 0);
    else
      machine_.flush_pages(did, iova, 0, true);
  }
  [[nodiscard]] unsigned missing(bool write) {
    if (first_stage()) return 0x71;
    if (machine_.is_scalable()) return write ? 0x85 : 0x86;
    return write ? 5 : 6;
  }

  WholeMachine machine_;
  std::uint64_t root_ = 0;
};

TEST_P(LinuxDriver, ProbeEnableAttachMapUnmapStrict) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page(), buffer = machine_.page();
  attach(kSid, tables);
  map(tables, kIova, buffer);
  if (machine_.has_cap(7)) flush_page(kDid, kIova);
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(buffer) & 0xff, 0x5aU);
  EXPECT_EQ(machine_.read_code(kSid, kIova), 0U);
  unmap(tables, kIova);
  flush_page(kDid, kIova);
  EXPECT_EQ(machine_.write_code(kSid, kIova), missing(true));
  EXPECT_EQ(machine_.interrupts.of_unit.size(), 1U);
  const auto faults = machine_.take_faults();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].source, kSid);
  EXPECT_EQ(faults[0].reason, missing(true));
  EXPECT_EQ(faults[0].address, kIova);
  EXPECT_EQ(machine_.write_code(kOther, kIova), machine_.is_scalable() ? 0x39U : 0x02U);
}

TEST_P(LinuxDriver, UnmapLazyFlushesTheDomain) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page();
  attach(kSid, tables);
  for (std::uint64_t i = 0; i < 64; ++i) map(tables, kIova + i * 0x1000, machine_.page());
  for (std::uint64_t i = 0; i < 64; ++i)
    EXPECT_EQ(machine_.write_code(kSid, kIova + i * 0x1000), 0U);
  for (std::uint64_t i = 0; i < 64; ++i) unmap(tables, kIova + i * 0x1000);
  if (first_stage())
    machine_.flush_first_stage(kDid, 0);
  else
    machine_.flush_domain(kDid);
  for (std::uint64_t i = 0; i < 64; ++i)
    EXPECT_EQ(machine_.write_code(kSid, kIova + i * 0x1000), missing(true));
}

// A whole address width in one flush: AM 51 is what the driver sends for a first-stage domain.
TEST_P(LinuxDriver, FlushOfAnyOrder) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page();
  attach(kSid, tables);
  map(tables, kIova, machine_.page());
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  unmap(tables, kIova);
  if (first_stage())
    machine_.flush_first_stage(kDid, 0, 0, 51);
  else
    machine_.flush_pages(kDid, 0, 45);
  EXPECT_EQ(machine_.write_code(kSid, kIova), missing(true));
}

TEST_P(LinuxDriver, DetachAndBlock) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page();
  attach(kSid, tables);
  map(tables, kIova, machine_.page());
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  if (machine_.is_scalable()) {
    // pasid.c: clear P, PC PASID-selective, then PIOTLB (first stage) or DSI, then the entry.
    const std::uint64_t at = pasid_at(kSid, 0);
    machine_.put(at, machine_.get(at) & ~std::uint64_t{1});
    machine_.flush_pasid(kDid, 0);
    if (first_stage())
      machine_.flush_first_stage(kDid, 0);
    else
      machine_.flush_domain(kDid);
    machine_.put(at, 0);
    EXPECT_EQ(machine_.write_code(kSid, kIova), 0x59U);
    EXPECT_EQ(machine_.take_faults().size(), 1U);
    // Or it stays with P 0 and FPD 1, and what is in flight is silent.
    machine_.put(at, 2);
    machine_.flush_pasid(kDid, 0);
    EXPECT_EQ(machine_.write_code(kSid, kIova), 0x59U);
    EXPECT_TRUE(machine_.take_faults().empty());
  } else {
    machine_.put(context_at(kSid), 0);
    machine_.flush_context(kSid, kDid);
    machine_.flush_domain(kDid);
    EXPECT_EQ(machine_.write_code(kSid, kIova), 0x02U);
  }
}

// A live switch between identity and translation, as sysfs offers it.
TEST_P(LinuxDriver, IdentityAndBack) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page(), buffer = machine_.page();
  attach(kSid, tables);
  map(tables, kIova, buffer);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  if (machine_.is_scalable()) {
    const std::uint64_t at = pasid_at(kSid, 0);
    machine_.put(at, 0);
    machine_.flush_pasid(kDid, 0);
    if (first_stage())
      machine_.flush_first_stage(kDid, 0);
    else
      machine_.flush_domain(kDid);
    machine_.put(at + 16, 0);
    machine_.put(at + 8, kPassDid);
    machine_.put(at, 2 << 2 | 4 << 6 | 1);
  } else {
    machine_.put(context_at(kSid), 0);
    machine_.flush_context(kSid, kDid);
    machine_.flush_domain(kDid);
    const std::uint64_t widest = machine_.has_cap(11) ? 3 : 2;
    machine_.put(context_at(kSid) + 8, kPassDid << 8 | widest);
    machine_.put(context_at(kSid), 2 << 2 | 1);
  }
  EXPECT_EQ(machine_.write_code(kSid, buffer), 0U);
  EXPECT_EQ(machine_.get(buffer) & 0xff, 0x5aU);
}

// Shared virtual addressing: a PASID of its own, kernel-style teardown.
TEST_P(LinuxDriver, PasidAttachAndTeardown) {
  if (!machine_.has_ecap(40)) GTEST_SKIP() << "no PASIDs";
  probe();
  enable();
  const std::uint64_t tables = machine_.page(), mine = machine_.page();
  attach(kSid, tables);
  constexpr std::uint32_t kPasid = 77;
  map(mine, kIova, machine_.page());
  set_pasid_entry(kSid, kPasid, 9, mine);
  const DmaAttributes with{.pasid = Pasid{kPasid}};
  EXPECT_EQ(machine_.write_code(kSid, kIova, with), 0U);
  EXPECT_EQ(machine_.write_code(kSid, kIova), missing(true)) << "the other space is empty";
  const std::uint64_t at = pasid_at(kSid, kPasid);
  machine_.put(at, machine_.get(at) & ~std::uint64_t{1});
  machine_.flush_pasid(9, kPasid);
  if (first_stage())
    machine_.flush_first_stage(9, kPasid);
  else
    machine_.flush_domain(9);
  EXPECT_EQ(machine_.write_code(kSid, kIova, with), 0x59U);
}

TEST_P(LinuxDriver, NestedAttach) {
  if (!machine_.has_ecap(26)) GTEST_SKIP() << "no nesting";
  probe();
  enable();
  make_pasids(kSid);
  const std::uint64_t lower = machine_.page(), upper = machine_.page(), buffer = machine_.page();
  // The parent maps everything this test uses, page by page.
  for (std::uint64_t gpa = 0x100000; gpa < 0x180000; gpa += 0x1000)
    machine_.put(machine_.entry_for(lower, 4, gpa, 3), gpa | 3);
  machine_.put(machine_.entry_for(upper, 4, kIova, 7), buffer | 7);
  const std::uint64_t at = pasid_at(kSid, 0);
  machine_.put(at + 16, upper | 0x10);
  machine_.put(at + 8, kDid | 1 << 23);
  machine_.put(at, lower | 2 << 2 | 3 << 6 | 1);
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(buffer) & 0xff, 0x5aU);
  // The parent unmaps: DSI of the nested domain, as cache_tag NESTING_* asks for.
  machine_.put(machine_.entry_for(lower, 4, buffer, 3), 0);
  machine_.flush_domain(kDid);
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0x85U);
  // And page-selective: the nested entry goes though its IOVA is not in the range.
  machine_.put(machine_.entry_for(lower, 4, buffer, 3), buffer | 3);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  machine_.put(machine_.entry_for(lower, 4, buffer, 3), 0);
  machine_.flush_pages(kDid, buffer, 0);
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0x85U);
}

// Dirty tracking: SSADE toggled on a live entry, then PC and DSI.
TEST_P(LinuxDriver, DirtyTracking) {
  if (!machine_.has_ecap(45)) GTEST_SKIP() << "no SSADS";
  probe();
  enable();
  make_pasids(kSid);
  const std::uint64_t tables = machine_.page(), buffer = machine_.page();
  const std::uint64_t leaf = machine_.entry_for(tables, 4, kIova, 3);
  machine_.put(leaf, buffer | 3);
  const std::uint64_t at = pasid_at(kSid, 0);
  machine_.put(at + 8, kDid | 1 << 23);
  machine_.put(at, tables | 2 << 2 | 2 << 6 | 1);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(leaf), buffer | 3);
  machine_.put(at, machine_.get(at) | 1 << 9);
  machine_.flush_pasid(kDid, 0);
  machine_.flush_domain(kDid);
  ASSERT_EQ(machine_.read_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(leaf), buffer | 0x103);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(leaf), buffer | 0x303);
  // Read and clear, flush, and the next write shows again.
  machine_.put(leaf, buffer | 0x103);
  machine_.flush_pages(kDid, kIova, 0, true);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  EXPECT_EQ(machine_.get(leaf), buffer | 0x303);
}

TEST_P(LinuxDriver, InterruptRemapping) {
  if (!machine_.has_ecap(3)) GTEST_SKIP() << "no interrupt remapping";
  probe();
  machine_.start_queue();
  const std::uint64_t table = machine_.page();
  const bool extended = machine_.has_ecap(4);
  machine_.writeq(0xb8, table | (extended ? 0x800U : 0) | 7);
  machine_.command(WholeMachine::kSirtp);
  if (!machine_.has_cap(62)) machine_.flush_interrupts();
  machine_.command(WholeMachine::kIre);
  EXPECT_EQ(machine_.readl(0x1c) & 1U << 23, 0U) << "the driver expects CFIS clear";
  // modify_irte: low word, high word, index flush.
  machine_.put(table + 3 * 16, std::uint64_t{extended ? 6U : 0x600U} << 32 | 0x310001);
  machine_.put(table + 3 * 16 + 8, std::uint64_t{1} << 18 | kSid);
  machine_.flush_interrupt(3);
  EXPECT_EQ(machine_.write_code(kSid, 0xfee00010 | 3 << 5), 0U);
  ASSERT_EQ(machine_.interrupts.of_devices.size(), 1U);
  EXPECT_EQ(machine_.interrupts.of_devices[0], (Msi{0xfee06000, 0x4031}));
  EXPECT_EQ(machine_.write_code(kOther, 0xfee00010 | 3 << 5), 0x26U);
  EXPECT_EQ(machine_.write_code(kSid, 0xfee06000), 0x25U) << "compatibility format";
  // I11: anything but an aligned doubleword is no message.
  const std::array<std::byte, 8> wide{};
  EXPECT_FALSE(machine_.device(kSid).write(Iova(0xfee00010 | 3 << 5), wide));
  EXPECT_EQ(machine_.interrupts.of_devices.size(), 1U);
  machine_.command(WholeMachine::kIre, false);
  EXPECT_EQ(machine_.write_code(kSid, 0xfee06000), 0U);
}

// kdump: the unit is found translating; the queue is stopped and started again, the tables are
// copied, and each copied device flushed.
TEST_P(LinuxDriver, TakeoverOfARunningUnit) {
  probe();
  enable();
  const std::uint64_t tables = machine_.page(), buffer = machine_.page();
  attach(kSid, tables);
  map(tables, kIova, buffer);
  ASSERT_EQ(machine_.write_code(kSid, kIova), 0U);
  // The new kernel.
  ASSERT_NE(machine_.readl(0x1c) & WholeMachine::kTe, 0U);
  EXPECT_EQ(machine_.readq(0x20) >> 12, root_ >> 12);
  machine_.command(WholeMachine::kQie, false);
  machine_.start_queue();
  const std::uint64_t copy = machine_.page();
  for (std::uint64_t i = 0; i < 512; ++i) machine_.put(copy + i * 8, machine_.get(root_ + i * 8));
  root_ = copy;
  set_root(copy);
  machine_.flush_contexts();
  if (machine_.is_scalable()) machine_.flush_pasids();
  machine_.flush_iotlb();
  ASSERT_NE(machine_.readl(0x1c) & WholeMachine::kTe, 0U);
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0U) << "a device that was never stopped goes on";
  machine_.flush_context(kSid, kDid);
  if (machine_.is_scalable()) machine_.flush_pasids();
  machine_.flush_iotlb();
  EXPECT_EQ(machine_.write_code(kSid, kIova), 0U);
  // Power-off state is the reset's.
  (void)machine_.iommu().reset();
  EXPECT_EQ(machine_.readl(0x1c), 0U);
}

[[nodiscard]] Options caching(Options options) {
  options.caching_mode = true;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, LinuxDriver,
    ::testing::Values(Profile{"Legacy", profile::legacy()},
                      Profile{"LegacyCaching", caching(profile::legacy())},
                      Profile{"ScalableSecondStage", profile::scalable_second_stage()},
                      Profile{"ScalableFirstStage", profile::scalable_first_stage()},
                      Profile{"Full", profile::full()},
                      Profile{"FullCaching", caching(profile::full())}),
    [](const auto& profile) { return std::string(profile.param.name); });

}  // namespace
}  // namespace weir::vtd::test
