// SPDX-License-Identifier: Apache-2.0
#include "replay/ftrace.h"

#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

constexpr std::string_view kHead = "     kworker/0:0-9       [003] D..2.     8.769029: ";

FtraceEvent event_of(std::string_view text) {
  return only_event<FtraceReader>(std::string(kHead) + std::string(text) + "\n");
}
template <typename T>
T parse(std::string_view text) {
  const auto event = event_of(text);
  EXPECT_TRUE(std::holds_alternative<T>(event.what)) << text;
  return std::holds_alternative<T>(event.what) ? std::get<T>(event.what) : T{};
}
void expect_bad(std::string_view text, std::string_view cause) {
  expect_error<FtraceReader>("# tracer: nop\n" + std::string(kHead) + std::string(text) + "\n", 2,
                             cause);
}

TEST(Ftrace, LineHeads) {
  const std::string text = " [002] d.h1.     4.821901: tracing_mark_write: MARK 5\n";
  // Names of tasks: with spaces, ':' and '/', as wide as they get, like the pattern itself.
  for (const std::string_view task :
       {"       scsi_eh_0-158    ", "          <idle>-0      ", "    kworker/u2:1-24     ",
        "fifteen chars_x-1234567", "tail", "        a-1 [0] -22      ", "     1.5: map: -9       ",
        "      my task 7-12      (     12)", "x-1 (-------)"}) {
    if (task == "tail") {
      expect_error<FtraceReader>(std::string(task) + text, 1, "not a line of a Linux ftrace");
      continue;
    }
    const auto event = only_event<FtraceReader>(std::string(task) + text);
    EXPECT_EQ(event.line, 1u);
    EXPECT_EQ(event.cpu, 2u) << task;
    EXPECT_EQ(event.time_us, 4821901u) << task;
    EXPECT_EQ(std::get<Marker>(event.what).number, 5u) << task;
  }
  // With the option irq-info off there are no flags.
  const auto bare =
      only_event<FtraceReader>("  a-1  [000] 12.000001: tracing_mark_write: MARK 1\n");
  EXPECT_EQ(bare.time_us, 12000001u);
}

TEST(Ftrace, TextOfAnEventIsNotTakenForItsHead) {
  const std::string line = std::string(kHead) +
                           "tracing_mark_write: x-1 [000] d..1. 9.000000: map: IOMMU: iova=bad\n" +
                           std::string(kHead) + "tracing_mark_write: MARK 3\n";
  EXPECT_EQ(std::get<Marker>(only_event<FtraceReader>(line).what).number, 3u);
}

TEST(Ftrace, MapsAndUnmaps) {
  const auto map = parse<GuestMap>(
      "map: IOMMU: iova=0x00000000ffefc000 - 0x00000000ffefe000 paddr=0x0000000148198000 "
      "size=8192");
  EXPECT_EQ(map.range, (AddressRange{Iova(0xffefc000), Iova(0xffefdfff)}));
  EXPECT_EQ(map.gpa, Gpa(0x148198000));
  const auto old = parse<GuestMap>("map: IOMMU: iova=0xfffff000 paddr=0x2770000 size=4096");
  EXPECT_EQ(old.range, (AddressRange{Iova(0xfffff000), Iova(0xffffffff)}));
  EXPECT_EQ(old.gpa, Gpa(0x2770000));
  const auto top = parse<GuestMap>(
      "map: IOMMU: iova=0xfffffffffffff000 - 0x0000000000000000 paddr=0x1000 size=4096");
  EXPECT_EQ(top.range.last, Iova(0xffffffffffffffff));

  const auto unmap = parse<GuestUnmap>(
      "unmap: IOMMU: iova=0xffefc000 - 0xffefd000 size=4096 unmapped_size=2097152");
  EXPECT_EQ(unmap.range, (AddressRange{Iova(0xffefc000), Iova(0xffefcfff)}));
  EXPECT_EQ(unmap.unmapped_bytes, 2097152u);
  EXPECT_EQ(parse<GuestUnmap>("unmap: IOMMU: iova=0x1000 size=4096 unmapped_size=0").range.last,
            Iova(0x1fff));

  expect_bad("map: IOMMU: iova=0x1000 - 0x3000 paddr=0x0 size=4096", "agrees with the range");
  expect_bad("map: IOMMU: iova=0x1000 - 0x1000 paddr=0x0 size=0", "size within");
  expect_bad("map: IOMMU: iova=0xffffffffffffffff paddr=0x0 size=2", "size within");
  expect_bad("map: IOMMU: iova=0x1000 - 0x2000 paddr=0x0", "expected \" size=\"");
  expect_bad("map: IOMMU: iova=0x11112222333344445 paddr=0x0 size=1", "at most 64 bits");
  expect_bad("unmap: IOMMU: iova=0x1000 - 0x2000 size=4096 unmapped_size=", "a decimal number");
  expect_bad("map: iova=0x1000", "expected \"IOMMU: iova=\"");
}

