// SPDX-License-Identifier: Apache-2.0
#include "replay/qemu_log.h"

#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

constexpr std::string_view kIso = "2026-11-20T07:43:54.255479Z ";
constexpr std::string_view kPid = "23300@1795160222.179768:";

std::string line(std::string_view prefix, std::string_view text) {
  return std::string(prefix) + std::string(text) + "\n";
}

// The one event that `text`, a line without prefix, gives.
template <typename T>
T parse(std::string_view text) {
  const auto event = only_event<QemuLogReader>(line(kIso, text));
  EXPECT_TRUE(std::holds_alternative<T>(event.what)) << text;
  return std::holds_alternative<T>(event.what) ? std::get<T>(event.what) : T{};
}

void expect_bad(std::string_view text, std::string_view cause) {
  expect_error<QemuLogReader>(line(kIso, text), 1, cause);
}

TEST(QemuLog, AnAccessIsPutTogetherFromTwoLines) {
  for (const std::string_view prefix : {std::string_view(), kPid, kIso}) {
    SCOPED_TRACE(prefix);
    const auto event = only_event<QemuLogReader>(
        line(prefix,
             "vtd_iotlb_page_update IOTLB page update sid 0x18 iova 0xfffff002 slpte "
             "0x1fe47003 domain 0x4") +
        line(prefix,
             "vtd_dmar_translate dev 00:03.00 iova 0xfffff000 -> gpa 0x1fe47000 mask 0xfff"));
    EXPECT_EQ(event.line, 1u);
    const auto& access = std::get<LoggedAccess>(event.what);
    EXPECT_EQ(access.requester, Requester::from_bdf(0, 3, 0));
    EXPECT_EQ(access.iova, Iova(0xfffff002));
    EXPECT_EQ(access.gpa, Gpa(0x1fe47002));
    EXPECT_EQ(access.page_mask, 0xfffu);
    EXPECT_EQ(access.leaf_entry, 0x1fe47003u);
    EXPECT_EQ(access.domain, DomainId{4});
    EXPECT_EQ(access.outcome, AccessOutcome::kFill);
  }
}

TEST(QemuLog, TimesOfTheThreePrefixes) {
  const std::string_view text = "vtd_dmar_enable enable 1";
  EXPECT_EQ(only_event<QemuLogReader>(line("", text)).time_us, 0u);
  EXPECT_EQ(only_event<QemuLogReader>(line(kPid, text)).time_us, 1795160222179768u);
  // `date -d 2026-11-20T07:43:54Z +%s` says 1795160634.
  EXPECT_EQ(only_event<QemuLogReader>(line(kIso, text)).time_us, 1795160634255479u);
}

TEST(QemuLog, AHitInAGigabytePage) {
  const auto event = only_event<QemuLogReader>(
      "vtd_iotlb_page_hit IOTLB page hit sid 0xfa iova 0x1234567890 slpte 0x140000083 domain 0x3\n"
      "vtd_dmar_translate dev 00:1f.02 iova 0x1200000000 -> gpa 0x140000000 mask 0x3fffffff\n");
  const auto& access = std::get<LoggedAccess>(event.what);
  EXPECT_EQ(access.requester, Requester::from_bdf(0, 0x1f, 2));
  EXPECT_EQ(access.gpa, Gpa(0x174567890));
  EXPECT_EQ(access.page_mask, 0x3fffffffu);
  EXPECT_EQ(access.outcome, AccessOutcome::kHit);
}

