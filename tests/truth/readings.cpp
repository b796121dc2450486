// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/readings.h"

#include <cstring>

namespace weir::truth {
namespace {

template <typename T>
[[nodiscard]] T at(Bytes table, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= table.size())
    std::memcpy(&value, table.data() + offset, sizeof value);
  return value;
}

// Text up to a zero byte.
[[nodiscard]] std::string text_at(Bytes table, std::size_t offset, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < most && offset + i < table.size(); ++i) {
    const char c = static_cast<char>(table[offset + i]);
    if (c == '\0') break;
    text.push_back(c);
  }
  return text;
}

[[nodiscard]] std::string header_complaint(Bytes table, const char* signature) {
  if (text_at(table, 0, 4) != signature) return "another signature";
  if (at<std::uint32_t>(table, 4) != table.size()) return "another length";
  unsigned sum = 0;
  for (const std::byte b : table) sum += std::to_integer<unsigned>(b);
  return (sum & 0xff) == 0 ? "" : "a checksum that is wrong";
}

constexpr std::uint16_t kDrhd = 0, kRmrr = 1, kAtsr = 2, kRhsa = 3, kAndd = 4, kSatc = 5, kSidp = 6;

// How many bytes come before the scopes; 0: there are none.
[[nodiscard]] std::size_t scopes_from(std::uint16_t type) {
  switch (type) {
    case kDrhd:
      return 16;
    case kRmrr:
      return 24;
    case kAtsr:
    case kSatc:
    case kSidp:
      return 8;
    default:
      return 0;
  }
}

void read_scopes(Bytes table, DmarReading::Structure& into, std::string& complaint) {
  const std::size_t first = scopes_from(into.type);
  if (first == 0) return;
  const std::size_t end = into.place.at + into.place.bytes;
  for (std::size_t o = into.place.at + first; o < end;) {
    DmarReading::Scope scope{.place = {o, at<std::uint8_t>(table, o + 1), into.place.at},
                             .type = at<std::uint8_t>(table, o),
                             .flags = at<std::uint8_t>(table, o + 2),
                             .enumeration = at<std::uint8_t>(table, o + 4),
                             .bus = at<std::uint8_t>(table, o + 5),
                             .path = {}};
    if (scope.place.bytes < 8 || scope.place.bytes % 2 != 0 || o + scope.place.bytes > end) {
      complaint = "a scope of a wrong length";
      return;
    }
    for (std::size_t step = o + 6; step < o + scope.place.bytes; step += 2)
      scope.path.emplace_back(at<std::uint8_t>(table, step), at<std::uint8_t>(table, step + 1));
    for (const auto& [device, function] : scope.path)
      if (device > 31 || function > 7) complaint = "a step that is no device and function";
    o += scope.place.bytes;
    into.scopes.push_back(std::move(scope));
  }
}

}  // namespace

DmarReading read_dmar_again(Bytes table) {
  DmarReading reading{.structures = {}, .complaint = header_complaint(table, "DMAR")};
  for (std::size_t o = 48; o < table.size() && reading.complaint.empty();) {
    DmarReading::Structure s;
    s.type = at<std::uint16_t>(table, o);
    s.place = {o, at<std::uint16_t>(table, o + 2), 0};
    if (s.place.bytes < 4 || o + s.place.bytes > table.size()) {
      reading.complaint = "a structure of a wrong length";
      break;
    }
    if (s.type == kDrhd || s.type == kAtsr || s.type == kSatc)
      s.flags = at<std::uint8_t>(table, o + 4);
    if (scopes_from(s.type) != 0) s.segment = at<std::uint16_t>(table, o + 6);
    if (s.type == kDrhd || s.type == kRmrr || s.type == kRhsa)
      s.base = at<std::uint64_t>(table, o + 8);
    if (s.type == kRmrr) s.limit = at<std::uint64_t>(table, o + 16);
    if (s.type == kRhsa) s.proximity = at<std::uint32_t>(table, o + 16);
    if (s.type == kAndd) {
      s.number = at<std::uint8_t>(table, o + 7);
      s.name = text_at(table, o + 8, s.place.bytes - 8);
    }
    read_scopes(table, s, reading.complaint);
    o += s.place.bytes;
    reading.structures.push_back(std::move(s));
  }
  return reading;
}