TEST(Ftrace, DescriptorsAsQueued) {
  const auto iotlb =
      parse<InvalidationDescriptor>("qi_submit: iotlb_inv dmar1: 0x600f2 0xffefc040 0x3 0x4");
  EXPECT_EQ(iotlb.words, (std::array<std::uint64_t, 4>{0x600f2, 0xffefc040, 3, 4}));
  EXPECT_EQ(iotlb.words_known, 4);
  EXPECT_EQ(iotlb.unit, 1u);
  EXPECT_EQ(iotlb.type(), 2u);
  EXPECT_EQ(
      parse<InvalidationDescriptor>("qi_submit: p_iotlb_inv dmar0: 0x40026 0x0 0x0 0x0").type(),
      6u);
  expect_bad("qi_submit: iotlb_inv dmar0: 0x600f2 0xffefc040 0x3", "found the end of the line");
  expect_bad("qi_submit: iotlb_inv smmu: 0x0 0x0 0x0 0x0", "expected \" dmar\"");
}

TEST(Ftrace, CacheTags) {
  EXPECT_EQ(parse<CacheTagAssigned>("cache_tag_assign: dmar0/dmar0 type iotlb did 10 pasid 0 ref 2")
                .domain.value,
            10u);
  const auto range = parse<CacheTagFlush>(
      "cache_tag_flush_range: dmar0 0000:01:00.0[7] type devtlb did 10 [0xffff8000-0xffff8fff] "
      "addr "
      "0xffff8000 pages 0x2 mask 0x1");
  EXPECT_EQ(range.kind, CacheKind::kDeviceTlb);
  EXPECT_EQ(range.domain, DomainId{10});
  EXPECT_EQ(range.pasid, 7u);
  EXPECT_EQ(range.range, (AddressRange{Iova(0xffff8000), Iova(0xffff8fff)}));
  EXPECT_EQ(range.pages, 2u);
  EXPECT_EQ(range.mask, 1u);
  EXPECT_FALSE(range.after_map);
  const auto np = parse<CacheTagFlush>(
      "cache_tag_flush_range_np: dmar0 dmar0[0] type iotlb did 9 [0x0-0x1fff] addr 0x0 pages 0x2 "
      "mask 0x1");
  EXPECT_TRUE(np.after_map);
  EXPECT_EQ(np.kind, CacheKind::kIotlb);
  const auto all =
      parse<CacheTagFlush>("cache_tag_flush_all: dmar0/dmar0 type iotlb did 4 pasid 3 ref 1");
  EXPECT_FALSE(all.range.has_value());
  EXPECT_EQ(all.domain, DomainId{4});
  EXPECT_EQ(all.pasid, 3u);
  expect_bad(
      "cache_tag_flush_range: dmar0 dmar0[0] type iotlb did 9 [0x2000-0x1fff] addr 0x0 pages "
      "0x2 mask 0x1",
      "range that does not end before");
}

