// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_ir_case.h"

#include <array>
#include <cstdio>
#include <string>

#include "base/bits.h"
#include "replay/trace_error.h"

namespace weir::verify {
namespace {

MessageResult read_result(const Fields& fields) {
  if (fields.has("apic"))
    return Delivered{.apic = static_cast<std::uint32_t>(fields.number("apic", 0xffffffff)),
                     .vector = static_cast<std::uint8_t>(fields.number("vec", 0xff))};
  Refused refused;
  refused.fault.code = static_cast<std::uint8_t>(fields.number("fault", 0xff));
  refused.fault.recorded = fields.flag("rec");
  if (fields.has("index"))
    refused.index = static_cast<std::uint16_t>(fields.number("index", 0xffff));
  return refused;
}

Message read_message(const Fields& fields) {
  constexpr std::uint64_t kRange = 0xfee;
  constexpr unsigned kRangeAt = 20;
  Message message;
  message.requester = read_bdf(fields, "bdf");
  message.address = fields.hex("addr");
  if (message.address >> kRangeAt != kRange || !is_aligned(message.address, 2))
    fields.complain("addr", "is not the address of a message");
  message.data = static_cast<std::uint32_t>(fields.number("data", 0xffffffff));
  for_each_permitted(fields,
                     [&](const Fields& one) { message.permitted.push_back(read_result(one)); });
  return message;
}

FlushEntries read_flush(const Fields& fields) {
  FlushEntries flush;
  if (fields.text("t") != "iec") fields.complain("t", "is not \"iec\"");
  const std::string granularity = fields.text("g");
  if (granularity == "index") {
    flush.index = static_cast<std::uint16_t>(fields.number("index", 0xffff));
    flush.mask = static_cast<std::uint8_t>(fields.number("im", 31));
  } else if (granularity != "global") {
    fields.complain("g", "is neither \"global\" nor \"index\"");
  }
  return flush;
}

IrOperation read_operation(const Fields& fields) {
  const std::string op = fields.text("op");
  if (op == "w") return EditMemory{read_runs(fields, "m")};
  if (op == "ire") return SwitchRemapping{fields.flag("on")};
  if (op == "inv") return read_flush(fields);
  if (op == "msi") return read_message(fields);
  fields.complain("op", replay::in_quotes(op) + " is not an operation of this mode");
  return EditMemory{};
}

}  // namespace

std::string in_words(const MessageResult& result) {
  if (const auto* refused = std::get_if<Refused>(&result)) {
    const std::string words = in_words(DmaResult(refused->fault));
    return refused->fault.recorded ? words + ", index " + std::to_string(refused->index) : words;
  }
  const auto& delivered = std::get<Delivered>(result);
  return "vector " + std::to_string(delivered.vector) + " at APIC " +
         std::to_string(delivered.apic);
}

IrCase read_ir_case(const Fields& fields) {
  IrCase result;
  const Fields config = fields.object("cfg");
  result.config.table = Gpa(config.hex("irta"));
  if (result.config.table.page_offset(kPageLg2) != 0)
    config.complain("irta", "is not the address of a page");
  result.config.size = static_cast<std::uint8_t>(config.number("s", 15));
  result.config.extended = config.flag("eime");
  if (config.flag("cfi")) config.complain("cfi", "is 1, which no file has had so far");
  result.config.ecap = config.hex("ecap");
  result.memory = read_runs(fields, "mem");
  for_each_operation(fields,
                     [&](const Fields& one) { result.operations.push_back(read_operation(one)); });
  return result;
}

}  // namespace weir::verify
