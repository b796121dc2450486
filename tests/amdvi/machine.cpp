// SPDX-License-Identifier: Apache-2.0
#include "tests/amdvi/machine.h"

#include <sys/mman.h>

#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint64_t kUnitBase = 0xfed80000;

}  // namespace

Machine::Machine(const Options& options, const CacheOptions& caches) {
  void* mapped = mmap(nullptr, kRamBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  EXPECT_NE(mapped, MAP_FAILED);
  ram_ = static_cast<std::byte*>(mapped);
  memory_ = std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::span<std::byte>(ram_, kRamBytes)));
  iommu = std::make_unique<Iommu>(IommuConfig{
      .memory = memory_,
      .clock = &clock,
      .sinks = {.interrupts = &sinks, .faults = &sinks, .dirty = &sinks, .pins = &sinks},
      .caches = caches});
  const Coverage everything{{{.register_base = kUnitBase, .rest_of_segment = true}}};
  const auto table = build_ivrs(everything, {.unit = options});
  EXPECT_TRUE(table && iommu->use_tables(ivrs_parser(), *table));
  unit = &iommu->add_unit<Unit>(kUnitBase, options);
}

Machine::~Machine() {
  ports_.clear();
  iommu.reset();
  munmap(ram_, kRamBytes);
}

void Machine::store(std::uint64_t at, std::uint64_t word) {
  EXPECT_TRUE(memory_->store64(Hpa(at), word));
}
std::uint64_t Machine::load(std::uint64_t at) const { return *memory_->load64(Hpa(at)); }

void Machine::start(std::uint64_t control) {
  write(kDevTab, kDeviceTable | 0x1ff);
  write(kCmdBase, kRing | kLength256);
  write(kEvtBase, kLog | kLength256);
  write(kPprBase, kPprLogAt | kLength256);
  write(kGaBase, kGaLogAt | kLength256);
  for (const std::uint64_t pointer :
       {kCmdHead, kCmdTail, kEvtHead, kEvtTail, kPprHead, kPprTail, kGaHead, kGaTail})
    write(pointer, 0, 4);
  tail_ = 0;
  write(kCtrl, control);
}

void Machine::set_entry(std::uint16_t bdf, std::uint64_t q0, std::uint64_t q1, std::uint64_t q2,
                        std::uint64_t q3) {
  const std::uint64_t at = kDeviceTable + bdf * 32U;
  store(at + 24, q3), store(at + 16, q2), store(at + 8, q1), store(at, q0);
}

void Machine::post(std::uint64_t low, std::uint64_t high) {
  store(kRing + tail_, low);
  store(kRing + tail_ + 8, high);
  tail_ = (tail_ + 16) % 4096;
  write(kCmdTail, tail_, 4);
}

bool Machine::wait() {
  post(std::uint64_t{1} << 60 | kSemaphore | 1, ++sequence_);
  return completed();
}

std::vector<Event> Machine::events() {
  std::vector<Event> result;
  const std::uint64_t tail = read(kEvtTail, 4);
  std::uint64_t head = read(kEvtHead, 4);
  for (; head != tail; head = (head + 16) % 4096)
    result.push_back({load(kLog + head), load(kLog + head + 8)});
  write(kEvtHead, head, 4);
  return result;
}

DmaPort& Machine::port(std::uint16_t bdf) {
  auto& port = ports_[bdf];
  if (!port) port = iommu->attach({.function = Requester::from_sid(bdf)}).value();
  return *port;
}

std::optional<std::uint64_t> Machine::dma(std::uint64_t iova, Access access, std::uint16_t bdf,
                                          const DmaAttributes& attributes) {
  const auto found = port(bdf).translate(Iova(iova), 4, access, attributes);
  if (!found) return std::nullopt;
  return found->gpa.value();
}

}  // namespace weir::amdvi::test
