// SPDX-License-Identifier: Apache-2.0
//
// A hostile guest before a VT-d unit: a small program of register writes, edits of tables and
// queue, DMA, ATS and page requests and interrupt messages of two functions. Whatever it does,
// every call returns, memory outside RAM is never touched (sanitizers), and after a reset the unit
// is as new.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "iommu/iommu.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd::fuzz {
namespace {

constexpr std::uint64_t kRam = 64 * 4096, kBase = 0xfed90000;
// Where the program that every input starts from keeps its things.
constexpr std::uint64_t kRoot = 0x1000, kContexts = 0x2000, kDirectory = 0x3000, kPasids = 0x4000,
                        kFirst = 0x5000, kSecond = 0x9000, kQueue = 0x10000, kIrte = 0x12000,
                        kPages = 0x14000;

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
  std::fprintf(stderr, "vtd_fuzz: %s\n", what);
  std::abort();
}

struct Silence final : InterruptSink {
  void on_device_msi(Requester, Msi) override {}
  void on_unit_msi(UnitId, Msi) override {}
};

// A device-TLB that answers an invalidation at once or when the program says so, or never.
struct Device final : AtsDevice {
  explicit Device(DmaPort& to) : port(to) {}
  void on_invalidate(const AtsInvalidation& what) override {
    owed.push_back(what.id);
    if (prompt) catch_up();
  }
  void catch_up() {
    // A settled invalidation may send the next one before this returns.
    while (!owed.empty()) {
      const std::uint32_t id = owed.back();
      owed.pop_back();
      (void)port.acknowledge_invalidation(id);
    }
  }

  DmaPort& port;
  bool prompt = true;
  std::vector<std::uint32_t> owed;
};

class Machine {
 public:
  explicit Machine(const Options& options)
      : words_(std::make_unique<std::uint64_t[]>(kRam / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))))),
        iommu_(
            {.memory = memory_,
             .clock = &clock_,
             .sinks = {.interrupts = &silence_},
             .caches = {.entries = 64,
                        .walk = {.stage1_tables = 16, .stage2_tables = 16, .stage2_pages = 16}}}) {
    const Coverage everything{{{.register_base = kBase, .rest_of_segment = true}}};
    require(iommu_.use_tables(dmar_parser(), build_dmar(everything)).ok(), "the table is refused");
    unit_ = &iommu_.add_unit<Unit>(kBase, options);
    for (const std::uint16_t sid : {std::uint16_t{0x0010}, std::uint16_t{0x0090}})
      ports_.push_back(iommu_.attach({.function = Requester::from_sid(sid)}).value());
    for (const auto& port : ports_) {
      devices_.push_back(std::make_shared<Device>(*port));
      port->set_ats_device(devices_.back());
    }
  }

  void put(std::uint64_t at, std::uint64_t word) { (void)memory_->store64(Hpa(at), word); }
  void set_up(std::uint64_t kind);
  void step(Bytes& bytes);
  void finish();

 private:
  void write_register(Bytes& bytes);
  void edit(Bytes& bytes);
  void post(Bytes& bytes);
  void access(Bytes& bytes);
  void message(Bytes& bytes);
  void ats(Bytes& bytes);

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<GuestMemory> memory_;
  Silence silence_;
  ManualClock clock_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::vector<std::unique_ptr<DmaPort>> ports_;
  std::vector<std::shared_ptr<Device>> devices_;
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

void Machine::write_register(Bytes& bytes) {
  static constexpr std::array<std::uint16_t, 36> kInteresting = {
      0x18, 0x18, 0x20, 0x24, 0x28, 0x2c, 0x34, 0x38, 0x3c,  0x40,  0x44, 0x64,
      0x68, 0x70, 0x80, 0x88, 0x90, 0x9c, 0xa0, 0xa4, 0xa8,  0xac,  0xb0, 0xb8,
      0xc0, 0xc8, 0xd0, 0xdc, 0xe0, 0xf0, 0xf8, 0xfc, 0x22c, 0x228, 0x88, 0x18};
  const std::uint64_t which = bytes.take();
  const std::uint64_t at =
      which < 0xf0 ? kInteresting[which % kInteresting.size()] : bytes.take(2) % 0x2010;
  const unsigned size = (which & 1) != 0 ? 8 : (which & 2) != 0 ? 4 : unsigned(bytes.take() % 10);
  unit_->write_register(at, size, bytes.take(size < 5 ? 4 : 8));
  (void)unit_->read_register(at, size);
}