TEST(QemuLog, EachKindOfLine) {
  const auto fault =
      parse<LoggedFault>("vtd_dmar_fault sid 0x30 fault 113 addr 0xfff00010 write 1");
  EXPECT_EQ(fault.requester, Requester::from_sid(0x30));
  EXPECT_EQ(fault.iova, Iova(0xfff00010));
  EXPECT_EQ(fault.reason, 0x71);
  EXPECT_TRUE(fault.write);

  const auto record =
      parse<FaultRecordWritten>("vtd_frr_new index 0 high 0x4000000600000030 low 0xfff00000");
  EXPECT_EQ(record.index, 0);
  EXPECT_EQ(record.high, 0x4000000600000030u);
  EXPECT_EQ(record.low, 0xfff00000u);

  const auto hit = parse<ContextSeen>(
      "vtd_iotlb_cc_hit IOTLB context hit bus 0x2 devfn 0x18 high 0x402 low 0x7b00001 gen 1");
  EXPECT_EQ(hit.requester, Requester::from_sid(0x218));
  EXPECT_EQ(hit.high, 0x402u);
  EXPECT_EQ(hit.low, 0x7b00001u);
  EXPECT_FALSE(hit.fetched);
  EXPECT_TRUE(parse<ContextSeen>("vtd_iotlb_cc_update IOTLB context update bus 0x0 devfn 0x18 high "
                                 "0x402 low 0x7b00001 gen 0 -> gen 1")
                  .fetched);
  EXPECT_EQ(
      parse<ContextAbsent>("vtd_ce_not_present Context entry bus 1 devfn 16 not present").requester,
      Requester::from_sid(0x110));
  EXPECT_EQ(parse<RootAbsent>("vtd_re_not_present Root entry bus 32 not present").bus, 32);

  const auto wait = parse<WaitStatusWrite>(
      "vtd_inv_desc_wait_sw wait invalidate status write addr 0x6a98004 data 0x2");
  EXPECT_EQ(wait.address, Gpa(0x6a98004));
  EXPECT_EQ(wait.data, 2u);

  const auto write = parse<RegisterWrite>("vtd_reg_write addr 0x88 size 0x4 value 0x4a0");
  EXPECT_EQ(write.offset, 0x88u);
  EXPECT_EQ(write.size, 4);
  EXPECT_EQ(write.value, 0x4a0u);
  EXPECT_EQ(parse<GlobalCommand>("vtd_reg_write_gcmd status 0x7000000 value 0x84000000").value,
            0x84000000u);
  EXPECT_TRUE(parse<TranslationEnable>("vtd_dmar_enable enable 1").on);
  EXPECT_FALSE(parse<TranslationEnable>("vtd_dmar_enable enable 0").on);
  const auto root = parse<RootPointerSet>("vtd_reg_dmar_root addr 0x74e0000 scalable 1");
  EXPECT_EQ(root.address, Gpa(0x74e0000));
  EXPECT_TRUE(root.scalable);
  const auto setup = parse<QueueSetup>("vtd_inv_qi_setup addr 0x6a9f000 size 256");
  EXPECT_EQ(setup.address, Gpa(0x6a9f000));
  EXPECT_EQ(setup.entries, 256u);
  EXPECT_TRUE(parse<QueueEnable>("vtd_inv_qi_enable enabled 1").on);
  EXPECT_EQ(parse<QueueTail>("vtd_inv_qi_tail write tail 74").index, 74u);
  EXPECT_TRUE(parse<IotlbReset>("vtd_iotlb_reset IOTLB reset (reason: iotlb exceeds size limit)")
                  .for_lack_of_room);
  EXPECT_FALSE(parse<IotlbReset>("vtd_iotlb_reset IOTLB reset (reason: other)").for_lack_of_room);
  parse<UnitReset>("vtd_reset_exit ");
  parse<UnitReset>("vtd_reset_exit");  // as an editor that strips spaces leaves it

  const auto change = parse<AddressSpaceSwitch>(
      "vtd_switch_address_space Device 00:02.0 switching address space (iommu enabled=1)");
  EXPECT_EQ(change.requester, Requester::from_sid(0x10));
  EXPECT_TRUE(change.translated);
  EXPECT_EQ(
      parse<RunStateChange>("runstate_set current_run_state 9 (running) new_state 4 (paused)").to,
      RunState::kPaused);
  EXPECT_EQ(
      parse<RunStateChange>("runstate_set current_run_state 6 (prelaunch) new_state 9 (running)")
          .to,
      RunState::kRunning);
  EXPECT_EQ(parse<Marker>("pci_cfg_write edu 00:06.0 @0xc <- 0xfa").number, 250u);
}

