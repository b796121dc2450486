// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_case.h"

#include <string_view>
#include <utility>

#include "base/bits.h"
#include "replay/trace_error.h"

namespace weir::verify {
namespace {

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
  Dma dma = read_access(fields);
  for_each_permitted(fields, [&](const Fields& one) { dma.permitted.push_back(read_result(one)); });
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

VtdCase read_vtd_case(const Fields& fields, bool scalable) {
  VtdCase result;
  result.config = read_config(fields.object("cfg"), scalable);
  result.root = read_page(fields, "root");
  result.memory = read_runs(fields, "mem");
  for_each_operation(fields, [&](const Fields& one) {
    result.operations.push_back(read_operation(one, scalable));
  });
  return result;
}

}  // namespace weir::verify
