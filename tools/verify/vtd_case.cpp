// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_case.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bits.h"
#include "replay/trace_error.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kWordBytes = 8;
constexpr std::uint64_t kAnyDomain = 0xffff;

Gpa read_page(const Fields& fields, const char* key) {
  const std::uint64_t address = fields.hex(key);
  if (!is_aligned(address, kPageLg2)) fields.complain(key, "is not the address of a page");
  return Gpa(address);
}

DmaResult read_result(const Fields& fields) {
  if (fields.has("gpa")) return Reached{Gpa(fields.hex("gpa"))};
  if (fields.has("msi")) return BecameInterrupt{};
  Blocked blocked;
  blocked.code = static_cast<std::uint8_t>(fields.number("fault", 0xff));
  blocked.recorded = fields.flag("rec");
  return blocked;
}

Dma read_dma(const Fields& fields) {
  Dma dma;
  dma.requester = read_bdf(fields, "bdf");
  dma.iova = Iova(fields.hex("iova"));
  const std::string direction = fields.text("d");
  if (direction != "r" && direction != "w") fields.complain("d", "is neither \"r\" nor \"w\"");
  dma.access = direction == "w" ? Access::kWrite : Access::kRead;
  dma.size = static_cast<unsigned>(fields.number("n", kPageSize));
  if (dma.size == 0 || dma.iova.page_offset(kPageLg2) + dma.size > kPageSize) {
    fields.complain("n", "is not the size of an access inside one page");
  }
  dma.permitted.push_back(read_result(fields.object("res")));
  if (fields.has("also")) {
    for (const Fields& one : fields.objects("also")) dma.permitted.push_back(read_result(one));
  }
  for (const char* key : {"ad", "ad_spec"}) {
    if (!fields.has(key)) continue;
    for (auto& run : read_runs(fields, key)) dma.updated.push_back(std::move(run));
  }
  return dma;
}

Invalidate::Granularity read_granularity(const Fields& fields, std::string_view fine) {
  const std::string name = fields.text("g");
  if (name == "pasid" && fine != "device") return Invalidate::Granularity::kPasid;
  if (name == "domain") return Invalidate::Granularity::kDomain;
  if (name == fine) return Invalidate::Granularity::kFine;
  if (name != "global") fields.complain("g", replay::in_quotes(name) + " is not a granularity");
  return Invalidate::Granularity::kGlobal;
}

std::uint32_t read_pasid(const Fields& fields) {
  return static_cast<std::uint32_t>(fields.number("pasid", kPasidLimit - 1));
}

void read_pages(const Fields& fields, Invalidate& command) {
  command.address = read_page(fields, "addr");
  command.address_mask = static_cast<std::uint8_t>(fields.number("am", 63));
  command.leaf_only = fields.flag("ih");
}

Invalidate read_invalidate(const Fields& fields, bool scalable) {
  using Granularity = Invalidate::Granularity;
  Invalidate command;
  const std::string target = fields.text("t");
  if (target == "cc") {
    command.what = Invalidate::What::kContext;
    command.granularity = read_granularity(fields, "device");
    if (command.granularity == Granularity::kFine) {
      command.source = static_cast<std::uint16_t>(fields.number("sid", 0xffff));
      command.function_mask = static_cast<std::uint8_t>(fields.number("fm", 3));
    }
  } else if (target == "iotlb") {
    command.what = Invalidate::What::kIotlb;
    command.granularity = read_granularity(fields, "page");
    if (command.granularity == Granularity::kFine) read_pages(fields, command);
    if (command.granularity == Granularity::kPasid)
      fields.complain("g", "\"pasid\" is no granularity of \"iotlb\"");
  } else if (target == "pc" && scalable) {
    command.what = Invalidate::What::kPasidCache;
    command.granularity = read_granularity(fields, "");
    if (command.granularity == Granularity::kPasid) command.pasid = read_pasid(fields);
  } else if (target == "piotlb" && scalable) {
    command.what = Invalidate::What::kPasidIotlb;
    command.granularity = read_granularity(fields, "page");
    command.pasid = read_pasid(fields);
    if (command.granularity == Granularity::kFine) read_pages(fields, command);
    if (command.granularity != Granularity::kFine && command.granularity != Granularity::kPasid)
      fields.complain("g", "is neither \"pasid\" nor \"page\"");
  } else {
    fields.complain("t", replay::in_quotes(target) + " is not an invalidation of this mode");
  }
  if (command.granularity != Granularity::kGlobal) {
    command.domain = static_cast<std::uint16_t>(fields.number("did", kAnyDomain));
  }
  return command;
}

BadDescriptor read_bad_descriptor(const Fields& fields, bool scalable) {
  BadDescriptor bad;
  bad.words = fields.hex_list("desc");
  if (bad.words.size() != (scalable ? 4U : 2U)) {
    fields.complain("desc", scalable ? "is not four words" : "is not two words");
  }
  bad.queue_error.push_back(fields.number("iqe", 1));
  if (fields.has("also_iqe")) {
    for (const auto also : fields.number_or_list("also_iqe", 1)) bad.queue_error.push_back(also);
  }
  return bad;
}

