// SPDX-License-Identifier: Apache-2.0
#include "replay/qemu_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "replay/field_scan.h"

namespace weir::replay {
namespace {

// Each takes the text of its event; what went wrong stays in the scan.
using Take = QemuLine (*)(FieldScan& s);

QemuLine access_half(FieldScan& s, std::string_view text, AccessOutcome outcome) {
  AccessHalf half;
  half.outcome = outcome;
  std::uint16_t sid = 0;
  std::uint64_t iova = 0;
  s.lit(text).lit(" sid ").hex(sid).lit(" iova ").hex(iova).lit(" slpte ").hex(half.leaf_entry);
  s.lit(" domain ").hex(half.domain.value).end();
  half.requester = Requester::from_sid(sid);
  half.iova = Iova(iova);
  return half;
}

QemuLine page_hit(FieldScan& s) { return access_half(s, "IOTLB page hit", AccessOutcome::kHit); }
QemuLine page_update(FieldScan& s) {
  return access_half(s, "IOTLB page update", AccessOutcome::kFill);
}

QemuLine translate_pt(FieldScan& s) {
  std::uint16_t sid = 0;
  std::uint64_t iova = 0;
  s.lit("source id ").hex(sid).lit(", iova ").hex(iova).end();
  return PassThroughHalf{Requester::from_sid(sid), Iova(iova)};
}

QemuLine dmar_translate(FieldScan& s) {
  TranslatedHalf half;
  std::uint64_t iova = 0;
  std::uint64_t gpa = 0;
  s.lit("dev ").bdf(half.requester).lit(" iova ").hex(iova).lit(" -> gpa ").hex(gpa);
  s.lit(" mask ").hex(half.page_mask);
  s.check(half.page_mask >= kPageSize - 1 && (half.page_mask & (half.page_mask + 1)) == 0,
          "a page size less one before this");
  s.check(((iova | gpa) & half.page_mask) == 0, "addresses aligned to the page before this");
  s.end();
  half.iova = Iova(iova);
  half.gpa = Gpa(gpa);
  return half;
}

QemuLine dmar_fault(FieldScan& s) {
  LoggedFault fault;
  std::uint16_t sid = 0;
  std::uint64_t iova = 0;
  s.lit("sid ").hex(sid).lit(" fault ").dec(fault.reason).lit(" addr ").hex(iova);
  s.lit(" write ").flag(fault.write).end();
  fault.requester = Requester::from_sid(sid);
  fault.iova = Iova(iova);
  return fault;
}

QemuLine frr_new(FieldScan& s) {
  FaultRecordWritten record;
  s.lit("index ").dec(record.index).lit(" high ").hex(record.high).lit(" low ").hex(record.low);
  s.end();
  return record;
}

void context_words(FieldScan& s, std::string_view text, ContextSeen& seen) {
  std::uint8_t bus = 0;
  std::uint8_t devfn = 0;
  std::uint32_t generation = 0;
  s.lit(text).lit(" bus ").hex(bus).lit(" devfn ").hex(devfn);
  s.lit(" high ").hex(seen.high).lit(" low ").hex(seen.low).lit(" gen ").dec(generation);
  seen.requester = Requester::from_sid(static_cast<std::uint16_t>(bus << 8 | devfn));
}
QemuLine cc_hit(FieldScan& s) {
  ContextSeen seen;
  context_words(s, "IOTLB context hit", seen);
  s.end();
  return seen;
}
QemuLine cc_update(FieldScan& s) {
  ContextSeen seen;
  seen.fetched = true;
  std::uint32_t generation = 0;
  context_words(s, "IOTLB context update", seen);
  s.lit(" -> gen ").dec(generation).end();
  return seen;
}

QemuLine ce_not_present(FieldScan& s) {
  std::uint8_t bus = 0;
  std::uint8_t devfn = 0;
  s.lit("Context entry bus ").dec(bus).lit(" devfn ").dec(devfn).lit(" not present").end();
  return ContextAbsent{Requester::from_sid(static_cast<std::uint16_t>(bus << 8 | devfn))};
}
QemuLine re_not_present(FieldScan& s) {
  RootAbsent root;
  s.lit("Root entry bus ").dec(root.bus).lit(" not present").end();
  return root;
}

// The word QEMU prints beside a descriptor, and the type it stands for (VT-d 6.5.2). A word that is
// not here is taken on trust: the descriptor's own bits are what counts.
struct DescriptorWord {
  std::string_view word;
  unsigned type;
};
constexpr std::array kDescriptorWords = {
    DescriptorWord{"context-cache", 1}, DescriptorWord{"iotlb", 2}, DescriptorWord{"device", 3},
    DescriptorWord{"iec", 4},           DescriptorWord{"wait", 5},  DescriptorWord{"p-iotlb", 6},
    DescriptorWord{"pasid-cache", 7},
};

QemuLine inv_desc(FieldScan& s) {
  InvalidationDescriptor descriptor;
  std::string_view word;
  s.lit("invalidate desc type ").word(word).lit(" high ").hex(descriptor.words[1]);
  s.lit(" low ").hex(descriptor.words[0]).end();
  const auto* const known = std::ranges::find(kDescriptorWords, word, &DescriptorWord::word);
  s.check(known == kDescriptorWords.end() || known->type == descriptor.type(),
          "the type of the descriptor to be the one named before it");
  return descriptor;
}

QemuLine wait_sw(FieldScan& s) {
  WaitStatusWrite wait;
  std::uint64_t address = 0;
  s.lit("wait invalidate status write addr ").hex(address).lit(" data ").hex(wait.data).end();
  wait.address = Gpa(address);
  return wait;
}

QemuLine reg_write(FieldScan& s) {
  RegisterWrite write;
  s.lit("addr ").hex(write.offset).lit(" size ").hex(write.size);
  s.check(write.size == 4 || write.size == 8, "a size of 4 or 8 before this");
  s.lit(" value ").hex(write.value).end();
  return write;
}
QemuLine reg_write_gcmd(FieldScan& s) {
  GlobalCommand command;
  s.lit("status ").hex(command.status).lit(" value ").hex(command.value).end();
  return command;
}
QemuLine dmar_enable(FieldScan& s) {
  TranslationEnable enable;
  s.lit("enable ").flag(enable.on).end();
  return enable;
}
QemuLine dmar_root(FieldScan& s) {
  RootPointerSet root;
  std::uint64_t address = 0;
  s.lit("addr ").hex(address).lit(" scalable ").flag(root.scalable).end();
  root.address = Gpa(address);
  return root;
}
QemuLine qi_setup(FieldScan& s) {
  QueueSetup setup;
  std::uint64_t address = 0;
  s.lit("addr ").hex(address).lit(" size ").dec(setup.entries).end();
  setup.address = Gpa(address);
  return setup;
}
QemuLine qi_enable(FieldScan& s) {
  QueueEnable enable;
  s.lit("enabled ").flag(enable.on).end();
  return enable;
}
QemuLine qi_tail(FieldScan& s) {
  QueueTail tail;
  s.lit("write tail ").dec(tail.index).end();
  return tail;
}

QemuLine iotlb_reset(FieldScan& s) {
  std::string_view reason;
  s.lit("IOTLB reset (reason: ").word(reason, ')').lit(")").end();
  return IotlbReset{reason == "iotlb exceeds size limit"};
}
QemuLine unit_reset(FieldScan& s) {
  s.end();
  return UnitReset{};
}

QemuLine switch_address_space(FieldScan& s) {
  AddressSpaceSwitch change;
  s.lit("Device ").bdf(change.requester).lit(" switching address space (iommu enabled=");
  s.flag(change.translated).lit(")").end();
  return change;
}

QemuLine runstate(FieldScan& s) {
  std::uint32_t number = 0;
  std::string_view from;
  std::string_view to;
  s.lit("current_run_state ").dec(number).lit(" (").word(from, ')').lit(") new_state ");
  s.dec(number).lit(" (").word(to, ')').lit(")").end();
  // By name: the numbers differ from one QEMU version to the next.
  return RunStateChange{to == "running"    ? RunState::kRunning
                        : to == "paused"   ? RunState::kPaused
                        : to == "shutdown" ? RunState::kShutdown
                                           : RunState::kOther};
}

// The captures' marker is a write to a read-only byte of the "edu" device's configuration space.
QemuLine pci_cfg_write(FieldScan& s) {
  constexpr std::uint32_t kMarkerOffset = 0xc;
  if (!s.peek("edu ")) {
    return SkippedLine{};
  }
  Marker marker;
  Requester device;
  std::uint32_t offset = 0;
  s.lit("edu ").bdf(device).lit(" @").hex(offset).lit(" <- ").hex(marker.number).end();
  if (offset != kMarkerOffset) {
    return SkippedLine{};
  }
  return marker;
}

struct KnownEvent {
  std::string_view name;
  Take take;
};
constexpr auto kKnownEvents = [] {
  std::array events = {
      KnownEvent{"pci_cfg_write", pci_cfg_write},
      KnownEvent{"runstate_set", runstate},
      KnownEvent{"vtd_ce_not_present", ce_not_present},
      KnownEvent{"vtd_dmar_enable", dmar_enable},
      KnownEvent{"vtd_dmar_fault", dmar_fault},
      KnownEvent{"vtd_dmar_translate", dmar_translate},
      KnownEvent{"vtd_frr_new", frr_new},
      KnownEvent{"vtd_inv_desc", inv_desc},
      KnownEvent{"vtd_inv_desc_wait_sw", wait_sw},
      KnownEvent{"vtd_inv_qi_enable", qi_enable},
      KnownEvent{"vtd_inv_qi_setup", qi_setup},
      KnownEvent{"vtd_inv_qi_tail", qi_tail},
      KnownEvent{"vtd_iotlb_cc_hit", cc_hit},
      KnownEvent{"vtd_iotlb_cc_update", cc_update},
      KnownEvent{"vtd_iotlb_page_hit", page_hit},
      KnownEvent{"vtd_iotlb_page_update", page_update},
      KnownEvent{"vtd_iotlb_reset", iotlb_reset},
      KnownEvent{"vtd_re_not_present", re_not_present},
      KnownEvent{"vtd_reg_dmar_root", dmar_root},
      KnownEvent{"vtd_reg_write", reg_write},
      KnownEvent{"vtd_reg_write_gcmd", reg_write_gcmd},
      KnownEvent{"vtd_reset_exit", unit_reset},
      KnownEvent{"vtd_switch_address_space", switch_address_space},
      KnownEvent{"vtd_translate_pt", translate_pt},
  };
  std::ranges::sort(events, {}, &KnownEvent::name);
  return events;
}();

std::optional<ForeignIommu> foreign_iommu(std::string_view name) {
  if (name.starts_with("amdvi_")) {
    return ForeignIommu{"amd-iommu"};
  }
  if (name.starts_with("virtio_iommu_")) {
    return ForeignIommu{"virtio-iommu"};
  }
  if (name.starts_with("smmu_") || name.starts_with("smmuv3_")) {
    return ForeignIommu{"arm-smmu"};
  }
  return std::nullopt;
}

}  // namespace

Result<QemuLine, std::string> parse_qemu_text(const QemuLineHead& head, std::string_view line) {
  const auto* const known =
      std::ranges::lower_bound(kKnownEvents, head.name, {}, &KnownEvent::name);
  if (known == kKnownEvents.end() || known->name != head.name) {
    if (const auto foreign = foreign_iommu(head.name)) {
      return QemuLine(*foreign);
    }
    return QemuLine(SkippedLine{});
  }
  FieldScan scan(line, head.text);
  QemuLine taken = known->take(scan);
  if (!scan.ok()) {
    return Failure{std::string(head.name) + ": " + scan.cause()};
  }
  return taken;
}

}  // namespace weir::replay
