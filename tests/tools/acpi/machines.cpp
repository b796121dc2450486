// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/acpi/machines.h"

#include "vendors/virtio_iommu/viot.h"

namespace weir::tools::acpi::test {
namespace {

using Kind = FunctionKind;
using Source = InterruptSource::Kind;

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}

}  // namespace

Topology pc() {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  t.add(UnitPlace{.name = "dmar0", .register_base = 0xfed90000});
  t.add({.name = "host", .devfn = slot(0)});
  t.add({.name = "disk", .devfn = slot(4), .wish = Wish::unit(0)});
  t.add({.name = "net", .devfn = slot(5)});
  const FunctionId port = t.add({.name = "port",
                                 .kind = Kind::kRootPort,
                                 .devfn = slot(0x1c, 1),
                                 .secondary = 1,
                                 .subordinate = 1});
  t.add({.name = "card", .kind = Kind::kEndpoint, .bridge = port, .wish = Wish::unit(0)});
  t.add(InterruptSource{
      .kind = Source::kIoApic, .id = 2, .as = Requester::from_bdf(0xff, 0, 0), .unit = 0});
  return t;
}

Topology server() {
  Topology t;
  t.add(RootBus{.name = "PCI0", .last_bus = 0x7f});
  t.add(RootBus{.name = "PCI1", .bus = 0x80});
  t.add(UnitPlace{.name = "all", .register_base = 0xfed91000, .takes_rest = true, .proximity = 0});
  t.add(UnitPlace{.name = "right", .register_base = 0xc0'0000'0000, .proximity = 1});
  const FunctionId usb = t.add({.name = "usb", .devfn = slot(0x14), .wish = Wish::unit(0)});
  const FunctionId port = t.add({.name = "port",
                                 .kind = Kind::kRootPort,
                                 .root = 1,
                                 .devfn = slot(1),
                                 .wish = Wish::unit(1),
                                 .secondary = 0x81,
                                 .subordinate = 0x81});
  t.add({.name = "disk",
         .kind = Kind::kEndpoint,
         .bridge = port,
         .wish = Wish::unit(1),
         .ats = true});
  t.add(InterruptSource{
      .kind = Source::kHpet, .id = 0, .as = Requester::from_bdf(0, 0xf, 0), .unit = 0});
  t.add(NamedDevice{
      .path = "\\_SB.I2C0", .as = Requester::from_bdf(0, 0x15, 0), .wish = Wish::unit(0)});
  t.add(ReservedRegion{.first = 0x7a000000, .last = 0x7a01ffff, .functions = {usb}});
  return t;
}

Topology system_on_chip() {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  t.add(UnitPlace{.name = "gfx", .register_base = 0xfed90000});
  t.add({.name = "gpu",
         .devfn = slot(2),
         .wish = Wish::unit(0),
         .ats = true,
         .integrated_properties = 0x10,
         .system_on_chip = true});
  return t;
}

Topology amd() {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  const FunctionId own = t.add({.name = "iommu", .devfn = slot(0, 2)});
  t.add(UnitPlace{.name = "amdvi", .register_base = 0xfed80000, .function = own});
  t.add({.name = "a", .devfn = slot(1), .wish = Wish::unit(0)});
  t.add({.name = "b", .devfn = slot(1, 1), .wish = Wish::unit(0)});
  t.add({.name = "net", .devfn = slot(3)});
  const FunctionId usb = t.add({.name = "usb", .devfn = slot(4), .wish = Wish::unit(0)});
  const FunctionId bridge = t.add({.name = "bridge",
                                   .kind = Kind::kPcieToPciBridge,
                                   .devfn = slot(5),
                                   .secondary = 2,
                                   .subordinate = 2});
  t.add({.name = "old",
         .kind = Kind::kConventional,
         .bridge = bridge,
         .devfn = slot(6),
         .wish = Wish::unit(0)});
  t.add(InterruptSource{
      .kind = Source::kIoApic, .id = 0x20, .as = Requester::from_bdf(0, 0x14, 0), .unit = 0});
  t.add(ReservedRegion{.first = 0x7132f000, .last = 0x71354fff, .functions = {usb}});
  return t;
}

Topology amd_with_named_device() {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  const FunctionId own = t.add({.name = "iommu", .devfn = slot(0, 2)});
  t.add(UnitPlace{.name = "amdvi", .register_base = 0xfed80000, .function = own});
  t.add({.name = "a", .devfn = slot(1), .wish = Wish::unit(0)});
  t.add(InterruptSource{
      .kind = Source::kIoApic, .id = 0x20, .as = Requester::from_bdf(0, 0x14, 0), .unit = 0});
  t.add(NamedDevice{.path = "\\_SB.FUR0",
                    .hid = "AMDI0020",
                    .uid = "\\_SB.FUR0",
                    .as = Requester::from_bdf(0, 0x14, 5),
                    .wish = Wish::unit(0)});
  return t;
}

Topology virtual_machine() {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  t.add(RootBus{.name = "PCI1", .segment = 1});
  const FunctionId own = t.add({.name = "viommu", .devfn = slot(1)});
  t.add(UnitPlace{.name = "pci",
                  .register_base = virtio_iommu::name_of_pci(Requester::from_bdf(0, 1, 0)),
                  .function = own});
  t.add(UnitPlace{.name = "mmio", .register_base = 0x9050000, .segment = 1});
  t.add({.name = "net", .devfn = slot(2)});
  t.add({.name = "a", .devfn = slot(3), .wish = Wish::unit(0)});
  t.add({.name = "b", .devfn = slot(3, 1), .wish = Wish::unit(0)});
  t.add({.name = "c", .root = 1, .devfn = slot(2), .wish = Wish::unit(1)});
  t.add(NamedDevice{.path = "\\_SB.VIO0", .mmio = 0xa000000, .wish = Wish::unit(1)});
  return t;
}

}  // namespace weir::tools::acpi::test
