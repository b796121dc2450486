// SPDX-License-Identifier: Apache-2.0
#include "replay/ftrace_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "replay/field_scan.h"

namespace weir::replay {
namespace {

using Body = std::optional<FtraceEventBody>;
// Each takes the text of its event; what went wrong stays in the scan.
using Take = Body (*)(FieldScan& s);

// "0000:00:02.0". Device names are free text: what is not a PCI function in a segment of 16 bits is
// no error, it is nullopt.
std::optional<Requester> pci_function(std::string_view name) {
  FieldScan s(name, 0);
  Requester requester;
  s.bare_hex(requester.segment).lit(":").bdf(requester).end();
  return s.ok() ? std::optional(requester) : std::nullopt;
}

FieldScan& device(FieldScan& s, std::optional<Requester>& out) {
  std::string_view name;
  s.word(name);
  out = pci_function(name);
  return s;
}

FieldScan& direction(FieldScan& s, DmaDirection& out) {
  std::string_view word;
  s.lit(" dir=").word(word);
  if (word == "BIDIRECTIONAL") {
    out = DmaDirection::kBidirectional;
  } else if (word == "TO_DEVICE") {
    out = DmaDirection::kToDevice;
  } else if (word == "FROM_DEVICE") {
    out = DmaDirection::kFromDevice;
  } else {
    s.check(word == "NONE", "a DMA direction before this");
    out = DmaDirection::kNone;
  }
  return s;
}

// "{0x1,0x2}" or "{}", each number given to `each`.
template <typename F>
FieldScan& list(FieldScan& s, F each) {
  s.lit("{");
  while (s.ok() && !s.peek("}")) {
    std::uint64_t value = 0;
    s.hex(value);
    each(value);
    if (!s.peek("}")) {
      s.lit(",");
    }
  }
  return s.lit("}");
}

// " - 0x<end, exclusive>" where it is printed; kernels before 2016 leave it out.
FieldScan& range_end(FieldScan& s, std::uint64_t& end, bool& printed) {
  printed = s.peek(" - ");
  return printed ? s.lit(" - ").hex(end) : s;
}

AddressRange<Iova> range_of(FieldScan& s, std::uint64_t begin, std::uint64_t size) {
  s.check(size != 0 && begin + (size - 1) >= begin, "a size within the address space before this");
  return {Iova(begin), Iova(begin + (size - 1))};
}

Body map(FieldScan& s) {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  bool has_end = false;
  range_end(s.lit("IOMMU: iova=").hex(begin), end, has_end);
  s.lit(" paddr=").hex(gpa).lit(" size=").dec(size);
  s.check(!has_end || end - begin == size, "a size that agrees with the range before this");
  GuestMap out{range_of(s, begin, size), Gpa(gpa)};
  s.end();
  return out;
}

Body unmap(FieldScan& s) {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size = 0;
  bool has_end = false;
  range_end(s.lit("IOMMU: iova=").hex(begin), end, has_end);
  s.lit(" size=").dec(size);
  s.check(!has_end || end - begin == size, "a size that agrees with the range before this");
  GuestUnmap out;
  out.range = range_of(s, begin, size);
  s.lit(" unmapped_size=").dec(out.unmapped_bytes).end();
  return out;
}

Body qi_submit(FieldScan& s) {
  InvalidationDescriptor out;
  std::string_view type;  // the descriptor's own bits are what counts
  out.words_known = 4;
  s.word(type).lit(" dmar").dec(out.unit).lit(":");
  for (std::uint64_t& word : out.words) {
    s.lit(" ").hex(word);
  }
  s.end();
  return out;
}

FieldScan& cache_type(FieldScan& s, CacheKind& out) {
  std::string_view word;
  s.lit(" type ").word(word);
  out = word == "iotlb"            ? CacheKind::kIotlb
        : word == "devtlb"         ? CacheKind::kDeviceTlb
        : word == "nesting_iotlb"  ? CacheKind::kNestedIotlb
        : word == "nesting_devtlb" ? CacheKind::kNestedDeviceTlb
                                   : CacheKind::kOther;
  return s;
}

Body flush_range(FieldScan& s, bool after_map) {
  CacheTagFlush out;
  out.after_map = after_map;
  std::string_view word;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t address = 0;
  cache_type(s.word(word).lit(" ").word(word, '[').lit("[").dec(out.pasid).lit("]"), out.kind);
  s.lit(" did ").dec(out.domain.value).lit(" [").hex(first).lit("-").hex(last);
  s.check(first <= last, "a range that does not end before it begins");
  s.lit("] addr ").hex(address).lit(" pages ").hex(out.pages).lit(" mask ").hex(out.mask).end();
  out.range = AddressRange<Iova>{Iova(first), Iova(last)};
  return out;
}
Body cache_tag_flush_range(FieldScan& s) { return flush_range(s, false); }
Body cache_tag_flush_range_np(FieldScan& s) { return flush_range(s, true); }

Body cache_tag_flush_all(FieldScan& s) {
  CacheTagFlush out;
  std::string_view word;
  std::uint32_t references = 0;
  cache_type(s.word(word), out.kind);
  s.lit(" did ").dec(out.domain.value).lit(" pasid ").dec(out.pasid).lit(" ref ").dec(references);
  s.end();
  return out;
}

Body cache_tag_assign(FieldScan& s) {
  CacheTagAssigned out;
  std::string_view word;
  CacheKind kind = CacheKind::kOther;
  std::uint32_t pasid = 0;
  std::uint32_t references = 0;
  cache_type(s.word(word), kind);
  s.lit(" did ").dec(out.domain.value);
  s.check(out.domain.value <= 0xffff, "a domain of at most 16 bits before this");
  s.lit(" pasid ").dec(pasid).lit(" ref ").dec(references).end();
  return kind == CacheKind::kIotlb ? Body(out) : std::nullopt;
}

// What dma_map_page, dma_unmap_page, dma_alloc and dma_free begin with.
template <typename T>
FieldScan& dma_range(FieldScan& s, T& out) {
  std::uint64_t iova = 0;
  direction(device(s, out.requester), out.direction);
  s.lit(" dma_addr=").bare_hex(iova).lit(" size=").dec(out.size);
  out.iova = Iova(iova);
  return s;
}

Body dma_map_page(FieldScan& s) {
  DmaMap out;
  std::uint64_t gpa = 0;
  dma_range(s, out).lit(" phys_addr=").bare_hex(gpa).lit(" attrs=");
  out.gpa = Gpa(gpa);
  return out;
}
Body dma_unmap_page(FieldScan& s) {
  DmaUnmap out;
  dma_range(s, out).lit(" attrs=");
  return out;
}
Body dma_alloc(FieldScan& s) {
  DmaAlloc out;
  dma_range(s, out).lit(" virt_addr=");
  return out;
}
Body dma_free(FieldScan& s) {
  DmaFree out;
  dma_range(s, out).lit(" virt_addr=");
  return out;
}

Body dma_map_sg(FieldScan& s) {
  DmaMapSg out;
  std::uint32_t count = 0;
  std::size_t sizes = 0;
  direction(device(s, out.requester), out.direction);
  s.lit(" nents=").dec(count).lit("/").dec(count).lit(" ents=").dec(count).lit("/").dec(count);
  out.truncated = s.peek(" [TRUNCATED]");
  if (out.truncated) {
    s.lit(" [TRUNCATED]");
  }
  list(s.lit(" dma_addrs="), [&](std::uint64_t v) { out.segments.push_back({Iova(v), 0}); });
  list(s.lit(" sizes="), [&](std::uint64_t v) {
    s.check(sizes < out.segments.size(), "no more sizes than addresses");
    if (s.ok()) {
      out.segments[sizes++].size = v;
    }
  });
  s.check(sizes == out.segments.size(), "as many sizes as addresses before this");
  list(s.lit(" phys_addrs="), [&](std::uint64_t v) { out.pages.emplace_back(v); });
  s.lit(" attrs=");
  return out;
}

Body dma_unmap_sg(FieldScan& s) {
  DmaUnmapSg out;
  direction(device(s, out.requester), out.direction);
  list(s.lit(" phys_addrs="), [&](std::uint64_t v) { out.pages.emplace_back(v); });
  s.lit(" attrs=");
  return out;
}

Body attach_device(FieldScan& s) {
  DeviceAttached out;
  device(s.lit("IOMMU: device="), out.requester).end();
  return out;
}

Body io_page_fault(FieldScan& s) {
  IoPageFault out;
  std::string_view driver;
  std::uint64_t iova = 0;
  device(s.lit("IOMMU:").word(driver).lit(" "), out.requester);
  s.lit(" iova=").hex(iova).lit(" flags=").hex(out.flags).end();
  out.iova = Iova(iova);
  return out;
}

// Anybody may write to the trace; only the captures' own marks mean something here.
Body tracing_mark(FieldScan& s) {
  Marker out;
  if (!s.peek("MARK ")) {
    return std::nullopt;
  }
  s.lit("MARK ").dec(out.number).end();
  return out;
}

struct KnownEvent {
  std::string_view name;
  Take take;
};
constexpr auto kKnownEvents = [] {
  std::array events = {
      KnownEvent{"attach_device_to_domain", attach_device},
      KnownEvent{"cache_tag_assign", cache_tag_assign},
      KnownEvent{"cache_tag_flush_all", cache_tag_flush_all},
      KnownEvent{"cache_tag_flush_range", cache_tag_flush_range},
      KnownEvent{"cache_tag_flush_range_np", cache_tag_flush_range_np},
      KnownEvent{"dma_alloc", dma_alloc},
      KnownEvent{"dma_free", dma_free},
      KnownEvent{"dma_map_page", dma_map_page},
      KnownEvent{"dma_map_phys", dma_map_page},  // the name since 6.18
      KnownEvent{"dma_map_sg", dma_map_sg},
      KnownEvent{"dma_unmap_page", dma_unmap_page},
      KnownEvent{"dma_unmap_phys", dma_unmap_page},
      KnownEvent{"dma_unmap_sg", dma_unmap_sg},
      KnownEvent{"io_page_fault", io_page_fault},
      KnownEvent{"map", map},
      KnownEvent{"qi_submit", qi_submit},
      KnownEvent{"tracing_mark_write", tracing_mark},
      KnownEvent{"unmap", unmap},
  };
  std::ranges::sort(events, {}, &KnownEvent::name);
  return events;
}();

}  // namespace

Result<std::optional<FtraceEventBody>, std::string> parse_ftrace_text(const FtraceLineHead& head,
                                                                      std::string_view line) {
  const auto* const known =
      std::ranges::lower_bound(kKnownEvents, head.name, {}, &KnownEvent::name);
  if (known == kKnownEvents.end() || known->name != head.name) {
    return Body();
  }
  FieldScan scan(line, head.text);
  Body taken = known->take(scan);
  if (!scan.ok()) {
    return Failure{std::string(head.name) + ": " + scan.cause()};
  }
  return taken;
}

std::optional<LostEvents> parse_lost_events(std::string_view line) {
  LostEvents lost;
  FieldScan s(line, 0);
  s.lit("CPU:").dec(lost.cpu).lit(" [LOST ");
  if (!s.peek("EVENTS")) {
    std::uint64_t count = 0;
    s.dec(count).lit(" ");
    lost.count = count;
  }
  s.lit("EVENTS]").end();
  return s.ok() ? std::optional(lost) : std::nullopt;
}

}  // namespace weir::replay
