// SPDX-License-Identifier: Apache-2.0
//
// A hostile guest before an AMD-Vi unit: a small program of register writes, edits of tables and
// rings, commands, DMA and interrupt messages. Whatever it does, every call returns, memory outside
// RAM is never touched (sanitizers), and after a reset the unit is as new.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "iommu/iommu.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/unit.h"

namespace weir::amdvi::fuzz {
namespace {

constexpr std::uint64_t kRam = 64 * 4096, kBase = 0xfed80000;
// Where the program that every input starts from keeps its things.
constexpr std::uint64_t kEntries = 0x1000, kHost = 0x4000, kGcr3 = 0x8000, kGuest = 0x9000,
                        kIrte = 0xe000, kCommands = 0x10000, kEvents = 0x12000, kRequests = 0x14000,
                        kGuestLog = 0x16000;
constexpr std::uint64_t kRw = std::uint64_t{3} << 61;

class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] std::uint64_t take(unsigned count = 1) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < count && !bytes_.empty(); ++i) {
      value = value << 8 | bytes_.front();
      bytes_ = bytes_.subspan(1);
    }
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "amdvi_fuzz: %s\n", what);
  std::abort();
}

struct Silence final : InterruptSink {
  void on_device_msi(Requester, Msi) override {}
  void on_unit_msi(UnitId, Msi) override {}
};

class Machine {
 public:
  explicit Machine(const Options& options)
      : words_(std::make_unique<std::uint64_t[]>(kRam / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))))),
        iommu_(
            {.memory = memory_,
             .sinks = {.interrupts = &silence_},
             .caches = {.entries = 64,
                        .walk = {.stage1_tables = 16, .stage2_tables = 16, .stage2_pages = 16}}}) {
    const Coverage everything{{{.register_base = kBase, .rest_of_segment = true}}};
    const auto table = build_ivrs(everything, {.unit = options});
    require(table && iommu_.use_tables(ivrs_parser(), *table), "the table is refused");
    unit_ = &iommu_.add_unit<Unit>(kBase, options);
    unit_->set_msi(Msi{.address = 0xfee00000, .data = 0x41});
    for (const auto sid : {std::uint16_t{0x0010}, std::uint16_t{0x0018}})
      ports_.push_back(iommu_.attach({.function = Requester::from_sid(sid)}).value());
  }

  void put(std::uint64_t at, std::uint64_t word) { (void)memory_->store64(Hpa(at), word); }
  void set_up(std::uint64_t kind);
  void step(Bytes& bytes);
  void finish();

 private:
  void write_register(Bytes& bytes);
  void post(Bytes& bytes);
  void access(Bytes& bytes);

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<GuestMemory> memory_;
  Silence silence_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::vector<std::unique_ptr<DmaPort>> ports_;
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

void Machine::write_register(Bytes& bytes) {
  static constexpr std::array<std::uint16_t, 32> kInteresting = {
      0x00,   0x04,   0x08,   0x0c,   0x10,   0x18,  0x1c,   0x20,   0x24,   0x28,   0x30,
      0x38,   0xe0,   0xe8,   0x170,  0x178,  0x180, 0x2000, 0x2008, 0x2010, 0x2018, 0x2020,
      0x2030, 0x2038, 0x2040, 0x2048, 0x2008, 0x18,  0x1c,   0x18,   0x2008, 0x1a0};
  const std::uint64_t which = bytes.take();
  const std::uint64_t at =
      which < 0xf0 ? kInteresting[which % kInteresting.size()] : bytes.take(2) % 0x4010;
  const unsigned size = (which & 1) != 0 ? 8 : (which & 2) != 0 ? 4 : unsigned(bytes.take() % 10);
  unit_->write_register(at, size, bytes.take(size < 5 ? 4 : 8));
  (void)unit_->read_register(at, size);
}

void Machine::post(Bytes& bytes) {
  const std::uint64_t opcode = bytes.take();
  put(kCommands + tail_, bytes.take(7) | (opcode & 0xf) << 60);
  put(kCommands + tail_ + 8, (opcode & 0x80) != 0 ? bytes.take(8) : bytes.take(1));
  tail_ = (tail_ + 16) % 0x1000;
  unit_->write_register(0x2008, 4, tail_);
}

void Machine::access(Bytes& bytes) {
  const std::uint64_t how = bytes.take();
  DmaPort& port = *ports_[how & 1];
  DmaAttributes attributes;
  if ((how & 2) != 0) attributes.pasid = Pasid{static_cast<std::uint32_t>(bytes.take(3)) & 0xfffff};
  attributes.privileged = (how & 4) != 0;
  attributes.execute = (how & 8) != 0;
  if ((how & 0x30) == 0x30) attributes.address_type = AddressType::kTranslated;
  std::uint64_t iova = bytes.take(2) * 64 % 0x10000;
  if ((how & 0xc0) == 0xc0) iova = 0xfee00000 + bytes.take(3) % 0x100000;
  if ((how & 0xc0) == 0x80) iova = bytes.take(8);
  std::array<std::byte, 4> data{std::byte(bytes.take()), std::byte(bytes.take())};
  if ((how & 0x40) != 0)
    (void)port.write(Iova(iova), data, attributes);
  else
    (void)port.read(Iova(iova), data, attributes);
  (void)port.peek(Iova(iova), Access::kRead);
}

void Machine::step(Bytes& bytes) {
  switch (bytes.take() % 8) {
    case 0:
    case 1:
      return write_register(bytes);
    case 2:
      put(bytes.take(2) * 8 % kRam, bytes.take(8));
      return;
    case 3:
      return post(bytes);
    case 4:
      return iommu_.poll();
    case 5:
      // Where the started program keeps its things, one word of each.
      put(kEntries + bytes.take(2) * 8 % 0xf000, bytes.take(8));
      return;
    default:
      return access(bytes);
  }
}

void Machine::finish() {
  require((unit_->read_register(0x2000, 8) & ~std::uint64_t{0x7fff0}) == 0, "no command head");
  require((unit_->read_register(0x2018, 8) & ~std::uint64_t{0x7fff0}) == 0, "no event tail");
  require(iommu_.reset().complete(), "a reset does not complete");
  require(unit_->read_register(0x18, 8) == 0, "Control after a reset");
  require(unit_->read_register(0x2020, 8) == 0, "Status after a reset");
}

}  // namespace
}  // namespace weir::amdvi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::amdvi;
  fuzz::Bytes bytes({data, size});
  const std::uint64_t head = bytes.take();
  static constexpr std::array kProfiles = {Profile::kFull, Profile::kV1, Profile::kV2,
                                           Profile::kV1Xt};
  fuzz::Machine machine(options_for(kProfiles[head >> 4 & 3]));
  if ((head & 8) == 0) machine.set_up(head & 7);
  for (int i = 0; i < 64 && !bytes.empty(); ++i) machine.step(bytes);
  machine.finish();
  return 0;
}
