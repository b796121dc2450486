// SPDX-License-Identifier: Apache-2.0
//
// Places and codes of the layouts against numbers that nobody here wrote: Linux
// drivers/iommu/amd/amd_iommu_types.h (MMIO_*_OFFSET, CONTROL_*, MMIO_STATUS_*, FEATURE_*,
// DTE_* and DEV_ENTRY_*, CMD_*, EVENT_*), which a driver that works on hardware uses. Sections are
// those of AMD publication 48882.

#include <gtest/gtest.h>

#include "vendors/amdvi/command_layout.h"
#include "vendors/amdvi/device_entry.h"
#include "vendors/amdvi/events.h"
#include "vendors/amdvi/registers.h"

namespace weir::amdvi {
namespace {

[[nodiscard]] constexpr std::uint64_t one(unsigned n) { return std::uint64_t{1} << n; }

// 3.4: MMIO_*_OFFSET.
TEST(LayoutTest, Registers) {
  struct Row {
    const reg::Register& is;
    unsigned at;
  };
  const Row rows[] = {{reg::device_table::kRegister, 0x0},
                      {reg::kCommandBase, 0x8},
                      {reg::kEventBase, 0x10},
                      {reg::control::kRegister, 0x18},
                      {reg::exclusion::kBase, 0x20},
                      {reg::exclusion::kLimit, 0x28},
                      {reg::efr::kRegister, 0x30},
                      {reg::kRequestBase, 0x38},
                      {reg::kGuestLogBase, 0xe0},
                      {reg::guest_log_tail::kRegister, 0xe8},
                      {reg::xt::kEvent, 0x170},
                      {reg::xt::kRequest, 0x178},
                      {reg::xt::kGuest, 0x180},
                      {reg::efr2::kRegister, 0x1a0},
                      {reg::kCommandHead, 0x2000},
                      {reg::kCommandTail, 0x2008},
                      {reg::kEventHead, 0x2010},
                      {reg::kEventTail, 0x2018},
                      {reg::status::kRegister, 0x2020},
                      {reg::kRequestHead, 0x2030},
                      {reg::kRequestTail, 0x2038},
                      {reg::kGuestLogHead, 0x2040},
                      {reg::kGuestLogTail, 0x2048}};
  EXPECT_EQ(std::size(rows), reg::kRegisters.size());
  for (const Row& row : rows) EXPECT_EQ(row.is.offset, row.at) << row.is.mnemonic;
}

// 3.4.2: CONTROL_*. 3.4.16: MMIO_STATUS_*.
TEST(LayoutTest, ControlAndStatus) {
  namespace c = reg::control;
  EXPECT_EQ(c::kEnable.kMask, one(0));
  EXPECT_EQ(c::kEventLog.kMask, one(2));
  EXPECT_EQ(c::kEventInterrupt.kMask, one(3));
  EXPECT_EQ(c::kWaitInterrupt.kMask, one(4));
  EXPECT_EQ(c::kTimeout.kMask, std::uint64_t{7} << 5);
  EXPECT_EQ(c::kCommands.kMask, one(12));
  EXPECT_EQ(c::kRequestLog.kMask, one(13));
  EXPECT_EQ(c::kRequestInterrupt.kMask, one(14));
  EXPECT_EQ(c::kPageRequests.kMask, one(15));
  EXPECT_EQ(c::kGuestTables.kMask, one(16));
  EXPECT_EQ(c::kWideInterrupts.kMask, one(17));
  EXPECT_EQ(c::kGuestApicMode.of(1), one(25));
  EXPECT_EQ(c::kGuestLog.kMask, one(28));
  EXPECT_EQ(c::kGuestInterrupt.kMask, one(29));
  EXPECT_EQ(c::kX2apic.kMask, one(50));
  EXPECT_EQ(c::kX2apicOwn.kMask, one(51));
  EXPECT_EQ(reg::status::kWaitInterrupt.kMask, one(2));
}

// 3.4.8: FEATURE_*.
TEST(LayoutTest, Features) {
  namespace f = reg::efr;
  EXPECT_EQ(f::kPrefetch.kMask, one(0));
  EXPECT_EQ(f::kPageRequests.kMask, one(1));
  EXPECT_EQ(f::kX2apic.kMask, one(2));
  EXPECT_EQ(f::kNoExecute.kMask, one(3));
  EXPECT_EQ(f::kGuestTables.kMask, one(4));
  EXPECT_EQ(f::kInvalidateAll.kMask, one(6));
  EXPECT_EQ(f::kWideInterrupts.kMask, one(7));
  EXPECT_EQ(f::kGuestLevels.kMask, std::uint64_t{3} << 12);
  EXPECT_EQ(f::kGcr3Levels.kMask, std::uint64_t{3} << 14);
  EXPECT_EQ(f::kGuestApicMode.of(1), one(21));
  EXPECT_EQ(f::kPasidBits.kMask, std::uint64_t{0x1f} << 32);
  EXPECT_EQ(f::kGuestIo.kMask, one(48));
  EXPECT_EQ(f::kAccessed.kMask, one(49));
  EXPECT_EQ(f::kEnhancedRequests.kMask, one(50));
  EXPECT_EQ(f::kDirty.kMask, one(52));
}

// 2.2.2.1: DTE_*, and DEV_ENTRY_*, which count bits through the whole entry.
TEST(LayoutTest, DeviceEntry) {
  EXPECT_EQ(kDeviceEntryBytes, 32U);
  EXPECT_EQ(dte0::kValid.kMask, one(0));
  EXPECT_EQ(dte0::kTranslationValid.kMask, one(1));
  EXPECT_EQ(dte0::kAccessedDirty.kMask, std::uint64_t{3} << 7);
  EXPECT_EQ(dte0::kMode.kMask, std::uint64_t{7} << 9);
  EXPECT_EQ(dte0::kPageRequests.kMask, one(0x34));
  EXPECT_EQ(dte0::kGuestIo.kMask, one(54));
  EXPECT_EQ(dte0::kGuestValid.kMask, one(55));
  EXPECT_EQ(dte0::kGcr3Levels.kMask, std::uint64_t{3} << 56);
  EXPECT_EQ(dte0::kGcr3Low.kMask, std::uint64_t{7} << 58);
  EXPECT_EQ(dte0::kRead.kMask, one(0x3d));
  EXPECT_EQ(dte0::kWrite.kMask, one(0x3e));
  EXPECT_EQ(dte1::kDomain.kMask, 0xffffU);
  EXPECT_EQ(dte1::kGcr3Middle.kMask, std::uint64_t{0xffff} << 16);
  EXPECT_EQ(dte1::kGcr3High.kMask, std::uint64_t{0x1fffff} << 43);
  EXPECT_EQ(dte1::kDeviceTlb.kMask, one(32));
  EXPECT_EQ(dte1::kSuppressAll.kMask, one(0x62 - 64));
  EXPECT_EQ(dte1::kExclusion.kMask, one(0x67 - 64));
  EXPECT_EQ(dte1::kSystemMessages.kMask, one(0x68 - 64) | one(0x69 - 64));
  EXPECT_EQ(dte2::kInterruptsValid.kMask, one(0x80 - 128));
  EXPECT_EQ(dte2::kTableLength.kMask, std::uint64_t{0xf} << 1);
  EXPECT_EQ(dte2::kTable.kMask, (one(52) - 1) & ~std::uint64_t{0x3f});
  EXPECT_EQ(dte2::kGuestLevels.of(1), one(54));
  EXPECT_EQ(dte2::kInitPass.kMask, one(0xb8 - 128));
  EXPECT_EQ(dte2::kExtIntPass.kMask, one(0xb9 - 128));
  EXPECT_EQ(dte2::kNmiPass.kMask, one(0xba - 128));
  EXPECT_EQ(dte2::kControl.kMask, std::uint64_t{3} << 60);
  EXPECT_EQ(dte2::kLint0Pass.kMask, one(0xbe - 128));
  EXPECT_EQ(dte2::kLint1Pass.kMask, one(0xbf - 128));
  EXPECT_EQ(gcr3::kValid.kMask, 1U);
}

// 2.4: CMD_*. 2.5: EVENT_TYPE_*, EVENT_FLAG_*.
TEST(LayoutTest, CommandsAndEvents) {
  using command::Opcode;
  const Opcode opcodes[] = {Opcode::kCompletionWait,  // CMD_COMPL_WAIT, 1
                            Opcode::kForgetDevice,   Opcode::kForgetPages,
                            Opcode::kForgetInDevice, Opcode::kForgetInterrupts,
                            Opcode::kPrefetch,       Opcode::kAnswerRequest,
                            Opcode::kForgetAll};
  for (unsigned i = 0; i < std::size(opcodes); ++i)
    EXPECT_EQ(static_cast<unsigned>(opcodes[i]), i + 1);
  EXPECT_EQ(command::wait::kStore.kMask, 1U);
  EXPECT_EQ(command::wait::kInterrupt.kMask, 2U);
  EXPECT_EQ(command::pages::kSized.kMask, 1U);
  EXPECT_EQ(command::pages::kTables.kMask, 2U);
  EXPECT_EQ(command::pages::kGuest.kMask, 4U);
  const EventCode codes[] = {EventCode::kIllegalDeviceEntry,  EventCode::kPageFault,
                             EventCode::kDeviceTableError,    EventCode::kPageTableError,
                             EventCode::kIllegalCommand,      EventCode::kCommandError,
                             EventCode::kInvalidationTimeout, EventCode::kInvalidDeviceRequest,
                             EventCode::kInvalidPageRequest};
  for (unsigned i = 0; i < std::size(codes); ++i) {
    EXPECT_EQ(static_cast<unsigned>(codes[i]), i + 1);
    EXPECT_EQ(make_command_event(codes[i], Gpa(0))[0] >> 60, i + 1);  // bit 28 of the second word
  }
  EXPECT_EQ(event::kWrite.kMask, 0x020U);
  EXPECT_EQ(event::kInterrupt.kMask, 0x008U);
  EXPECT_EQ(event::kCodeAndFlags.get(event::kCodeAndFlags.of(0xfff)), 0xfffU);
}

}  // namespace
}  // namespace weir::amdvi
