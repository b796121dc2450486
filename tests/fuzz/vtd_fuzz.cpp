// SPDX-License-Identifier: Apache-2.0
//
// A hostile guest before a VT-d unit: a small program of register writes, edits of tables and
// queue, DMA, ATS and page requests and interrupt messages of two functions. Whatever it does,
// every call returns, memory outside RAM is never touched (sanitizers), and after a reset the unit
// is as new.
#include <array>
#include <cstdint>

#include "tests/fuzz/register_machine.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd::fuzz {
namespace {

using weir::fuzz::Bytes;
using weir::fuzz::require;

constexpr std::uint64_t kBase = 0xfed90000;
// Where the program that every input starts from keeps its things.
constexpr std::uint64_t kRoot = 0x1000, kContexts = 0x2000, kDirectory = 0x3000, kPasids = 0x4000,
                        kFirst = 0x5000, kSecond = 0x9000, kQueue = 0x10000, kIrte = 0x12000,
                        kPages = 0x14000;

class Machine : public weir::fuzz::RegisterMachine<Unit> {
 public:
  explicit Machine(const Options& options)
      : RegisterMachine(dmar_parser(),
                        build_dmar({{{.register_base = kBase, .rest_of_segment = true}}}), kBase,
                        options, {0x0010, 0x0090}) {}

  void set_up(std::uint64_t kind);
  void step(Bytes& bytes);
  void finish();

 private:
  void post(Bytes& bytes);

  std::uint64_t tail_ = 0;
};

// A guest that has done everything right so far: translation, queue and remapping are on.
void Machine::set_up(std::uint64_t kind) {
  const bool scalable = kind != 0;
  put(kRoot, kContexts | 1);
  put(kRoot + 8, scalable ? kContexts | 1 : 0);
  for (std::uint64_t level = 0; level < 4; ++level) {
    const bool leaf = level == 3;
    put(kFirst + level * 0x1000, (leaf ? 0x20000 : kFirst + (level + 1) * 0x1000) | 7);
    put(kSecond + level * 0x1000, (leaf ? 0x30000 : kSecond + (level + 1) * 0x1000) | 3);
  }
  for (std::uint64_t page = 1; page < 64; ++page) put(kSecond + 0x3000 + page * 8, page << 12 | 3);
  if (scalable) {
    put(kContexts + 0x10 * 32, kDirectory | 0x1d);  // DTE and PRE, and PASIDs
    put(kDirectory, kPasids | 1);
    for (std::uint64_t pasid = 0; pasid < 8; ++pasid) {
      const std::uint64_t at = kPasids + pasid * 64, type = (kind + pasid) % 5;
      put(at + 16, kFirst | 0x33);
      put(at + 8, (pasid + 1) | 1 << 23);
      put(at, kSecond | 2 << 2 | type << 6 | 1);
    }
  } else {
    put(kContexts + 0x10 * 16 + 8, 1 << 8 | 2);
    put(kContexts + 0x10 * 16, kSecond | 1);
  }
  for (std::uint64_t i = 0; i < 16; ++i) put(kIrte + i * 16, 0x0000030000550001);
  unit_->write_register(0x90, 8, kQueue | (scalable ? 0x800U : 0));
  unit_->write_register(0xb8, 8, kIrte | 3);
  unit_->write_register(0x20, 8, kRoot | (scalable ? 0x400U : 0));
  unit_->write_register(0xd0, 8, kPages);
  for (const std::uint32_t command : {0x04000000U, 0x44000000U, 0x05000000U, 0x86000000U})
    unit_->write_register(0x18, 4, command);
}

void Machine::post(Bytes& bytes) {
  const std::uint64_t type = bytes.take();
  for (std::uint64_t i = 0; i < 4; ++i)
    put(kQueue + (tail_ + i * 8) % 0x1000, i == 0   ? bytes.take(7) << 4 | (type & 0xf)
                                           : i == 1 ? bytes.take(8)
                                                    : 0);
  tail_ = (tail_ + ((type & 0x80) != 0 ? 16 : 32)) % 0x1000;
  unit_->write_register(0x88, 4, tail_);
}

void Machine::step(Bytes& bytes) {
  static constexpr std::array<std::uint16_t, 36> kInteresting = {
      0x18, 0x18, 0x20, 0x24, 0x28, 0x2c, 0x34, 0x38, 0x3c,  0x40,  0x44, 0x64,
      0x68, 0x70, 0x80, 0x88, 0x90, 0x9c, 0xa0, 0xa4, 0xa8,  0xac,  0xb0, 0xb8,
      0xc0, 0xc8, 0xd0, 0xdc, 0xe0, 0xf0, 0xf8, 0xfc, 0x22c, 0x228, 0x88, 0x18};
  switch (bytes.take() % 10) {
    case 0:
    case 1:
      return write_register(bytes, kInteresting, 0x2010);
    case 2:
      return edit(bytes, 0, kRam);
    case 3:
      return post(bytes);
    case 4:
      return iommu_.poll();
    case 5:
      // Where the started program keeps its things.
      return edit(bytes, kRoot, 0xc000);
    case 6:
      return message(bytes);
    case 7:
      return ats(bytes);
    default:
      return access(bytes);
  }
}

void Machine::finish() {
  require((unit_->read_register(0x80, 8) & ~std::uint64_t{0x7fff0}) == 0, "IQH is no head");
  settle_and_reset();
  require(unit_->read_register(0x1c, 4) == 0, "GSTS after a reset");
  require((unit_->read_register(0x34, 4) & 0xff) == 0, "FSTS after a reset");
}

}  // namespace
}  // namespace weir::vtd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::vtd;
  weir::fuzz::Bytes bytes({data, size});
  const std::uint64_t head = bytes.take();
  Options options = (head & 1) != 0 ? profile::full() : profile::legacy();
  options.fault_records = 2;
  options.caching_mode = (head & 2) != 0;
  options.interrupt_remapping = true;
  options.strict_interrupt_entries = (head & 4) != 0;
  fuzz::Machine machine(options);
  if ((head & 8) == 0) machine.set_up((head & 1) != 0 ? 1 + (head >> 4) % 5 : 0);
  for (int i = 0; i < 64 && !bytes.empty(); ++i) machine.step(bytes);
  machine.finish();
  return 0;
}
