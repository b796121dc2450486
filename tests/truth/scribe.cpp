// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/scribe.h"

#include <cstring>

namespace weir::truth {
namespace {

class Pen {
 public:
  explicit Pen(const char* signature, std::size_t header) : bytes_(header) {
    std::memcpy(bytes_.data(), signature, 4);
  }
  [[nodiscard]] std::size_t here() const { return bytes_.size(); }
  template <typename T>
  void put(T value) {
    const std::size_t at = here();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void u8(std::uint64_t v) { put(static_cast<std::uint8_t>(v)); }
  void u16(std::uint64_t v) { put(static_cast<std::uint16_t>(v)); }
  void u32(std::uint64_t v) { put(static_cast<std::uint32_t>(v)); }
  void u64(std::uint64_t v) { put(v); }
  void zeros(std::size_t count) { bytes_.resize(here() + count); }
  void text(const std::string& text, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) u8(i < text.size() ? text[i] : 0);
  }
  void at16(std::size_t at, std::uint64_t v) {
    const auto value = static_cast<std::uint16_t>(v);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  [[nodiscard]] std::vector<std::byte> done() {
    seal(bytes_);
    return std::move(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

[[nodiscard]] bool behind(Wish wish, std::uint32_t unit) { return wish == Wish::unit(unit); }

[[nodiscard]] std::optional<std::vector<std::byte>> dmar(const Topology& t) {
  Pen pen("DMAR", 48);
  const auto scope = [&pen](unsigned type, unsigned id, unsigned bus,
                            const std::vector<unsigned>& path) {
    pen.u8(type), pen.u8(6 + 2 * path.size()), pen.u16(0), pen.u8(id), pen.u8(bus);
    for (const unsigned devfn : path) pen.u8(devfn >> 3), pen.u8(devfn & 7);
  };
  for (const bool rest : {false, true})
    for (std::uint32_t u = 0; u < t.units().size(); ++u) {
      const UnitPlace& unit = t.units()[u];
      if (unit.takes_rest != rest) continue;
      const std::size_t begin = pen.here();
      pen.u16(0), pen.u16(0), pen.u8(rest ? 1 : 0), pen.u8(0), pen.u16(unit.segment);
      pen.u64(unit.register_base);
      for (std::uint32_t i = 0; i < t.functions() && !rest; ++i) {
        const Function& f = t[{i}];
        if (!behind(f.wish, u) || f.physical) continue;
        std::vector<unsigned> path{f.devfn};
        for (auto above = f.bridge; above; above = t[*above].bridge)
          path.insert(path.begin(), t[*above].devfn);
        scope(is_bridge(f.kind) ? 2 : 1, 0, t.roots()[f.root].bus, path);
      }
      for (const InterruptSource& s : t.interrupt_sources())
        if (s.unit == u)
          scope(s.kind == InterruptSource::Kind::kIoApic ? 3 : 4, s.id, s.as.bus(),
                {s.as.bdf & 0xffU});
      for (std::size_t i = 0; i < t.named_devices().size(); ++i)
        if (const NamedDevice& d = t.named_devices()[i]; behind(d.wish, u))
          scope(5, static_cast<unsigned>(i), d.as.bus(), {d.as.bdf & 0xffU});
      pen.at16(begin + 2, pen.here() - begin);
    }
  for (std::size_t i = 0; i < t.named_devices().size(); ++i) {
    const std::string& path = t.named_devices()[i].path;
    pen.u16(4), pen.u16(9 + path.size()), pen.zeros(3), pen.u8(i), pen.text(path, path.size() + 1);
  }
  return pen.done();
}

[[nodiscard]] std::optional<std::vector<std::byte>> ivrs(const Topology& t) {
  Pen pen("IVRS", 48);
  for (std::uint32_t u = 0; u < t.units().size(); ++u) {
    const UnitPlace& unit = t.units()[u];
    if (!unit.function) return std::nullopt;
    const std::size_t begin = pen.here();
    pen.u8(0x40), pen.u8(0), pen.u16(0), pen.u16(t.number(*unit.function).bdf), pen.u16(0);
    pen.u64(unit.register_base), pen.u16(unit.segment), pen.zeros(22);
    for (std::uint32_t i = 0; i < t.functions(); ++i) {
      if (unit.takes_rest || !behind(t[{i}].wish, u)) continue;
      const Requester called = t.number({i});
      if (called.segment != unit.segment) continue;
      for (const Requester as : t.requesters({i})) {
        const bool alias = t.requester({i}) != called;
        pen.u8(alias ? 0x42 : 2), pen.u16(alias ? called.bdf : as.bdf), pen.u8(0);
        if (alias) pen.u8(0), pen.u16(as.bdf), pen.u8(0);
      }
    }
    if (unit.takes_rest) pen.u8(1), pen.zeros(3);
    for (const InterruptSource& s : t.interrupt_sources())
      if (s.unit == u) {
        pen.u8(0x48), pen.u16(0), pen.u8(0), pen.u8(s.id), pen.u16(s.as.bdf);
        pen.u8(s.kind == InterruptSource::Kind::kIoApic ? 1 : 2);
      }
    for (const NamedDevice& d : t.named_devices()) {
      if (!behind(d.wish, u)) continue;
      if (d.hid.size() > 8 || d.uid.size() > 255) return std::nullopt;
      pen.u8(0xf0), pen.u16(d.as.bdf), pen.u8(0), pen.text(d.hid, 8), pen.zeros(8);
      pen.u8(d.uid.empty() ? 0 : 2), pen.u8(d.uid.size()), pen.text(d.uid, d.uid.size());
    }
    pen.at16(begin + 2, pen.here() - begin);
  }
  return pen.done();
}

[[nodiscard]] std::optional<std::vector<std::byte>> viot(const Topology& t) {
  Pen pen("VIOT", 48);
  unsigned nodes = 0;
  const auto node = [&](unsigned type, unsigned bytes) {
    pen.u8(type), pen.u8(0), pen.u16(bytes), ++nodes;
  };
  for (const UnitPlace& unit : t.units()) {
    node(unit.function ? 3 : 4, 16);
    const Requester at = unit.function ? t.number(*unit.function) : Requester{};
    pen.u16(at.segment), pen.u16(at.bdf), pen.u64(unit.function ? 0 : unit.register_base);
  }
  // Numbered in the order they come: ids are free.
  unsigned endpoint = 1;
  for (std::uint32_t u = 0; u < t.units().size(); ++u) {
    const auto range = [&](std::uint16_t segment, unsigned first, unsigned last) {
      node(1, 24), pen.u32(endpoint), endpoint += last - first + 1;
      pen.u16(segment), pen.u16(segment), pen.u16(first), pen.u16(last);
      pen.u16(48 + u * 16), pen.zeros(6);
    };
    std::set<std::pair<std::uint16_t, std::uint16_t>> mine, others;
    for (std::uint32_t i = 0; i < t.functions(); ++i) {
      // The rest is what no other unit has, whether it bypasses or not.
      if (t[{i}].wish.kind != Wish::Kind::kUnit) continue;
      auto& into = behind(t[{i}].wish, u) ? mine : others;
      into.emplace(t.number({i}).segment, t.number({i}).bdf);
      if (const auto quirk = t[{i}].alias) into.emplace(t.number({i}).segment, *quirk);
      for (const Requester as : t.requesters({i})) into.emplace(as.segment, as.bdf);
    }
    const UnitPlace& unit = t.units()[u];
    for (const auto& [segment, bdf] : mine)
      if (!unit.takes_rest || segment != unit.segment) range(segment, bdf, bdf);
    if (unit.takes_rest) {
      unsigned first = 0;
      for (const auto& [segment, bdf] : others) {
        if (segment != unit.segment) continue;
        if (bdf > first) range(segment, first, bdf - 1U);
        first = bdf + 1U;
      }
      if (first <= 0xffff) range(unit.segment, first, 0xffff);
    }
    for (const NamedDevice& d : t.named_devices()) {
      if (!behind(d.wish, u)) continue;
      if (!d.mmio) return std::nullopt;
      node(2, 24), pen.u32(endpoint++), pen.u64(*d.mmio), pen.u16(48 + u * 16), pen.zeros(6);
    }
  }
  pen.at16(36, nodes), pen.at16(38, 48);
  return pen.done();
}

}  // namespace

void seal(std::vector<std::byte>& table) {
  const auto length = static_cast<std::uint32_t>(table.size());
  std::memcpy(table.data() + 4, &length, sizeof length);
  table[9] = std::byte{0};
  unsigned sum = 0;
  for (const std::byte b : table) sum += std::to_integer<unsigned>(b);
  table[9] = static_cast<std::byte>(-sum);
}

std::optional<std::vector<std::byte>> written_one_by_one(const Topology& machine, Format format) {
  switch (format) {
    case Format::kDmar:
      return dmar(machine);
    case Format::kIvrs:
      return ivrs(machine);
    case Format::kViot:
      return viot(machine);
  }
  return std::nullopt;
}

std::vector<Place> parts_of(Format format, Bytes table) {
  std::vector<Place> parts;
  const auto add = [&parts](const auto& outer, const auto& inner) {
    if (inner.empty()) parts.push_back(outer.place);
    for (const auto& each : inner) parts.push_back(each.place);
  };
  switch (format) {
    case Format::kDmar:
      for (const auto& s : read_dmar_again(table).structures) add(s, s.scopes);
      break;
    case Format::kIvrs: {
      const IvrsReading reading = read_ivrs_again(table);
      for (const auto& unit : reading.units) add(unit, unit.entries);
      for (const auto& memory : reading.memory) parts.push_back(memory.place);
      break;
    }
    case Format::kViot:
      for (const auto& node : read_viot_again(table).nodes)
        if (node.type <= 2) parts.push_back(node.place);
      break;
  }
  return parts;
}

std::vector<std::byte> without(Format format, Bytes table, const Place& part) {
  std::vector<std::byte> made(table.begin(), table.end());
  const auto less = [&made](std::size_t at, std::size_t by) {
    std::uint16_t value = 0;
    std::memcpy(&value, made.data() + at, sizeof value);
    value = static_cast<std::uint16_t>(value - by);
    std::memcpy(made.data() + at, &value, sizeof value);
  };
  if (part.inside != 0) less(part.inside + 2, part.bytes);
  if (format == Format::kViot) less(36, 1);
  const auto first = made.begin() + static_cast<std::ptrdiff_t>(part.at);
  made.erase(first, first + static_cast<std::ptrdiff_t>(part.bytes));
  seal(made);
  return made;
}

}  // namespace weir::truth