TEST(Ftrace, DmaCalls) {
  const auto map = parse<DmaMap>(
      "dma_map_page: 0000:00:05.0 dir=TO_DEVICE dma_addr=ffefc002 size=90 phys_addr=148198002 "
      "attrs=");
  EXPECT_EQ(map.requester, Requester::from_sid(0x28));
  EXPECT_EQ(map.direction, DmaDirection::kToDevice);
  EXPECT_EQ(map.iova, Iova(0xffefc002));
  EXPECT_EQ(map.size, 90u);
  EXPECT_EQ(map.gpa, Gpa(0x148198002));
  EXPECT_EQ(
      parse<DmaMap>("dma_map_phys: 0001:00:05.0 dir=NONE dma_addr=0 size=1 phys_addr=2 attrs=")
          .requester,
      Requester::from_sid(0x28, 1));
  // A device that is no PCI function, and one whose segment has more than 16 bits.
  for (const std::string_view name : {"fd4b0000.usb", "10000:e1:00.0"}) {
    EXPECT_FALSE(parse<DmaMap>("dma_map_page: " + std::string(name) +
                               " dir=FROM_DEVICE dma_addr=0 size=1 phys_addr=2 attrs=")
                     .requester.has_value());
  }
  const auto unmap = parse<DmaUnmap>(
      "dma_unmap_page: 0000:00:05.0 dir=FROM_DEVICE dma_addr=ffefc002 size=90 attrs=");
  EXPECT_EQ(unmap.iova, Iova(0xffefc002));
  EXPECT_EQ(unmap.direction, DmaDirection::kFromDevice);
  const auto alloc = parse<DmaAlloc>(
      "dma_alloc: 0000:00:03.0 dir=BIDIRECTIONAL dma_addr=ffffe000 size=6726 "
      "virt_addr=000000009ed2957e flags=GFP_KERNEL|__GFP_ZERO attrs=NO_WARN");
  EXPECT_EQ(alloc.size, 6726u);
  EXPECT_EQ(alloc.direction, DmaDirection::kBidirectional);
  EXPECT_EQ(parse<DmaFree>("dma_free: 0000:00:02.0 dir=BIDIRECTIONAL dma_addr=ffffd000 size=16 "
                           "virt_addr=000000002388c6e9 attrs=")
                .size,
            16u);

  const auto sg = parse<DmaMapSg>(
      "dma_map_sg: 0000:00:1f.2 dir=FROM_DEVICE nents=3/3 ents=2/2 "
      "dma_addrs={0xfff3f8c0,0xfff00000} "
      "sizes={0x200,0x2000} phys_addrs={0x84868c0,0x1000,0x2000} attrs=");
  EXPECT_FALSE(sg.truncated);
  ASSERT_EQ(sg.segments.size(), 2u);
  EXPECT_EQ(sg.segments[1].iova, Iova(0xfff00000));
  EXPECT_EQ(sg.segments[1].size, 0x2000u);
  EXPECT_EQ(sg.pages, (std::vector{Gpa(0x84868c0), Gpa(0x1000), Gpa(0x2000)}));
  EXPECT_TRUE(
      parse<DmaMapSg>("dma_map_sg: 0000:00:1f.2 dir=TO_DEVICE nents=1/9 ents=1/1 [TRUNCATED] "
                      "dma_addrs={0x0} sizes={0x1} phys_addrs={0x0} attrs=")
          .truncated);
  EXPECT_EQ(parse<DmaUnmapSg>("dma_unmap_sg: 0000:00:1f.2 dir=FROM_DEVICE "
                              "phys_addrs={0x84868c0,0x5000} attrs=")
                .pages.size(),
            2u);

  expect_bad("dma_map_page: 0000:00:05.0 dir=SIDEWAYS dma_addr=0 size=90 phys_addr=1 attrs=",
             "DMA direction");
  expect_bad("dma_map_page: 0000:00:05.0 dir=TO_DEVICE dma_addr=0x1 size=90 phys_addr=1 attrs=",
             "expected \" size=\"");
  expect_bad(
      "dma_map_sg: 0000:00:1f.2 dir=TO_DEVICE nents=1/1 ents=1/1 dma_addrs={0x0} "
      "sizes={0x1,0x2} phys_addrs={0x0} attrs=",
      "no more sizes");
  expect_bad(
      "dma_map_sg: 0000:00:1f.2 dir=TO_DEVICE nents=1/1 ents=1/1 dma_addrs={0x0,0x1} "
      "sizes={0x1} phys_addrs={0x0} attrs=",
      "as many sizes");
  expect_bad("dma_unmap_sg: 0000:00:1f.2 dir=TO_DEVICE phys_addrs={0x1,0x2", "expected \",\"");
}