TEST(QemuLog, DescriptorsStayRaw) {
  struct Case {
    std::string_view text;
    unsigned type;
    std::uint64_t low;
    std::uint64_t high;
  };
  for (const Case& c : {
           Case{"context-cache high 0x0 low 0x31", 1, 0x31, 0},
           Case{"iotlb high 0xfffdf000 low 0x500f2", 2, 0x500f2, 0xfffdf000},
           Case{"device high 0xffff8000 low 0x10000000003", 3, 0x10000000003, 0xffff8000},
           Case{"iec high 0x0 low 0x4", 4, 4, 0},
           Case{"wait high 0x6a98004 low 0x200000025", 5, 0x200000025, 0x6a98004},
           Case{"p-iotlb high 0x0 low 0x40026", 6, 0x40026, 0},
           Case{"pasid-cache high 0x0 low 0x20017", 7, 0x20017, 0},
           Case{"of-the-future high 0x1 low 0x208", 0x18, 0x208, 1},
       }) {
    const auto descriptor =
        parse<InvalidationDescriptor>("vtd_inv_desc invalidate desc type " + std::string(c.text));
    EXPECT_EQ(descriptor.type(), c.type) << c.text;
    EXPECT_EQ(descriptor.words, (std::array<std::uint64_t, 4>{c.low, c.high, 0, 0}));
    EXPECT_EQ(descriptor.words_known, 2);
  }
  expect_bad("vtd_inv_desc invalidate desc type iotlb high 0x0 low 0x31", "type of the descriptor");
}

TEST(QemuLog, PassThroughComesBeforeTheSwitchItCauses) {
  const ScratchFile file(
      "vtd_translate_pt source id 0x10, iova 0x7bfe123\n"
      "vtd_switch_address_space Device 00:02.0 switching address space (iommu enabled=0)\n"
      "vtd_pt_enable_fast_path sid 0x10 1\n"
      "vtd_dmar_translate dev 00:02.00 iova 0x7bfe000 -> gpa 0x7bfe000 mask 0xfff\n");
  const auto drained = drain<QemuLogReader>(file.path());
  ASSERT_FALSE(drained.error) << text_of(drained.error);
  ASSERT_EQ(drained.events.size(), 2u);
  const auto& access = std::get<LoggedAccess>(drained.events[0].what);
  EXPECT_EQ(access.outcome, AccessOutcome::kPassThrough);
  EXPECT_EQ(access.requester, Requester::from_sid(0x10));
  EXPECT_EQ(access.iova, Iova(0x7bfe123));
  EXPECT_EQ(access.gpa, Gpa(0x7bfe123));
  EXPECT_TRUE(std::holds_alternative<AddressSpaceSwitch>(drained.events[1].what));
}

TEST(QemuLog, TranslationOffIsAnIdentityOfItsOwn) {
  const auto event = only_event<QemuLogReader>(
      "vtd_dmar_translate dev 00:02.00 iova 0x7bfe000 -> gpa 0x7bfe000 mask 0xfff\n");
  EXPECT_EQ(std::get<LoggedAccess>(event.what).outcome, AccessOutcome::kUnremapped);
  expect_bad("vtd_dmar_translate dev 00:02.00 iova 0x7bfe000 -> gpa 0x1000 mask 0xfff",
             "without the vtd_iotlb_page_hit");
}

TEST(QemuLog, CapacityResetComesBeforeTheFillThatNeededRoom) {
  const ScratchFile file(
      "vtd_iotlb_page_update IOTLB page update sid 0x10 iova 0x5000 slpte 0x9003 domain 0x3\n"
      "vtd_iotlb_reset IOTLB reset (reason: iotlb exceeds size limit)\n"
      "vtd_dmar_translate dev 00:02.00 iova 0x5000 -> gpa 0x9000 mask 0xfff\n");
  const auto drained = drain<QemuLogReader>(file.path());
  ASSERT_FALSE(drained.error) << text_of(drained.error);
  ASSERT_EQ(drained.events.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<IotlbReset>(drained.events[0].what));
  EXPECT_EQ(drained.events[0].line, 2u);
  EXPECT_TRUE(std::holds_alternative<LoggedAccess>(drained.events[1].what));
  EXPECT_EQ(drained.events[1].line, 1u);
}