void Machine::edit(Bytes& bytes) {
  const std::uint64_t at = bytes.take(2) * 8 % kRam;
  const std::uint64_t word = bytes.take(8);
  put(at, word);
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
  std::array<std::byte, 4> data{};
  if ((how & 0x40) != 0)
    (void)port.write(Iova(iova), data, attributes);
  else
    (void)port.read(Iova(iova), data, attributes);
  (void)port.peek(Iova(iova), Access::kRead);
}

// An interrupt of one of the functions, as its write or as its host's question.
void Machine::message(Bytes& bytes) {
  const std::uint64_t how = bytes.take();
  DmaPort& port = *ports_[how & 1];
  const Msi msi{0xfee00000 | (bytes.take(3) & 0xffffc), static_cast<std::uint32_t>(bytes.take(2))};
  if ((how & 2) != 0) {
    (void)iommu_.resolve_msi(port.requester(), msi.address, msi.data);
    return;
  }
  const std::array data{std::byte(msi.data), std::byte(msi.data >> 8), std::byte(0), std::byte(0)};
  (void)port.write(Iova(msi.address), data);
}

// Translation requests, page requests, and the devices' side of invalidations.
void Machine::ats(Bytes& bytes) {
  const std::uint64_t how = bytes.take();
  DmaPort& port = *ports_[how & 1];
  Device& device = *devices_[how & 1];
  std::optional<Pasid> pasid;
  if ((how & 2) != 0)
    pasid = Pasid{static_cast<std::uint32_t>(bytes.take((how & 4) != 0 ? 3 : 1)) & 0xfffff};
  switch (how >> 3 & 3) {
    case 0:
    case 1: {
      const Iova iova((how & 0x20) != 0 ? bytes.take(8) : bytes.take(2) * 64 % 0x10000);
      const auto answer = port.request_translation(iova, {.pasid = pasid,
                                                          .no_write = (how & 8) != 0,
                                                          .privileged = (how & 0x40) != 0,
                                                          .execute = (how & 0x80) != 0});
      std::array<std::byte, 4> data{};
      if (answer.status == AtsStatus::kSuccess && answer.permissions.can_read())
        (void)port.read(Iova(answer.output.value()), data,
                        {.pasid = pasid, .address_type = AddressType::kTranslated});
      return;
    }
    case 2: {
      PageRequest request;
      const std::uint64_t bits = bytes.take();
      request.pasid = pasid;
      request.page = Iova(bytes.take((how & 0x20) != 0 ? 8 : 2) << 12);
      request.group = bytes.take(2) & 0x1ff;
      request.last = (bits & 1) != 0;
      request.read = (bits & 2) != 0;
      request.write = (bits & 4) != 0;
      request.execute = (bits & 8) != 0;
      request.privileged = (bits & 16) != 0;
      if ((bits & 32) != 0) {
        const std::uint64_t first = bytes.take(8), second = bytes.take(8);
        request.private_data = std::array{first, second};
      }
      return port.request_page(request);
    }
    default:
      device.prompt = (how & 0x20) != 0;
      if ((how & 0x40) != 0) device.catch_up();
      if ((how & 0x80) == 0) return;
      clock_.advance(std::chrono::hours(1));  // whoever is silent has been so for too long
      return iommu_.poll();
  }
}

void Machine::step(Bytes& bytes) {
  switch (bytes.take() % 10) {
    case 0:
    case 1:
      return write_register(bytes);
    case 2:
      return edit(bytes);
    case 3:
      return post(bytes);
    case 4:
      return iommu_.poll();
    case 5:
      // Where the started program keeps its things, one word of each.
      put(kRoot + (bytes.take(2) * 8) % 0xc000, bytes.take(8));
      return;
    case 6:
      return message(bytes);
    case 7:
      return ats(bytes);
    default:
      return access(bytes);
  }
}

void Machine::finish() {
  for (const auto& device : devices_) {
    device->prompt = true;
    device->catch_up();
  }
  require((unit_->read_register(0x80, 8) & ~std::uint64_t{0x7fff0}) == 0, "IQH is no head");
  require(iommu_.reset().complete(), "a reset does not complete");
  require(unit_->read_register(0x1c, 4) == 0, "GSTS after a reset");
  require((unit_->read_register(0x34, 4) & 0xff) == 0, "FSTS after a reset");
}

}  // namespace
}  // namespace weir::vtd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::vtd;
  fuzz::Bytes bytes({data, size});
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