FaultBurst read_burst(const Fields& fields) {
  FaultBurst burst;
  for (const Fields& write : fields.objects("dma")) {
    if (write.text("d") != "w") write.complain("d", "is not \"w\"");
    const std::uint64_t iova = write.hex("iova");
    if (!is_aligned(iova, 2)) write.complain("iova", "is no multiple of 4");
    burst.writes.push_back({read_bdf(write, "bdf"), Iova(iova)});
  }
  if (burst.writes.empty()) fields.complain("dma", "holds no write");
  const Fields first = fields.object("first");
  burst.first = read_bdf(first, "bdf");
  burst.first_page = first.hex("fi");
  burst.first_code = static_cast<std::uint8_t>(first.number("fault", 0xff));
  burst.overflow = fields.number_or_list("pfo", 1);
  if (fields.number("nfr", 256) != 1) fields.complain("nfr", "is not 1");
  return burst;
}

VtdOperation read_operation(const Fields& fields, bool scalable) {
  const std::string op = fields.text("op");
  if (op == "w") return EditMemory{read_runs(fields, "m")};
  if (op == "te") return SwitchTranslation{fields.flag("on")};
  if (op == "srtp") return SetRoot{read_page(fields, "root")};
  if (op == "inv") return read_invalidate(fields, scalable);
  if (op == "inv_bad") return read_bad_descriptor(fields, scalable);
  if (op == "burst") return read_burst(fields);
  if (op == "dma") return read_dma(fields);
  fields.complain("op", replay::in_quotes(op) + " is not an operation of this mode");
  return EditMemory{};
}

VtdConfig read_config(const Fields& fields, bool scalable) {
  VtdConfig config;
  config.address_bits = static_cast<unsigned>(fields.number("aw", 64));
  config.caching_mode = fields.flag("cm");
  const std::string via = fields.text("via");
  if (via != "qi" && via != "reg") fields.complain("via", "is neither \"qi\" nor \"reg\"");
  config.through_queue = via == "qi";
  config.scalable = fields.flag("sm");
  if (config.scalable != scalable) fields.complain("sm", "is not what the file's mode says");
  config.cap = fields.hex("cap");
  config.ecap = fields.hex("ecap");
  return config;
}

}  // namespace

std::vector<MemoryRun> read_runs(const Fields& fields, const char* key) {
  std::vector<MemoryRun> runs;
  for (const auto& row : fields.hex_rows(key, 2)) {
    const std::uint64_t bytes = (row.size() - 1) * kWordBytes;
    if (!is_aligned(row[0], 3) || row[0] > ~std::uint64_t{0} - bytes) {
      fields.complain(key, "a run begins at an address that is no multiple of 8, or wraps");
    }
    runs.push_back({Gpa(row[0]), {row.begin() + 1, row.end()}});
  }
  return runs;
}

std::string in_words(const DmaResult& result) {
  std::array<char, 64> text{};
  if (const auto* reached = std::get_if<Reached>(&result)) {
    std::snprintf(text.data(), text.size(), "gpa %llx",
                  static_cast<unsigned long long>(reached->gpa.value()));
  } else if (const auto* blocked = std::get_if<Blocked>(&result)) {
    if (blocked->recorded) {
      std::snprintf(text.data(), text.size(), "fault %02Xh recorded", unsigned{blocked->code});
    } else {
      return "blocked, unrecorded";
    }
  } else {
    return "interrupt";
  }
  return text.data();
}

Requester read_bdf(const Fields& fields, const char* key) {
  return parse_bdf(fields, key, fields.text(key));
}

Requester parse_bdf(const Fields& fields, const char* key, const std::string& text) {
  std::string_view rest = text;
  // Takes digits up to `after` (or to the end) off `rest`.
  const auto take = [&rest](std::string_view after, int base, unsigned most) {
    const std::size_t length =
        after.empty() ? rest.size() : std::min(rest.find(after), rest.size());
    unsigned value = 0;
    const std::string digits(rest.substr(0, length));
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value, base);
    const bool good = parsed.ec == std::errc{} && parsed.ptr == end && value <= most;
    rest.remove_prefix(std::min(length + after.size(), rest.size()));
    return good ? std::optional(value) : std::nullopt;
  };
  const auto bus = take(":", 16, 0xff);
  const auto device = take(".", 16, 0x1f);
  const auto function = take("", 10, 7);
  constexpr std::size_t kLength = std::string_view("bb:dd.f").size();
  if (text.size() == kLength && bus && device && function) {
    return Requester::from_bdf(*bus, *device, *function);
  }
  fields.complain(key, replay::in_quotes(text) + " is not a device (bb:dd.f)");
  return {};
}

VtdCase read_vtd_case(const Fields& fields, bool scalable) {
  VtdCase result;
  result.config = read_config(fields.object("cfg"), scalable);
  result.root = read_page(fields, "root");
  result.memory = read_runs(fields, "mem");
  for (const Fields& one : fields.objects("ops")) {
    result.operations.push_back(read_operation(one, scalable));
    if (!fields.ok()) break;
  }
  return result;
}

}  // namespace weir::verify