namespace {

void read_entries(Bytes table, IvrsReading::Unit& into, std::string& complaint) {
  const std::size_t end = into.place.at + into.place.bytes;
  for (std::size_t o = into.place.at + (into.type == 0x10 ? 24 : 40); o < end;) {
    IvrsReading::Entry e;
    e.type = at<std::uint8_t>(table, o);
    e.place = {o, e.type < 0x80 ? std::size_t{4} << (e.type >> 6) : 0U, into.place.at};
    e.device = at<std::uint16_t>(table, o + 1);
    if (e.type == 0xf0) {
      e.place.bytes = 22U + at<std::uint8_t>(table, o + 21);
      e.hid = text_at(table, o + 4, 8);
      e.uid_type = at<std::uint8_t>(table, o + 20);
      e.uid = text_at(table, o + 22, at<std::uint8_t>(table, o + 21));
    }
    if (e.place.bytes == 0 || o + e.place.bytes > end) {
      complaint = "a device entry of a wrong length";
      return;
    }
    if (e.type == 0x42 || e.type == 0x43 || e.type == 0x48)
      e.source = at<std::uint16_t>(table, o + 5);
    if (e.type == 0x48) {
      e.handle = at<std::uint8_t>(table, o + 4);
      e.variety = at<std::uint8_t>(table, o + 7);
    }
    o += e.place.bytes;
    into.entries.push_back(std::move(e));
  }
}

}  // namespace

IvrsReading read_ivrs_again(Bytes table) {
  IvrsReading reading{.units = {}, .memory = {}, .complaint = header_complaint(table, "IVRS")};
  std::size_t bytes = 0;
  for (std::size_t o = 48; o < table.size() && reading.complaint.empty(); o += bytes) {
    const auto type = at<std::uint8_t>(table, o);
    bytes = at<std::uint16_t>(table, o + 2);
    if (bytes < 4 || o + bytes > table.size()) {
      reading.complaint = "a block of a wrong length";
      break;
    }
    if (type == 0x10 || type == 0x11 || type == 0x40) {
      IvrsReading::Unit unit{.place = {o, bytes, 0},
                             .type = type,
                             .device = at<std::uint16_t>(table, o + 4),
                             .segment = at<std::uint16_t>(table, o + 16),
                             .base = at<std::uint64_t>(table, o + 8),
                             .entries = {}};
      read_entries(table, unit, reading.complaint);
      reading.units.push_back(std::move(unit));
    } else if (type >= 0x20 && type <= 0x22) {
      // The segment: struct ivmd_header of Linux' drivers/iommu/amd/init.c.
      reading.memory.push_back({.place = {o, bytes, 0},
                                .type = type,
                                .flags = at<std::uint8_t>(table, o + 1),
                                .device = at<std::uint16_t>(table, o + 4),
                                .last = at<std::uint16_t>(table, o + 6),
                                .segment = at<std::uint16_t>(table, o + 8),
                                .base = at<std::uint64_t>(table, o + 16),
                                .length = at<std::uint64_t>(table, o + 24)});
    } else {
      reading.complaint = "a block of an unknown type";
    }
  }
  return reading;
}

ViotReading read_viot_again(Bytes table) {
  ViotReading reading{.nodes = {}, .complaint = header_complaint(table, "VIOT")};
  std::size_t o = at<std::uint16_t>(table, 38);
  for (unsigned i = at<std::uint16_t>(table, 36); i > 0 && reading.complaint.empty(); --i) {
    ViotReading::Node node;
    node.type = at<std::uint8_t>(table, o);
    node.place = {o, at<std::uint16_t>(table, o + 2), 0};
    const std::size_t expected = node.type == 1 || node.type == 2 ? 24 : 16;
    if (node.place.bytes != expected || o + expected > table.size()) {
      reading.complaint = "a node of a wrong length";
      break;
    }
    switch (node.type) {
      case 1:
        node.endpoint = at<std::uint32_t>(table, o + 4);
        node.segment_start = at<std::uint16_t>(table, o + 8);
        node.segment_end = at<std::uint16_t>(table, o + 10);
        node.bdf_start = at<std::uint16_t>(table, o + 12);
        node.bdf_end = at<std::uint16_t>(table, o + 14);
        node.output = at<std::uint16_t>(table, o + 16);
        break;
      case 2:
        node.endpoint = at<std::uint32_t>(table, o + 4);
        node.base = at<std::uint64_t>(table, o + 8);
        node.output = at<std::uint16_t>(table, o + 16);
        break;
      case 3:
        node.segment_start = at<std::uint16_t>(table, o + 4);
        node.bdf_start = at<std::uint16_t>(table, o + 6);
        break;
      case 4:
        node.base = at<std::uint64_t>(table, o + 8);
        break;
      default:
        reading.complaint = "a node of an unknown type";
    }
    o += node.place.bytes;
    reading.nodes.push_back(node);
  }
  if (reading.complaint.empty() && o != table.size()) reading.complaint = "bytes behind the nodes";
  return reading;
}

}  // namespace weir::truth
