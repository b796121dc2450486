// SPDX-License-Identifier: Apache-2.0
//
// A machine behind a remapping unit with registers, and the hostile things that its guest and its
// two functions can do whatever the vendor: register writes, edits of memory, DMA, ATS and page
// requests, interrupt messages. What only one vendor has stands in vtd_fuzz.cpp and amdvi_fuzz.cpp.
#pragma once

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

namespace weir::fuzz {

// What the input has left; zeros after its end.
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

inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
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

template <typename Unit>
class RegisterMachine {
 public:
  static constexpr std::uint64_t kRam = 64 * 4096;

  // One unit over everything, and two functions with the given ids.
  template <typename Options>
  RegisterMachine(const TableParser& parser, std::span<const std::byte> table, std::uint64_t base,
                  const Options& options, std::array<std::uint16_t, 2> functions)
      : words_(std::make_unique<std::uint64_t[]>(kRam / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))))),
        iommu_(
            {.memory = memory_,
             .clock = &clock_,
             .sinks = {.interrupts = &silence_},
             .caches = {.entries = 64,
                        .walk = {.stage1_tables = 16, .stage2_tables = 16, .stage2_pages = 16}}}) {
    require(iommu_.use_tables(parser, table).ok(), "the table is refused");
    unit_ = &iommu_.template add_unit<Unit>(base, options);
    for (const std::uint16_t sid : functions)
      ports_.push_back(iommu_.attach({.function = Requester::from_sid(sid)}).value());
    for (const auto& port : ports_) {
      devices_.push_back(std::make_shared<Device>(*port));
      port->set_ats_device(devices_.back());
    }
  }

 protected:
  void put(std::uint64_t at, std::uint64_t word) { (void)memory_->store64(Hpa(at), word); }

  // Mostly one of the interesting registers, sometimes any offset below `most`.
  void write_register(Bytes& bytes, std::span<const std::uint16_t> interesting,
                      std::uint64_t most) {
    const std::uint64_t which = bytes.take();
    const std::uint64_t at =
        which < 0xf0 ? interesting[which % interesting.size()] : bytes.take(2) % most;
    const unsigned size = (which & 1) != 0 ? 8 : (which & 2) != 0 ? 4 : unsigned(bytes.take() % 10);
    unit_->write_register(at, size, bytes.take(size < 5 ? 4 : 8));
    (void)unit_->read_register(at, size);
  }

  // A word of `bytes_long` bytes from `first` on.
  void edit(Bytes& bytes, std::uint64_t first, std::uint64_t bytes_long) {
    const std::uint64_t at = first + bytes.take(2) * 8 % bytes_long;
    put(at, bytes.take(8));
  }

  void access(Bytes& bytes) {
    const std::uint64_t how = bytes.take();
    DmaPort& port = *ports_[how & 1];
    DmaAttributes attributes;
    if ((how & 2) != 0)
      attributes.pasid = Pasid{static_cast<std::uint32_t>(bytes.take(3)) & 0xfffff};
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

  // An interrupt of one of the functions, as its write or as its host's question.
  void message(Bytes& bytes) {
    const std::uint64_t how = bytes.take();
    DmaPort& port = *ports_[how & 1];
    const Msi msi{0xfee00000 | (bytes.take(3) & 0xffffc),
                  static_cast<std::uint32_t>(bytes.take(2))};
    if ((how & 2) != 0) {
      (void)iommu_.resolve_msi(port.requester(), msi.address, msi.data);
      return;
    }
    const std::array data{std::byte(msi.data), std::byte(msi.data >> 8), std::byte(0),
                          std::byte(0)};
    (void)port.write(Iova(msi.address), data);
  }

  // Translation requests, page requests, and the devices' side of invalidations.
  void ats(Bytes& bytes) {
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

  // Every device has answered what it was asked, and a reset completes.
  void settle_and_reset() {
    for (const auto& device : devices_) {
      device->prompt = true;
      device->catch_up();
    }
    require(iommu_.reset().complete(), "a reset does not complete");
  }

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<GuestMemory> memory_;
  Silence silence_;
  ManualClock clock_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::vector<std::unique_ptr<DmaPort>> ports_;
  std::vector<std::shared_ptr<Device>> devices_;
};

}  // namespace weir::fuzz
