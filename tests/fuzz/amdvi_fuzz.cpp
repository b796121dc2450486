// SPDX-License-Identifier: Apache-2.0
//
// A hostile guest before an AMD-Vi unit: a small program of register writes, edits of tables and
// rings, commands, DMA, ATS and page requests and interrupt messages of two functions. Whatever it
// does, every call returns, memory outside RAM is never touched (sanitizers), and after a reset the
// unit is as new.
#include <array>
#include <cstdint>

#include "tests/fuzz/register_machine.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/unit.h"

namespace weir::amdvi::fuzz {
namespace {

using weir::fuzz::Bytes;
using weir::fuzz::require;

constexpr std::uint64_t kBase = 0xfed80000;
// Where the program that every input starts from keeps its things.
constexpr std::uint64_t kEntries = 0x1000, kHost = 0x4000, kGcr3 = 0x8000, kGuest = 0x9000,
                        kIrte = 0xe000, kCommands = 0x10000, kEvents = 0x12000, kRequests = 0x14000,
                        kGuestLog = 0x16000;
constexpr std::uint64_t kRw = std::uint64_t{3} << 61;

class Machine : public weir::fuzz::RegisterMachine<Unit> {
 public:
  explicit Machine(const Options& options)
      : RegisterMachine(
            ivrs_parser(),
            build_ivrs({{{.register_base = kBase, .rest_of_segment = true}}}, {.unit = options})
                .value(),
            kBase, options, {0x0010, 0x0018}) {
    unit_->set_msi(Msi{.address = 0xfee00000, .data = 0x41});
  }

  void set_up(std::uint64_t kind);
  void step(Bytes& bytes);
  void finish();

 private:
  void post(Bytes& bytes);

  std::uint64_t tail_ = 0;
};

// A guest that has done everything right so far: translation, rings and logs are on.
void Machine::set_up(std::uint64_t kind) {
  for (std::uint64_t level = 0; level < 4; ++level) {
    const bool last = level == 3;
    put(kHost + level * 0x1000,
        (last ? 0x30000 : kHost + (level + 1) * 0x1000 | (3 - level) << 9) | 1 | kRw);
    put(kGuest + level * 0x1000, (last ? 0x20000 : kGuest + (level + 1) * 0x1000) | 7);
  }
  for (std::uint64_t page = 1; page < 64; ++page)
    put(kHost + 0x3000 + page * 8, page << 12 | 1 | kRw);
  for (std::uint64_t pasid = 0; pasid < 8; ++pasid) put(kGcr3 + pasid * 8, kGuest | 1);
  for (std::uint64_t i = 0; i < 16; ++i)
    put(kIrte + i * 16, 0x0000030000000085), put(kIrte + i * 16 + 8, 0xd031);
  const std::uint64_t guest = (kind & 1) != 0 ? std::uint64_t{3} << 54 : 0;
  for (const std::uint64_t bdf : {0x10U, 0x18U}) {
    const std::uint64_t at = kEntries + bdf * 32, mode = (kind & 2) != 0 ? 4 : 0;
    put(at + 16, kIrte | 4 << 1 | 1 | std::uint64_t{2} << 60);
    put(at + 8, (bdf & 8) | std::uint64_t{1} << 32 | (kGcr3 >> 15 & 0xffff) << 16);
    put(at, kHost | mode << 9 | 3 | kRw | guest | (kGcr3 >> 12 & 7) << 58);
  }
  unit_->write_register(0x00, 8, kEntries);
  unit_->write_register(0x08, 8, kCommands | std::uint64_t{8} << 56);
  unit_->write_register(0x10, 8, kEvents | std::uint64_t{8} << 56);
  unit_->write_register(0x38, 8, kRequests | std::uint64_t{8} << 56);
  unit_->write_register(0xe0, 8, kGuestLog | std::uint64_t{8} << 56);
  unit_->write_register(0x18, 8,
                        0x040420003203f01dULL | ((kind & 4) != 0 ? std::uint64_t{1} << 58 : 0));
}

void Machine::post(Bytes& bytes) {
  const std::uint64_t opcode = bytes.take();
  put(kCommands + tail_, bytes.take(7) | (opcode & 0xf) << 60);
  put(kCommands + tail_ + 8, (opcode & 0x80) != 0 ? bytes.take(8) : bytes.take(1));
  tail_ = (tail_ + 16) % 0x1000;
  unit_->write_register(0x2008, 4, tail_);
}

void Machine::step(Bytes& bytes) {
  static constexpr std::array<std::uint16_t, 32> kInteresting = {
      0x00,   0x04,   0x08,   0x0c,   0x10,   0x18,  0x1c,   0x20,   0x24,   0x28,   0x30,
      0x38,   0xe0,   0xe8,   0x170,  0x178,  0x180, 0x2000, 0x2008, 0x2010, 0x2018, 0x2020,
      0x2030, 0x2038, 0x2040, 0x2048, 0x2008, 0x18,  0x1c,   0x18,   0x2008, 0x1a0};
  switch (bytes.take() % 10) {
    case 0:
    case 1:
      return write_register(bytes, kInteresting, 0x4010);
    case 2:
      return edit(bytes, 0, kRam);
    case 3:
      return post(bytes);
    case 4:
      return iommu_.poll();
    case 5:
      // Where the started program keeps its things.
      return edit(bytes, kEntries, 0xf000);
    case 6:
      return message(bytes);
    case 7:
      return ats(bytes);
    default:
      return access(bytes);
  }
}

void Machine::finish() {
  require((unit_->read_register(0x2000, 8) & ~std::uint64_t{0x7fff0}) == 0, "no command head");
  require((unit_->read_register(0x2018, 8) & ~std::uint64_t{0x7fff0}) == 0, "no event tail");
  settle_and_reset();
  require(unit_->read_register(0x18, 8) == 0, "Control after a reset");
  require(unit_->read_register(0x2020, 8) == 0, "Status after a reset");
}

}  // namespace
}  // namespace weir::amdvi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::amdvi;
  weir::fuzz::Bytes bytes({data, size});
  const std::uint64_t head = bytes.take();
  static constexpr std::array kProfiles = {Profile::kFull, Profile::kV1, Profile::kV2,
                                           Profile::kV1Xt};
  fuzz::Machine machine(options_for(kProfiles[head >> 4 & 3]));
  if ((head & 8) == 0) machine.set_up(head & 7);
  for (int i = 0; i < 64 && !bytes.empty(); ++i) machine.step(bytes);
  machine.finish();
  return 0;
}
