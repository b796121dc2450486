// SPDX-License-Identifier: Apache-2.0
//
// A device under test, and what it can tell of its DMA without looking inside the IOMMU: whether
// the access succeeded, which bytes of RAM it read or changed, which messages arrived at the
// interrupt controller, and which writes the machine was told of.
//
// The place of a read is found by what comes back: every address that the vector permits holds
// bytes of its own. RAM is put back afterwards. For one thread; it is a sink of the Iommu and must
// outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "iommu/dma_port.h"
#include "iommu/sinks.h"
#include "tools/verify/case_parts.h"
#include "tools/verify/guest_ram.h"

namespace weir::verify {

// What device and memory saw; whether a blocked access was recorded is for the driver to say.
struct Sighting {
  enum class Kind : std::uint8_t { kReached, kInterrupt, kBlocked, kUnclear };
  Kind kind = Kind::kUnclear;
  Gpa gpa{};           // kReached
  std::string oddity;  // what no correct IOMMU does, whatever the vector expects
};

class DmaProbe final : public InterruptSink, public DirtySink {
 public:
  // Whether walks may set accessed and dirty bits: such a change of one word is reported like any
  // other, before the access itself.
  enum class TableUpdates : std::uint8_t { kNone, kPossible };
  DmaProbe(GuestRam& ram, TableUpdates updates) : ram_(ram), updates_(updates) {}

  [[nodiscard]] Sighting run(DmaPort& port, const Dma& dma);
  // Writes in there are the unit's own (a log), not the device's.
  void set_log(AddressRange<Gpa> log) { log_ = log; }

  void on_device_msi(Requester requester, Msi msi) override;
  void on_unit_msi(UnitId, Msi) override {}
  void on_dirty(Gpa first, std::uint64_t size) override;

 private:
  struct Message {
    Requester requester;
    Msi msi;
  };
  struct Write {
    Gpa first;
    std::uint64_t size;
  };
  // A place the access may reach: what it held, and what it holds during the access.
  struct Place {
    Gpa at;
    std::vector<std::byte> before;
    std::vector<std::byte> during;
  };

  void prepare(const Dma& dma);
  // Takes the changes of tables off what was reported.
  void set_updates_aside(bool data_written);
  void restore(const Dma& dma);
  void add_place(Gpa at, unsigned size);
  [[nodiscard]] std::vector<std::byte> fresh_bytes(unsigned size);
  [[nodiscard]] std::vector<std::byte> bytes_at(Gpa at, std::size_t size) const;
  [[nodiscard]] Sighting look_at_read(DmaPort& port, const Dma& dma, bool succeeded,
                                      const std::vector<std::byte>& got) const;
  [[nodiscard]] Sighting look_at_write(const Dma& dma, bool succeeded,
                                       const std::vector<std::byte>& sent) const;
  [[nodiscard]] std::string check_message(const Dma& dma, const std::vector<std::byte>& sent) const;
  // Places that changed without having been reached.
  [[nodiscard]] std::string check_untouched(std::optional<Gpa> reached) const;

  GuestRam& ram_;
  const TableUpdates updates_;
  std::uint64_t serial_ = 0;  // makes the bytes of each access its own
  std::vector<Place> places_;
  std::vector<Message> messages_;
  std::vector<Write> writes_;
  std::optional<AddressRange<Gpa>> log_;
};

}  // namespace weir::verify
