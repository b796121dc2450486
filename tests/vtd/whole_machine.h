// SPDX-License-Identifier: Apache-2.0
//
// A whole machine behind one VT-d unit, and a guest's driver reduced to its register and queue
// sequences: one command bit per write of GCMD, then GSTS is read until it answers; descriptors of
// 128 or 256 bits as the unit asks, each followed by a wait whose status word is polled. A poll
// that does not end at once is a failure: nothing here is in flight when the driver waits.
//
// Registers, bits and entries are numbers, as a driver has them.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "iommu/iommu.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd::test {

struct SeenInterrupts final : InterruptSink {
  void on_device_msi(Requester, Msi msi) override {
    const std::lock_guard lock(mutex);
    of_devices.push_back(msi);
  }
  void on_unit_msi(UnitId, Msi msi) override {
    const std::lock_guard lock(mutex);
    of_unit.push_back(msi);
  }
  std::mutex mutex;
  std::vector<Msi> of_devices;
  std::vector<Msi> of_unit;
};

class WholeMachine {
 public:
  static constexpr std::uint64_t kRam = std::uint64_t{8} << 20;
  static constexpr std::uint64_t kBase = 0xfed90000;
  static constexpr std::uint32_t kTe = 1U << 31, kSrtp = 1U << 30, kQie = 1U << 26, kIre = 1U << 25,
                                 kSirtp = 1U << 24;

