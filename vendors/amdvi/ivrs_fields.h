// SPDX-License-Identifier: Apache-2.0
//
// The fields of an IVRS table, named once for all who go through one
// (vendors/common/acpi/fields.h).
//
// Templates and pure functions; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vendors/amdvi/ivrs_table.h"
#include "vendors/common/acpi/byte_writer.h"
#include "vendors/common/acpi/fields.h"

namespace weir::amdvi::ivrs {

inline constexpr auto kDecimal = acpi::Style::kDecimal;
inline constexpr auto kHex = acpi::Style::kHex;
inline constexpr auto kFunction = acpi::Style::kFunction;

[[nodiscard]] bool is_known_entry(std::uint8_t type);

template <typename V>
void describe_settings(V& v, Entry& e) {
  acpi::fields(v, "settings", entry::kSettings, e.settings, entry::kInitPass, entry::kExtIntPass,
               entry::kNmiPass, entry::kSystemManagement, entry::kLint0Pass, entry::kLint1Pass);
}

template <typename V>
void describe_acpi(V& v, Entry& e) {
  v.text("hid", entry::kHid, e.hid);
  v.text("cid", entry::kCid, e.cid);
  v.number("uid_format", entry::kUidFormat, e.uid_format, kDecimal);
  v.head(entry::kAcpiBytes);
  if (e.uid_format == entry::kUidText) {
    v.string("uid", e.uid, e.rest);
  } else {
    v.rest("uid_bytes", e.rest);
  }
}

template <typename V>
void describe(V& v, Entry& e) {
  v.head(1);
  if (!is_known_entry(e.type)) v.number("type", entry::kType, e.type, kHex);
  if (e.type == entry::kPad || e.type == entry::kLongPad || !is_known_entry(e.type))
    return v.rest("rest", e.rest);
  v.number("device", entry::kDevice, e.device, kFunction);
  describe_settings(v, e);
  switch (e.type) {
    case entry::kAlias:
    case entry::kAliasRange:
      v.number("reserved4", entry::kReserved4, e.reserved4, kHex);
      v.number("source", entry::kSource, e.source, kFunction);
      v.number("reserved7", entry::kReserved7, e.reserved7, kHex);
      break;
    case entry::kExtendedSelect:
    case entry::kExtendedRange:
      acpi::fields(v, "extended", entry::kExtended, e.extended, entry::kNoAts);
      break;
    case entry::kSpecial:
      v.number("handle", entry::kHandle, e.handle, kDecimal);
      v.number("source", entry::kSource, e.source, kFunction);
      v.number("variety", entry::kVariety, e.variety, kDecimal);
      break;
    case entry::kAcpi:
      describe_acpi(v, e);
      break;
    default:
      break;
  }
}

template <typename V>
void describe(V& v, Ivhd& h) {
  v.head(block::kBytes);
  acpi::fields(v, "flags", block::kFlags, h.flags, ivhd::kTunnel, ivhd::kPassPosted,
               ivhd::kResponsePass, ivhd::kIsochronous, ivhd::kDeviceTlb, ivhd::kCoherent,
               ivhd::kPrefetch, ivhd::kPageRequests);
  v.number("device", ivhd::kDevice, h.device, kFunction);
  v.number("capability", ivhd::kCapability, h.capability, kHex);
  v.number("base", ivhd::kBase, h.base, kHex);
  v.number("segment", ivhd::kSegment, h.segment, kDecimal);
  acpi::fields(v, "info", ivhd::kInfo, h.info, ivhd::kMessage, ivhd::kUnit);
  if (h.type == ivhd::kType10) {
    acpi::fields(v, "features", ivhd::kFeatures10, h.features10, ivhd::kX2apic10,
                 ivhd::kNoExecute10, ivhd::kGuestTables10, ivhd::kGcr3Levels10,
                 ivhd::kInvalidateAll10, ivhd::kWideInterrupts10, ivhd::kHardwareError10,
                 ivhd::kPasidBits10, ivhd::kCounters10, ivhd::kBanks10, ivhd::kPageMessage10,
                 ivhd::kGuestLevels10, ivhd::kHostLevels10);
  } else {
    acpi::fields(v, "attributes", ivhd::kAttributes, h.attributes, ivhd::kNoHostTables,
                 ivhd::kCounters, ivhd::kBanks, ivhd::kPageMessage);
    v.number("efr", ivhd::kFeatures, h.features, kHex);
    v.number("efr2", ivhd::kFeatures2, h.features2, kHex);
  }
  v.list("entries", h.entries);
}

template <typename V>
void describe(V& v, Ivmd& m) {
  v.head(block::kBytes);
  acpi::fields(v, "flags", block::kFlags, m.flags, ivmd::kUnity, ivmd::kRead, ivmd::kWrite,
               ivmd::kExclusion);
  v.number("device", ivmd::kDevice, m.device, kFunction);
  v.number("last_device", ivmd::kLastDevice, m.last_device, kFunction);
  v.number("segment", ivmd::kSegment, m.segment, kDecimal);
  v.raw("reserved", ivmd::kReserved, m.reserved);
  v.number("base", ivmd::kBase, m.base, kHex);
  v.number("length", ivmd::kLength, m.length, kHex);
  v.rest("rest", m.rest);
}

template <typename V>
void describe(V& v, Unknown& u) {
  v.number("type", block::kType, u.type, kHex);
  v.number("flags", block::kFlags, u.flags, kHex);
  v.head(block::kBytes);
  v.rest("rest", u.rest);
}

template <typename V>
void describe(V& v, Block& b) {
  std::visit([&v](auto& each) { describe(v, each); }, b);
}

template <typename V>
void describe(V& v, Table& t) {
  acpi::describe(v, t.header);
  acpi::fields(v, "info", header::kInfo, t.info, header::kFeatures, header::kPreBoot,
               header::kGuestVirtual, header::kPhysical, header::kVirtual, header::kHtAts);
  v.raw("reserved", header::kReserved, t.reserved);
  v.list("blocks", t.blocks);
}

inline void set_offset(Entry& e, std::size_t offset) { e.offset = offset; }
inline void set_offset(Block& b, std::size_t offset) {
  std::visit([offset](auto& each) { each.offset = offset; }, b);
}

}  // namespace weir::amdvi::ivrs

template <>
struct weir::acpi::Framing<weir::amdvi::ivrs::Entry> {
  using Entry = amdvi::ivrs::Entry;
  [[nodiscard]] static Result<std::size_t, std::string> bytes(std::span<const std::byte> from);
  [[nodiscard]] static Entry make(std::span<const std::byte> from);
  [[nodiscard]] static Result<Done, std::string> seal(const Entry& e, std::span<std::byte> made);
  [[nodiscard]] static std::string_view kind(const Entry& e);
  [[nodiscard]] static std::string_view words(const Entry&) { return "device entry"; }
  [[nodiscard]] static std::optional<Entry> of(std::string_view kind);
};

template <>
struct weir::acpi::Framing<weir::amdvi::ivrs::Block> {
  using Block = amdvi::ivrs::Block;
  [[nodiscard]] static Result<std::size_t, std::string> bytes(std::span<const std::byte> from);
  [[nodiscard]] static Block make(std::span<const std::byte> from);
  [[nodiscard]] static Result<Done, std::string> seal(const Block& b, std::span<std::byte> made);
  [[nodiscard]] static std::string_view kind(const Block& b);
  [[nodiscard]] static std::string_view words(const Block& b);
  [[nodiscard]] static std::optional<Block> of(std::string_view kind);
};