TEST(QemuLog, OtherEventsAndMessagesAreCounted) {
  const ScratchFile file(
      "vtd_warn_ir_vector sid 0xffff index 3 vec 4 (should be: 37)\n"
      "pci_cfg_write mch 00:00.0 @0x90 <- 0x33333330\n"
      "pci_cfg_write edu 00:06.0 @0x4 <- 0x7\n"
      "vtd_inv_qi_fetch \n"
      "qemu-system-x86_64: vtd_iommu_translate: detected translation failure (dev=00:06:00)\n"
      "2026-11-20T07:43:54.255479Z qemu-system-x86_64: warning: something\n"
      "vtd_dmar_enable enable 1\n");
  auto reader = QemuLogReader::open(file.path());
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->next().ok());
  const auto end = reader->next();
  ASSERT_TRUE(end.ok());
  EXPECT_FALSE(end.value().has_value());
  EXPECT_EQ(reader->counts().lines, 7u);
  EXPECT_EQ(reader->counts().events, 1u);
  EXPECT_EQ(reader->counts().skipped, 4u);
  EXPECT_EQ(reader->counts().messages, 2u);
}

TEST(QemuLog, OtherIommusAreNamed) {
  expect_bad("amdvi_iotlb_hit hit iotlb devid 00:03.0 gpa 0xfffff002 hpa 0x7aca000",
             "from amd-iommu: that front end is not built yet");
  expect_bad("virtio_iommu_attach domain=0 endpoint=24", "from virtio-iommu");
  expect_bad("smmuv3_cmdq_tlbi_nh ", "from arm-smmu");
  for (const auto& [name, model] :
       {std::pair{"samples/amd_lazyreq_612.host.log", "amd-iommu"},
        std::pair{"samples/viommu_lazy_612.host.log", "virtio-iommu"}}) {
    const auto drained = drain<QemuLogReader>(capture(name));
    ASSERT_TRUE(drained.error) << name;
    EXPECT_EQ(drained.error->line, 2u);
    EXPECT_NE(drained.error->cause.find(model), std::string::npos) << drained.error->cause;
  }
}

TEST(QemuLog, HalfAnAccessIsAnError) {
  const std::string half =
      "vtd_iotlb_page_hit IOTLB page hit sid 0x10 iova 0x5000 slpte 0x9003 domain 0x3\n";
  const std::string other =
      "vtd_dmar_translate dev 00:03.00 iova 0x5000 -> gpa 0x9000 mask 0xfff\n";
  const std::string far = "vtd_dmar_translate dev 00:02.00 iova 0x6000 -> gpa 0x9000 mask 0xfff\n";
  expect_error<QemuLogReader>("vtd_inv_qi_fetch\n" + half, 2, "cut off");
  expect_error<QemuLogReader>(half + half, 1, "without its vtd_dmar_translate");
  expect_error<QemuLogReader>(half + "vtd_dmar_enable enable 1\n", 1, "without its");
  expect_error<QemuLogReader>(half + other, 2, "does not belong to the access of line 1");
  expect_error<QemuLogReader>(half + far, 2, "does not belong");
  expect_error<QemuLogReader>("vtd_translate_pt source id 0x10, iova 0x5000\n", 1, "without its");
  expect_error<QemuLogReader>("vtd_translate_pt source id 0x10, iova 0x5000\n" +
                                  std::string("vtd_dmar_translate dev 00:02.00 iova 0x5000 -> gpa "
                                              "0x9000 mask 0xfff\n"),
                              2, "does not belong");
}

