// SPDX-License-Identifier: Apache-2.0
//
// The fields of a DMAR table, named once for all who go through one (vendors/common/acpi/fields.h).
//
// Templates and pure functions; any thread.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vendors/common/acpi/byte_writer.h"
#include "vendors/common/acpi/fields.h"
#include "vendors/vtd/dmar_table.h"

namespace weir::vtd::dmar {

inline constexpr auto kDecimal = acpi::Style::kDecimal;
inline constexpr auto kHex = acpi::Style::kHex;

[[nodiscard]] constexpr bool is_known_scope(std::uint8_t type) {
  return type >= scope::kEndpoint && type <= scope::kNamespaceDevice;
}

template <typename V>
void describe(V& v, Scope& s) {
  v.head(scope::kFlags);
  if (!is_known_scope(s.type)) v.number("type", scope::kType, s.type, kDecimal);
  v.number("flags", scope::kFlags, s.flags, kHex);
  v.number("reserved", scope::kReserved, s.reserved, kHex);
  v.number("enumeration", scope::kEnumeration, s.enumeration, kDecimal);
  v.number("start_bus", scope::kStartBus, s.start_bus, kHex);
  v.path("path", s.path);
}

template <typename V>
void describe(V& v, Drhd& d) {
  v.head(structure::kBytes);
  acpi::fields(v, "flags", drhd::kFlags, d.flags, drhd::kIncludePciAll);
  acpi::fields(v, "size", drhd::kSize, d.size, drhd::kPagesLg2);
  v.number("segment", drhd::kSegment, d.segment, kDecimal);
  v.number("base", drhd::kBase, d.base, kHex);
  v.list("scopes", d.scopes);
}

template <typename V>
void describe(V& v, Rmrr& r) {
  v.head(structure::kBytes);
  v.number("reserved", rmrr::kReserved, r.reserved, kHex);
  v.number("segment", rmrr::kSegment, r.segment, kDecimal);
  v.number("base", rmrr::kBase, r.base, kHex);
  v.number("limit", rmrr::kLimit, r.limit, kHex);
  v.list("scopes", r.scopes);
}

template <typename V>
void describe(V& v, Atsr& a) {
  v.head(structure::kBytes);
  acpi::fields(v, "flags", atsr::kFlags, a.flags, atsr::kAllPorts);
  v.number("reserved", atsr::kReserved, a.reserved, kHex);
  v.number("segment", atsr::kSegment, a.segment, kDecimal);
  v.list("scopes", a.scopes);
}

template <typename V>
void describe(V& v, Rhsa& r) {
  v.head(structure::kBytes);
  v.number("reserved", rhsa::kReserved, r.reserved, kHex);
  v.number("base", rhsa::kBase, r.base, kHex);
  v.number("proximity", rhsa::kProximity, r.proximity, kDecimal);
  v.rest("rest", r.rest);
}

template <typename V>
void describe(V& v, Andd& a) {
  v.head(structure::kBytes);
  v.raw("reserved", andd::kReserved, a.reserved);
  v.number("number", andd::kNumber, a.number, kDecimal);
  v.string("name", a.name, a.rest);
}

template <typename V>
void describe(V& v, Satc& s) {
  v.head(structure::kBytes);
  acpi::fields(v, "flags", satc::kFlags, s.flags, satc::kRequired);
  v.number("reserved", satc::kReserved, s.reserved, kHex);
  v.number("segment", satc::kSegment, s.segment, kDecimal);
  v.list("scopes", s.scopes);
}

template <typename V>
void describe(V& v, Sidp& s) {
  v.head(structure::kBytes);
  v.number("reserved", sidp::kReserved, s.reserved, kHex);
  v.number("segment", sidp::kSegment, s.segment, kDecimal);
  v.list("scopes", s.scopes);
}

template <typename V>
void describe(V& v, Unknown& u) {
  v.head(structure::kBytes);
  v.number("type", structure::kType, u.type, kDecimal);
  v.rest("rest", u.rest);
}

template <typename V>
void describe(V& v, Structure& s) {
  std::visit([&v](auto& each) { describe(v, each); }, s);
}

template <typename V>
void describe(V& v, Table& t) {
  acpi::describe(v, t.header);
  v.number("host_address_width", header::kHostAddressWidth, t.host_address_width, kDecimal);
  acpi::fields(v, "flags", header::kFlags, t.flags, header::kInterruptRemapping,
               header::kX2apicOptOut, header::kPlatformOptIn);
  v.raw("reserved", header::kReserved, t.reserved);
  v.list("structures", t.structures);
}

inline void set_offset(Scope& s, std::size_t offset) { s.offset = offset; }
inline void set_offset(Structure& s, std::size_t offset) {
  std::visit([offset](auto& each) { each.offset = offset; }, s);
}

}  // namespace weir::vtd::dmar

template <>
struct weir::acpi::Framing<weir::vtd::dmar::Scope> {
  using Scope = vtd::dmar::Scope;
  [[nodiscard]] static Result<std::size_t, std::string> bytes(std::span<const std::byte> from);
  [[nodiscard]] static Scope make(std::span<const std::byte> from);
  [[nodiscard]] static Result<Done, std::string> seal(const Scope& s, std::span<std::byte> made);
  [[nodiscard]] static std::string_view kind(const Scope& s);
  [[nodiscard]] static std::string_view words(const Scope&) { return "device scope"; }
  [[nodiscard]] static std::optional<Scope> of(std::string_view kind);
};

template <>
struct weir::acpi::Framing<weir::vtd::dmar::Structure> {
  using Structure = vtd::dmar::Structure;
  [[nodiscard]] static Result<std::size_t, std::string> bytes(std::span<const std::byte> from);
  [[nodiscard]] static Structure make(std::span<const std::byte> from);
  [[nodiscard]] static Result<Done, std::string> seal(const Structure& s,
                                                      std::span<std::byte> made);
  [[nodiscard]] static std::string_view kind(const Structure& s);
  [[nodiscard]] static std::string_view words(const Structure& s);
  [[nodiscard]] static std::optional<Structure> of(std::string_view kind);
};