TEST(Ftrace, TheRest) {
  EXPECT_EQ(parse<DeviceAttached>("attach_device_to_domain: IOMMU: device=0000:00:08.0").requester,
            Requester::from_sid(0x40));
  const auto fault = parse<IoPageFault>(
      "io_page_fault: IOMMU:nvme 0000:00:02.0 iova=0x00000000fff00000 flags=0x0001");
  EXPECT_EQ(fault.requester, Requester::from_sid(0x10));
  EXPECT_EQ(fault.iova, Iova(0xfff00000));
  EXPECT_EQ(fault.flags, 1u);
  const auto lost = only_event<FtraceReader>("CPU:3 [LOST 123 EVENTS]\n");
  EXPECT_EQ(lost.cpu, 3u);
  EXPECT_EQ(std::get<LostEvents>(lost.what).count, 123u);
  EXPECT_FALSE(std::get<LostEvents>(only_event<FtraceReader>("CPU:3 [LOST EVENTS]\n").what)
                   .count.has_value());
}

TEST(Ftrace, OtherEventsAndHeadersAreCounted) {
  const ScratchFile file("# tracer: nop\n##### CPU 1 buffer started ####\n" + std::string(kHead) +
                         "sched_switch: prev_comm=x\n" + std::string(kHead) +
                         "tracing_mark_write: hello\n" + std::string(kHead) +
                         "tracing_mark_write: MARK 9\n");
  auto reader = FtraceReader::open(file.path());
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->next().ok());
  const auto end = reader->next();
  ASSERT_TRUE(end.ok());
  EXPECT_FALSE(end.value().has_value());
  EXPECT_EQ(reader->counts().lines, 5u);
  EXPECT_EQ(reader->counts().headers, 2u);
  EXPECT_EQ(reader->counts().skipped, 2u);
  EXPECT_EQ(reader->counts().events, 1u);
}

TEST(Ftrace, LinesThatAreNoFtraceLines) {
  for (const std::string_view bad :
       {"", "garbage", "  a-1 [000] d..1. 4.5: map: x", "  a-1 [000] d..1. map: x",
        "  a-1 [0x0] d..1. 4.000000: map: x", "  a [000] d..1. 4.000000: map: x",
        "  a-1 [000] d..1. 4.000000 map: x", "  a-1 [000] d..1. 4.000000: : x",
        "  a-1 [99999999999] d..1. 4.000000: map: x", "CPU:x [LOST EVENTS]",
        "  a-1 [000] d..1. 99999999999999999999.000000: map: x"}) {
    expect_error<FtraceReader>("# tracer: nop\n" + std::string(bad) + "\n", 2,
                               "not a line of a Linux ftrace");
  }
}

TEST(Ftrace, AQemuLineInsideIsNamed) {
  for (const std::string_view qemu :
       {"2026-11-20T07:43:51.749063Z vtd_inv_qi_fetch ", "vtd_dmar_enable enable 1",
        "23300@1795160222.179768:vtd_inv_qi_tail write tail 3"}) {
    expect_error<FtraceReader>("# tracer: nop\n" + std::string(kHead) +
                                   "tracing_mark_write: MARK 9\n" + std::string(qemu) + "\n",
                               3, "a line of a QEMU trace log inside a Linux ftrace");
  }
}

TEST(Ftrace, HostileLineLengthsTakeLinearTime) {
  std::string line = "x";
  while (line.size() + 8 < kMaxLine) {
    line += "-1 (2) [";
  }
  expect_error<FtraceReader>(line + "\n", 1, "not a line of a Linux ftrace");
}

TEST(Ftrace, EveryDamagedByteOfARealTraceEndsWell) {
  const std::string good = contents(capture("samples/vtd_leg_cm_vfu_612.guest.txt"));
  std::size_t errors = 0;
  for (std::size_t at = 0; at < good.size(); at += 5) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at / 5 % 8)));
    const ScratchFile file(bad);
    const auto drained = drain<FtraceReader>(file.path());
    if (drained.error) {
      ++errors;
      EXPECT_GE(drained.error->line, 1u);
      EXPECT_LE(drained.error->line, 81u) << drained.error->to_string();
    }
  }
  EXPECT_GT(errors, good.size() / 5 / 4);
}

}  // namespace
}  // namespace weir::replay
