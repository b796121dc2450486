// SPDX-License-Identifier: Apache-2.0
#include "replay/viommu_log.h"

#include <string_view>
#include <utility>

#include "replay/field_scan.h"
#include "replay/sniff.h"
#include "replay/trace_line.h"

namespace weir::replay {
namespace {

constexpr std::string_view kOurs = "virtio_iommu_";

AddressRange<Iova> range_of(std::uint64_t first, std::uint64_t last) {
  return {Iova(first), Iova(last)};
}

ViommuEventBody attach(FieldScan& s) {
  ViommuAttachLogged e;
  s.lit("domain=").dec(e.domain).lit(" endpoint=").dec(e.endpoint).end();
  return e;
}
ViommuEventBody detach(FieldScan& s) {
  ViommuDetachLogged e;
  s.lit("domain=").dec(e.domain).lit(" endpoint=").dec(e.endpoint).end();
  return e;
}
ViommuEventBody map(FieldScan& s) {
  ViommuMapLogged e;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t output = 0;
  s.lit("domain=").dec(e.domain).lit(" virt_start=").hex(first).lit(" virt_end=").hex(last);
  s.lit(" phys_start=").hex(output).lit(" flags=").dec(e.flags).end();
  e.range = range_of(first, last);
  e.output = Gpa(output);
  return e;
}
ViommuEventBody unmap(FieldScan& s) {
  ViommuUnmapLogged e;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  s.lit("domain=").dec(e.domain).lit(" virt_start=").hex(first).lit(" virt_end=").hex(last).end();
  e.range = range_of(first, last);
  return e;
}
ViommuEventBody translate(FieldScan& s) {
  ViommuAccessLogged e;
  std::string_view region;
  std::uint64_t iova = 0;
  std::uint32_t flag = 0;
  s.lit("mr=").word(region).lit(" rid=").dec(e.endpoint).lit(" addr=").hex(iova);
  s.lit(" flag=").dec(flag).check(flag <= 3, "an access of 0 to 3 before this").end();
  e.iova = Iova(iova);
  constexpr std::uint32_t kWrite = 2;  // IOMMU_WO; 1 is a read, 3 both
  e.access = flag == kWrite ? Access::kWrite : Access::kRead;
  return e;
}

struct KnownEvent {
  std::string_view name;
  ViommuEventBody (*take)(FieldScan& s);
};
constexpr KnownEvent kKnownEvents[] = {{"virtio_iommu_attach", attach},
                                       {"virtio_iommu_detach", detach},
                                       {"virtio_iommu_map", map},
                                       {"virtio_iommu_unmap", unmap},
                                       {"virtio_iommu_translate", translate}};

}  // namespace

Result<ViommuLogReader, TraceError> ViommuLogReader::open(std::string path) {
  auto lines = LineReader::open(std::move(path));
  if (!lines) return Failure{std::move(lines.error())};
  return ViommuLogReader(std::move(*lines));
}

ViommuLogReader::Next ViommuLogReader::give(ViommuEvent event) {
  ++events_;
  return std::optional(std::move(event));
}

ViommuLogReader::Next ViommuLogReader::next() {
  if (held_ && !open_) {
    ViommuEvent event = *std::exchange(held_, std::nullopt);
    // An access waits for its second line.
    if (!std::holds_alternative<ViommuAccessLogged>(event.what)) return give(std::move(event));
    open_ = std::move(event);
  }
  for (;;) {
    const auto got = lines_.next();
    if (!got) return Failure{got.error()};
    const std::optional<std::string_view> line = *got;
    if (!line) {
      // One that came to nothing so far: whether it bypassed or was cut off cannot be told.
      const auto last = std::exchange(open_, std::nullopt);
      if (!last) return std::optional<ViommuEvent>();
      const auto& access = std::get<ViommuAccessLogged>(last->what);
      if (!access.gpa && !access.fault) return std::optional<ViommuEvent>();
      return give(*last);
    }
    ++line_count_;
    auto taken = read_line(*line);
    if (!taken) return Failure{taken.error()};
    if (!*taken) continue;
    ViommuEvent event{lines_.line_number(), std::move(**taken)};
    if (open_) {
      held_ = std::move(event);
      return give(*std::exchange(open_, std::nullopt));
    }
    if (!std::holds_alternative<ViommuAccessLogged>(event.what)) return give(std::move(event));
    open_ = std::move(event);
  }
}

Result<ViommuLogReader::Line, TraceError> ViommuLogReader::read_line(std::string_view line) {
  const auto head = parse_qemu_head(line);
  if (!head) {
    if (is_qemu_message(line)) return Line();
    return lines_.failure_here(not_this_kind(TraceKind::kQemuLog, line));
  }
  FieldScan scan(line, head->text);
  const auto failed = [&] {
    return lines_.failure_here(std::string(head->name) + ": " + scan.cause());
  };
  ViommuAccessLogged* const access =
      open_ ? std::get_if<ViommuAccessLogged>(&open_->what) : nullptr;
  if (head->name == "virtio_iommu_translate_out") {
    std::uint64_t iova = 0;
    std::uint64_t gpa = 0;
    std::uint32_t endpoint = 0;
    scan.hex(iova).lit(" -> ").hex(gpa).lit(" for sid=").dec(endpoint).end();
    if (!scan.ok()) return failed();
    if (access == nullptr || access->iova != Iova(iova) || access->endpoint != endpoint ||
        access->gpa)
      return lines_.failure_here("an address without its virtio_iommu_translate line before it");
    access->gpa = Gpa(gpa);
    return Line();
  }
  if (head->name == "virtio_iommu_report_fault") {
    std::uint8_t reason = 0;
    std::uint32_t flags = 0;
    std::uint32_t endpoint = 0;
    std::uint64_t address = 0;
    scan.lit("FAULT reason=").dec(reason).lit(" flags=").dec(flags).lit(" endpoint=").dec(endpoint);
    scan.lit(" address =").hex(address).end();
    if (!scan.ok()) return failed();
    if (access != nullptr && access->endpoint == endpoint && access->iova == Iova(address))
      access->fault = reason;
    return Line();
  }
  if (head->name == "virtio_iommu_device_reset_exit") return Line(ViommuResetLogged{});
  if (head->name == "virtio_iommu_system_reset") return Line(ViommuResetLogged{.of_machine = true});
  for (const KnownEvent& known : kKnownEvents) {
    if (known.name != head->name) continue;
    ViommuEventBody taken = known.take(scan);
    if (!scan.ok()) return failed();
    return Line(std::move(taken));
  }
  return Line();
}

Result<bool, TraceError> is_viommu_log(const std::string& path) {
  auto lines = LineReader::open(path);
  if (!lines) return Failure{lines.error()};
  for (;;) {
    const auto got = lines->next();
    if (!got) return Failure{got.error()};
    if (!*got) return false;
    const auto head = parse_qemu_head(**got);
    if (!head) continue;
    if (head->name.starts_with(kOurs)) return true;
    if (head->name.starts_with("vtd_") || head->name.starts_with("amdvi_")) return false;
  }
}

}  // namespace weir::replay