  explicit WholeMachine(const Options& options, const CacheOptions& caches = {},
                        const Clock* clock = nullptr, Recorder* recorder = nullptr)
      : words_(std::make_unique<std::uint64_t[]>(kRam / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))))),
        iommu_({.memory = memory_,
                .clock = clock,
                .sinks = {.interrupts = &interrupts},
                .caches = caches,
                .recorder = recorder}) {
    const Coverage everything{{{.register_base = kBase, .rest_of_segment = true}}};
    EXPECT_TRUE(iommu_.use_tables(dmar_parser(), build_dmar(everything)));
    unit_ = &iommu_.add_unit<Unit>(kBase, options);
  }

  [[nodiscard]] Iommu& iommu() { return iommu_; }
  [[nodiscard]] Unit& unit() { return *unit_; }
  [[nodiscard]] DmaPort& device(std::uint16_t sid) {
    auto& port = ports_[sid];
    if (port == nullptr) port = iommu_.attach({.function = Requester::from_sid(sid)}).value();
    return *port;
  }
  void put(std::uint64_t at, std::uint64_t word) { (void)memory_->store64(Hpa(at), word); }
  [[nodiscard]] std::uint64_t get(std::uint64_t at) const { return *memory_->load64(Hpa(at)); }
  // A page of zeros that nobody has yet.
  [[nodiscard]] std::uint64_t page() { return next_page_ += 0x1000; }

  [[nodiscard]] std::uint32_t readl(std::uint64_t at) {
    return static_cast<std::uint32_t>(unit_->read_register(at, 4));
  }
  [[nodiscard]] std::uint64_t readq(std::uint64_t at) { return unit_->read_register(at, 8); }
  void writel(std::uint64_t at, std::uint32_t value) { unit_->write_register(at, 4, value); }
  void writeq(std::uint64_t at, std::uint64_t value) { unit_->write_register(at, 8, value); }

  [[nodiscard]] bool has_cap(unsigned bit) { return (readq(0x08) >> bit & 1) != 0; }
  [[nodiscard]] bool has_ecap(unsigned bit) { return (readq(0x10) >> bit & 1) != 0; }
  [[nodiscard]] bool is_scalable() { return has_ecap(43); }

  // One bit of GCMD on top of what is in force; one-shot bits are not kept.
  void command(std::uint32_t bit, bool on = true) {
    const bool once = bit == kSrtp || bit == kSirtp;
    const std::uint32_t value = on ? in_force_ | bit : in_force_ & ~bit;
    if (!once) in_force_ = value;
    writel(0x18, value);
    EXPECT_EQ((readl(0x1c) & bit) != 0, on) << "GSTS does not answer " << std::hex << bit;
  }
  void start_queue() {
    wide_ = is_scalable();
    if (queue_ == 0) {
      queue_ = page();
      (void)page();
      status_ = page();
    }
    writel(0x88, 0);
    writeq(0x90, queue_ | (wide_ ? 0x801U : 0));  // DW, QS 1: 256 descriptors either way
    tail_ = 0;
    command(kQie);
  }
  // One descriptor and a wait behind it, nothing expected. Gives the status word.
  std::uint64_t post_unwaited(std::uint64_t low, std::uint64_t high) {
    place(low, high);
    ++serial_;
    place(0x25 | std::uint64_t{serial_} << 32, status_);
    writel(0x88, tail_);
    return wait_status();
  }
  [[nodiscard]] std::uint64_t wait_status() const { return get(status_) & 0xffffffff; }
  [[nodiscard]] std::uint64_t wait_serial() const { return serial_; }
  // One descriptor and a wait behind it.
  void submit(std::uint64_t low, std::uint64_t high = 0) {
    EXPECT_EQ(post_unwaited(low, high), serial_) << "a wait that would time out";
    EXPECT_EQ(readl(0x34) & 0x70, 0U) << "IQE, ICE or ITE";
    EXPECT_EQ(readq(0x80), tail_);
  }
  void flush_contexts() { submit(0x11); }
  void flush_context(std::uint16_t sid, std::uint16_t did) {
    submit(0x31 | std::uint64_t{did} << 16 | std::uint64_t{sid} << 32);
  }
  void flush_iotlb() { submit(0xd2); }
  void flush_domain(std::uint16_t did) { submit(0xe2 | std::uint64_t{did} << 16); }
  void flush_pages(std::uint16_t did, std::uint64_t address, unsigned order, bool leaf = false) {
    submit(0xf2 | std::uint64_t{did} << 16, address | order | (leaf ? 0x40U : 0));
  }
  void flush_pasids() { submit(0x37); }
  void flush_pasid(std::uint16_t did, std::uint32_t pasid) {
    submit(0x17 | std::uint64_t{did} << 16 | std::uint64_t{pasid} << 32);
  }
  void flush_first_stage(std::uint16_t did, std::uint32_t pasid) {
    submit(0x26 | std::uint64_t{did} << 16 | std::uint64_t{pasid} << 32);
  }
  void flush_first_stage(std::uint16_t did, std::uint32_t pasid, std::uint64_t address,
                         unsigned order) {
    submit(0x36 | std::uint64_t{did} << 16 | std::uint64_t{pasid} << 32, address | order);
  }
  void flush_interrupts() { submit(0x04); }
  void flush_interrupt(std::uint16_t index) { submit(0x14 | std::uint64_t{index} << 32); }

  // The tables' entry for `iova`, made on the way; `table_bits` for tables.
  [[nodiscard]] std::uint64_t entry_for(std::uint64_t root, unsigned levels, std::uint64_t iova,
                                        std::uint64_t table_bits) {
    std::uint64_t table = root;
    for (unsigned level = levels; level > 1; --level) {
      const std::uint64_t at = table + (iova >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
      if (get(at) == 0) put(at, page() | table_bits);
      table = get(at) & 0xffffffffff000;
    }
    return table + (iova >> 12 & 0x1ff) * 8;
  }

  // Four bytes through the unit: the page-sized answer, or the fault's code.
  [[nodiscard]] unsigned write_code(std::uint16_t sid, std::uint64_t iova,
                                    const DmaAttributes& attributes = kPlainDma) {
    const std::array<std::byte, 4> data{std::byte{0x5a}};
    const auto done = device(sid).write(Iova(iova), data, attributes);
    return done ? 0U : done.error().code == 0 ? ~0U : done.error().code;
  }
  [[nodiscard]] unsigned read_code(std::uint16_t sid, std::uint64_t iova,
                                   const DmaAttributes& attributes = kPlainDma) {
    std::array<std::byte, 4> data{};
    const auto done = device(sid).read(Iova(iova), data, attributes);
    return done ? 0U : done.error().code == 0 ? ~0U : done.error().code;
  }

  // The fault handler: records from FRI on, at +12, +8 and +0, cleared by bit 31 at +12.
  struct Record {
    std::uint16_t source = 0;
    std::uint8_t reason = 0;
    std::uint64_t address = 0;
  };
  [[nodiscard]] std::vector<Record> take_faults() {
    std::vector<Record> result = take_faults_loosely();
    EXPECT_EQ(readl(0x34) & 3, 0U);
    return result;
  }
  // The same while devices go on faulting.
  [[nodiscard]] std::vector<Record> take_faults_loosely() {
    std::vector<Record> result;
    const std::uint64_t cap = readq(0x08);
    const std::uint64_t base = (cap >> 24 & 0x3ff) * 16, count = (cap >> 40 & 0xff) + 1;
    std::uint64_t index = readl(0x34) >> 8 & 0xff;
    while ((readl(base + index * 16 + 12) >> 31) != 0) {
      const std::uint32_t third = readl(base + index * 16 + 12);
      const std::uint32_t second = readl(base + index * 16 + 8);
      const std::uint64_t address = readq(base + index * 16);
      writel(base + index * 16 + 12, 1U << 31);
      result.push_back(
          {static_cast<std::uint16_t>(second), static_cast<std::uint8_t>(third), address});
      index = (index + 1) % count;
    }
    writel(0x34, 0x83);  // PFO, PPF, PRO, as the driver does
    return result;
  }

  SeenInterrupts interrupts;

 private:
  void place(std::uint64_t low, std::uint64_t high) {
    const std::uint32_t size = wide_ ? 32 : 16;
    put(queue_ + tail_, low);
    put(queue_ + tail_ + 8, high);
    if (wide_) put(queue_ + tail_ + 16, 0), put(queue_ + tail_ + 24, 0);
    tail_ = (tail_ + size) % (wide_ ? 0x2000 : 0x1000);
  }

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<GuestMemory> memory_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::map<std::uint16_t, std::unique_ptr<DmaPort>> ports_;
  std::uint64_t next_page_ = 0x100000;
  std::uint32_t in_force_ = 0;
  std::uint64_t queue_ = 0, status_ = 0;
  std::uint32_t tail_ = 0, serial_ = 0;
  bool wide_ = false;
};

}  // namespace weir::vtd::test
