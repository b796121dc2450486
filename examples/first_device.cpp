// SPDX-License-Identifier: Apache-2.0
//
// A machine of 1 MiB, one VT-d unit, one device. The README shows the same lines.
#include <cstdio>

#include "iommu/iommu.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

using namespace weir;

int main() {
  // The machine: memory, the firmware table that the guest reads, the unit it names, a device
  // behind it.
  alignas(4096) static std::byte ram[1 << 20];
  auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram));
  Iommu iommu({.memory = memory});
  constexpr std::uint64_t kRegisters = 0xfed90000;
  const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
  if (!iommu.use_tables(vtd::dmar_parser(), vtd::build_dmar(everything))) return 1;
  auto& unit = iommu.add_unit<vtd::Unit>(kRegisters, vtd::Options{});
  auto device = iommu.attach({.function = Requester::from_bdf(0, 4, 0)}).value();

  // What the guest's driver does: tables in its memory, then two commands to the unit.
  auto put = [&](std::uint64_t at, std::uint64_t word) { (void)memory->store64(Hpa(at), word); };
  put(0x1000, 0x2001);                                            // root: bus 0
  put(0x2200, 0x3001), put(0x2208, 0x102);                        // context: 00:04.0, domain 1
  put(0x3000, 0x4003), put(0x4000, 0x5003), put(0x5000, 0x6003);  // three levels of tables
  put(0x6080, 0x80003);                                           // page 10000h -> 80000h, R W
  unit.write_register(0x20, 8, 0x1000);                           // RTADDR
  unit.write_register(0x18, 4, 1u << 30);                         // GCMD: set root table pointer
  unit.write_register(0x18, 4, 1u << 31);                         // GCMD: translation enable

  // What the device does.
  const std::byte hello[] = {std::byte{'h'}, std::byte{'i'}};
  if (!device->write(Iova(0x10000), hello) || ram[0x80000] != hello[0]) return 1;
  const auto refused = device->write(Iova(0x20000), hello);  // a page that nobody mapped
  if (refused) return 1;

  // What the driver then reads: the fault record.
  const std::uint64_t records = (unit.read_register(0x08, 8) >> 24 & 0x3ff) * 16;  // CAP.FRO
  const auto address = unit.read_register(records, 8), what = unit.read_register(records + 8, 8);
  std::printf("device %04x, address %llx: reason %02x\n", unsigned(what & 0xffff),
              static_cast<unsigned long long>(address), unsigned(what >> 32 & 0xff));
  return (what & 0xffff) == 0x20 && address == 0x20000 && (what >> 32 & 0xff) == 5 ? 0 : 1;
}