TEST(QemuLog, FieldsThatDoNotParse) {
  expect_bad("vtd_dmar_fault sid 0x30 fault 6 addr 0xfff00000", "expected \" write \"");
  expect_bad("vtd_dmar_fault sid 0x30 fault 6 addr 0xfff00000 write 2",
             "column 83: expected 0 or 1");
  expect_bad("vtd_dmar_fault sid 0x30 fault 6 addr 0xfff00000 write 0 0", "end of the line");
  expect_bad("vtd_dmar_fault sid 0x30 fault x addr 0xfff00000 write 0", "a decimal number");
  expect_bad("vtd_dmar_fault sid 0x30 fault -6 addr 0xfff00000 write 0", "a decimal number");
  expect_bad("vtd_dmar_fault sid 0x fault 6 addr 0xfff00000 write 0", "a hexadecimal number");
  expect_bad("vtd_dmar_fault sid 30 fault 6 addr 0xfff00000 write 0", "number with 0x");
  expect_bad("vtd_dmar_fault sid 0x10000 fault 6 addr 0x0 write 0", "at most 16 bits");
  expect_bad("vtd_dmar_fault sid 0x30 fault 6 addr 0x12345678901234567890 write 0",
             "at most 64 bits");
  expect_bad("vtd_dmar_fault", "found the end of the line");
  expect_bad("vtd_reg_write addr 0x88 size 0x3 value 0x0", "size of 4 or 8");
  expect_bad("vtd_dmar_translate dev 00:20.00 iova 0x0 -> gpa 0x0 mask 0xfff", "PCI function");
  expect_bad("vtd_dmar_translate dev 00:02.08 iova 0x0 -> gpa 0x0 mask 0xfff", "PCI function");
  expect_bad("vtd_dmar_translate dev 00:02.00 iova 0x0 -> gpa 0x0 mask 0xffe", "page size");
  expect_bad("vtd_dmar_translate dev 00:02.00 iova 0x0 -> gpa 0x0 mask 0xff", "page size");
  expect_bad("vtd_dmar_translate dev 00:02.00 iova 0x1 -> gpa 0x0 mask 0xfff", "aligned");
  expect_bad("vtd_iotlb_cc_hit IOTLB context hit bus 0x0 devfn 0x118 high 0x0 low 0x0 gen 1",
             "at most 8 bits");
  expect_bad("pci_cfg_write edu 00:06.0 @0xc <-", "expected \" <- \"");
}

TEST(QemuLog, LinesThatAreNoTraceLines) {
  for (const std::string_view bad :
       {"", "   ", "hello", "the quick brown fox", "vtd_dmar_enable: enable 1", "VTD_DMAR enable 1",
        "\x80\x81\x82", "2026-11-20T07:43:54.255479Z", "2026-13-20T07:43:54.255479Z vtd_x y",
        "2026-11-20T07:43:54.25547Z vtd_x y", "2026-11-20T24:43:54.255479Z vtd_x y",
        "23300@1795160222.179768 vtd_x y", "23300@.179768:vtd_x y",
        "99999999999999999999@1.000000:vtd_x y", "1@99999999999999999.000000:vtd_x y", "7_a b",
        "\"qemu-\": x", "{\"json\": 1}"}) {
    expect_error<QemuLogReader>("vtd_inv_qi_fetch \n" + std::string(bad) + "\n", 2,
                                "not a line of a QEMU trace log");
  }
}

TEST(QemuLog, AnFtraceLineInsideIsNamed) {
  for (const std::string_view ftrace :
       {"          <idle>-0       [000] d..2.     0.349919: qi_submit: iec_inv dmar0: 0x4 0x0 0x0 "
        "0x0",
        "    my_task of me-12      [001] d..2.     0.349919: map: IOMMU: iova=0x0",
        "my_task of my own-12      [001] d..2.     0.349919: map: IOMMU: iova=0x0",
        "# tracer: nop"}) {
    expect_error<QemuLogReader>("vtd_inv_qi_fetch \n" + std::string(ftrace) + "\n", 2,
                                "a line of a Linux ftrace inside a QEMU trace log");
  }
}

// A reader of hostile bytes ends, and either understood all of it or names a line that exists.
TEST(QemuLog, EveryDamagedByteOfARealLogEndsWell) {
  const std::string log = contents(capture("samples/vtd_leg_lazy_612.host.log")).substr(0, 6000);
  const std::string good = log.substr(0, log.rfind('\n') + 1);
  std::size_t errors = 0;
  for (std::size_t at = 0; at < good.size(); at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at / 3 % 8)));
    const ScratchFile file(bad);
    const auto drained = drain<QemuLogReader>(file.path());
    if (drained.error) {
      ++errors;
      EXPECT_GE(drained.error->line, 1u);
      EXPECT_LE(drained.error->line, 121u) << drained.error->to_string();
    }
  }
  EXPECT_GT(errors, good.size() / 3 / 4);
}

TEST(QemuLog, EveryTruncationOfARealLogInsideALineIsAnError) {
  const std::string log = contents(capture("samples/vtd_leg_lazy_612.faults.log")).substr(0, 3000);
  for (std::size_t size = 1; size < log.size(); ++size) {
    if (log[size - 1] == '\n') {
      continue;
    }
    const ScratchFile file(std::string_view(log).substr(0, size));
    EXPECT_TRUE(drain<QemuLogReader>(file.path()).error) << size;
  }
}

}  // namespace
}  // namespace weir::replay
