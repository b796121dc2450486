// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/amdvi_case.h"

#include <string>

#include "base/bits.h"
#include "replay/trace_error.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kMostPages = 512;
constexpr std::uint64_t kAny16 = 0xffff;

EventDetails read_details(const Fields& result) {
  EventDetails details;
  if (!result.has("pr")) return details;
  details.has_flags = true;
  details.present = result.flag("pr");
  details.permission = result.flag("pe");
  details.reserved = result.flag("rz");
  return details;
}

DmaResult read_result(const Fields& fields) {
  if (fields.has("gpa")) return Reached{Gpa(fields.hex("gpa"))};
  if (fields.has("msi")) return BecameInterrupt{};
  const std::string kind = fields.text("fault");
  // "blocked": the maker of the file could not tell; it is a page fault.
  if (kind == "iopf" || kind == "blocked")
    return Blocked{.recorded = true, .code = kPageFaultEvent};
  if (kind == "devtab") return Blocked{.recorded = true, .code = kIllegalEntryEvent};
  if (kind != "pthw") fields.complain("fault", replay::in_quotes(kind) + " is no kind of event");
  return Blocked{.recorded = true, .code = kTableErrorEvent};
}

AmdDma read_dma(const Fields& fields) {
  AmdDma result{.dma = read_access(fields), .details = {}};
  for_each_permitted(fields, [&](const Fields& one) {
    result.dma.permitted.push_back(read_result(one));
    result.details.push_back(read_details(one));
  });
  if (fields.has("ev")) {
    const Fields event = fields.object("ev");
    for (EventDetails& details : result.details) {
      if (event.has("dom"))
        details.domain = static_cast<std::uint16_t>(event.number("dom", kAny16));
      if (event.has("addr")) details.address = event.hex("addr");
      if (event.has("rw")) details.write = event.flag("rw");
    }
  }
  if (fields.has("qemu_deviation"))
    result.mode7 = fields.text("qemu_deviation") == "mode7-no-event";
  return result;
}

AmdOperation read_invalidation(const Fields& fields) {
  const std::string target = fields.text("t");
  if (target == "all") return ForgetEverything{};
  if (target == "dte") return ForgetEntry{static_cast<std::uint16_t>(fields.number("sid", kAny16))};
  if (target != "pages")
    fields.complain("t", replay::in_quotes(target) + " is not an invalidation of this mode");
  ForgetPages pages;
  pages.domain = static_cast<std::uint16_t>(fields.number("did", kAny16));
  pages.address = fields.hex("addr");
  pages.sized = fields.flag("s");
  pages.directories = fields.flag("pde");
  return pages;
}

AmdOperation read_operation(const Fields& fields) {
  const std::string op = fields.text("op");
  if (op == "w") return EditMemory{read_runs(fields, "m")};
  if (op == "te") return SwitchTranslation{fields.flag("on")};
  if (op == "inv") return read_invalidation(fields);
  if (op == "dma") return read_dma(fields);
  fields.complain("op", replay::in_quotes(op) + " is not an operation of this mode");
  return EditMemory{};
}

AmdConfig read_config(const Fields& fields) {
  AmdConfig config;
  config.device_table = Gpa(fields.hex("devtab"));
  if (!is_aligned(config.device_table.value(), kPageLg2))
    fields.complain("devtab", "is not the address of a page");
  config.device_table_pages = static_cast<unsigned>(fields.number("devtab_pages", kMostPages));
  if (config.device_table_pages == 0) fields.complain("devtab_pages", "is 0");
  config.features = fields.hex("efr");
  return config;
}

}  // namespace

AmdCase read_amd_case(const Fields& fields) {
  AmdCase result;
  result.config = read_config(fields.object("cfg"));
  result.memory = read_runs(fields, "mem");
  for_each_operation(fields,
                     [&](const Fields& one) { result.operations.push_back(read_operation(one)); });
  return result;
}

}  // namespace weir::verify
