// SPDX-License-Identifier: Apache-2.0
//
// Every reason for which a builder refuses, in its smallest example: the one line names both sides
// and says what to do, and doing that helps. truth_test.cpp shows of the same reasons that no bytes
// could say what was wished, and that there are no others.
#include <gtest/gtest.h>

#include <functional>

#include "tests/truth/truth.h"
#include "vendors/virtio_iommu/viot.h"

namespace weir::truth {
namespace {

using Kind = FunctionKind;
using Source = InterruptSource::Kind;

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}
const Wish kUnit = Wish::unit(0);

// Two segments, a unit "iommu" in the first that every format can name.
[[nodiscard]] Topology small(Format format) {
  Topology t;
  t.add(RootBus{.name = "PCI0"});
  t.add(RootBus{.name = "PCI1", .segment = 1});
  UnitPlace unit{.name = "iommu", .register_base = 0xfed90000};
  if (format == Format::kIvrs) unit.function = t.add(Function{.name = "self", .devfn = slot(0, 2)});
  t.add(std::move(unit));
  return t;
}

struct Refusal {
  const char* name;
  Format format;
  // `mended`: as the refusal says that it should be.
  std::function<void(Topology&, bool mended)> machine;
  std::vector<const char*> said;  // one side, the other, the way out
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

void below_one_bridge(Topology& t, bool mended) {
  const FunctionId bridge = t.add({.kind = Kind::kPcieToPciBridge,
                                   .devfn = slot(6),
                                   .wish = kUnit,
                                   .secondary = 3,
                                   .subordinate = 3});
  t.add({.name = "sound",
         .kind = Kind::kConventional,
         .bridge = bridge,
         .devfn = slot(1),
         .wish = kUnit});
  t.add({.name = "video",
         .kind = Kind::kConventional,
         .bridge = bridge,
         .devfn = slot(2),
         .wish = mended ? kUnit : Wish::bypass()});
}
void away(Topology& t, bool mended) {
  if (mended) t.add(UnitPlace{.name = "other", .register_base = 0xfed91000, .segment = 1});
  t.add({.name = "net", .root = 1, .devfn = slot(4), .wish = mended ? Wish::unit(1) : kUnit});
}
void rest_that_bypasses(Topology& t, bool mended) {
  t.add(UnitPlace{.name = "all", .register_base = 0xfed91000, .takes_rest = !mended});
  t.add({.name = "net", .devfn = slot(4)});
}
void region_away(Topology& t, bool mended) {
  const FunctionId net = t.add({.name = "net", .root = 1, .devfn = slot(4)});
  t.add(ReservedRegion{.segment = static_cast<std::uint16_t>(mended ? 1 : 0),
                       .first = 0x1000,
                       .last = 0x1fff,
                       .functions = {net}});
}
void part_of_a_page(Topology& t, bool mended) {
  const FunctionId net = t.add({.name = "net", .devfn = slot(4)});
  t.add(ReservedRegion{.first = 0x1000, .last = mended ? 0x1fffU : 0x1ff0U, .functions = {net}});
}
[[nodiscard]] NamedDevice device(const char* path, const char* uid, unsigned number, Wish wish) {
  return {.path = path,
          .hid = "WEIR0001",
          .uid = uid,
          .as = Requester::from_bdf(0, number, 0),
          .mmio = 0x9000000 + static_cast<unsigned char>(path[1]) * 0x1000U,
          .wish = wish};
}

const Refusal kRefusals[] = {
    {"OneNumberTwoWishes",
     Format::kDmar,
     below_one_bridge,
     {"video (03:02.0) wishes to bypass", "sound (03:01.0) wishes to be behind unit iommu",
      "both bear 03:00.0: give them one wish"}},
    {"TwoDevicesOneNumber",
     Format::kDmar,
     [](Topology& t, bool mended) {
       t.add(device("\\A", "0", 0x15, kUnit));
       t.add(device("\\B", "1", mended ? 0x16 : 0x15, Wish::bypass()));
     },
     {"\\B wishes to bypass", "\\A wishes to be behind unit iommu",
      "or one of them another number"}},
    {"TwoIoApicsOneNumber",
     Format::kDmar,
     [](Topology& t, bool mended) {
       t.add(InterruptSource{.id = 1, .as = Requester::from_bdf(0xf0, 0, 0), .unit = 0});
       t.add(InterruptSource{.id = 2, .as = Requester::from_bdf(0xf0, 0, mended ? 1 : 0)});
     },
     {"I/O APIC 2 wishes to bypass", "I/O APIC 1 wishes to be behind unit iommu",
      "or one of them another number"}},
    {"BehindItself",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       const FunctionId own = t.add(
           {.name = "own", .devfn = slot(4), .wish = mended ? Wish::bypass() : Wish::unit(1)});
       t.add(UnitPlace{.name = "second", .register_base = 0xfed91000, .function = own});
     },
     {"own (00:04.0) is unit second (fed91000h) itself", "wishes to be behind unit second",
      "let it bypass"}},
    {"TwoRests",
     Format::kDmar,
     [](Topology& t, bool mended) {
       t.add(UnitPlace{.name = "one", .register_base = 0xfed91000, .takes_rest = true});
       t.add(UnitPlace{.name = "two", .register_base = 0xfed92000, .takes_rest = !mended});
     },
     {"unit one (fed91000h)", "unit two (fed92000h)", "give one of them explicit scopes"}},
    {"TheRestBypassesInADmar",
     Format::kDmar,
     rest_that_bypasses,
     {"net (00:04.0) wishes to bypass", "unit all (fed91000h) takes the rest",
      "give that unit explicit scopes"}},
    {"TheRestBypassesInAViot",
     Format::kViot,
     rest_that_bypasses,
     {"net (00:04.0) wishes to bypass", "unit all (fed91000h) takes the rest",
      "give that unit explicit scopes"}},
    {"AnotherSegmentInADmar",
     Format::kDmar,
     away,
     {"net (0001:00:04.0)", "unit iommu (fed90000h)", "give the other segment a unit of its own"}},
    {"ADeviceOfAnotherSegment",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       NamedDevice made = device("\\A", "0", 0x15, kUnit);
       made.as.segment = mended ? 0 : 1;
       t.add(std::move(made));
     },
     {"\\A is in another segment", "unit iommu (fed90000h)",
      "give the other segment a unit of its own"}},
    {"AnIoApicOfAnotherSegment",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       t.add(InterruptSource{
           .id = 1, .as = Requester::from_bdf(0xf0, 0, 0, mended ? 0 : 1), .unit = 0});
     },
     {"interrupt source 0001:f0:00.0", "unit iommu (fed90000h)",
      "give the other segment a unit of its own"}},
    {"AVirtualFunctionOfItsOwnMind",
     Format::kDmar,
     [](Topology& t, bool mended) {
       const FunctionId card = t.add({.name = "card", .devfn = slot(4), .wish = kUnit});
       t.add({.name = "vf",
              .devfn = slot(0x14),
              .wish = mended ? kUnit : Wish::bypass(),
              .physical = card});
     },
     {"vf (00:14.0) is a virtual function", "card (00:04.0)", "give them one wish"}},
    {"BelowABridge",
     Format::kDmar,
     [](Topology& t, bool mended) {
       const FunctionId port = t.add({.name = "port",
                                      .kind = Kind::kRootPort,
                                      .devfn = slot(4),
                                      .wish = mended ? Wish::bypass() : kUnit,
                                      .secondary = 3,
                                      .subordinate = 3});
       t.add({.name = "card", .kind = Kind::kEndpoint, .bridge = port});
       t.add({.name = "disk",
              .kind = Kind::kEndpoint,
              .bridge = port,
              .devfn = slot(1),
              .wish = kUnit});
     },
     {"port (00:04.0) wishes to be behind unit iommu", "card (03:00.0) below it wishes otherwise",
      "let the bridge bypass"}},
    {"ABridgeOrNone",
     Format::kDmar,
     [](Topology& t, bool mended) {
       t.add({.name = "card", .devfn = slot(4), .wish = mended ? Wish::bypass() : kUnit});
       t.add({.name = "dock",
              .kind = Kind::kRootPort,
              .devfn = slot(4),
              .present = false,
              .wish = mended ? Wish::bypass() : kUnit,
              .secondary = 3,
              .subordinate = 3});
     },
     {"card (00:04.0)", "dock (00:04.0)", "let both bypass, or declare one"}},
    {"MoreDevicesThanADmarNumbers",
     Format::kDmar,
     [](Topology& t, bool mended) {
       for (unsigned i = 0; i < 256; ++i)
         t.add(NamedDevice{.path = "\\D" + std::to_string(i),
                           .as = Requester::from_sid(static_cast<std::uint16_t>(0x9000 + i)),
                           .wish = mended && i == 0 ? Wish::bypass() : kUnit});
     },
     {"more than 255 devices of ACPI", "a DMAR numbers no more", "let the others bypass"}},
    {"ARegionForNobody",
     Format::kDmar,
     [](Topology& t, bool mended) {
       ReservedRegion region{.first = 0x1000, .last = 0x1fff};
       if (mended) region.functions.push_back(t.add({.name = "net", .devfn = slot(4)}));
       t.add(std::move(region));
     },
     {"a reserved region of a DMAR names its devices", "list the functions"}},
    {"AnExclusionInADmar",
     Format::kDmar,
     [](Topology& t, bool mended) {
       const FunctionId net = t.add({.name = "net", .devfn = slot(4)});
       t.add(ReservedRegion{
           .first = 0x1000, .last = 0x1fff, .functions = {net}, .exclusion = !mended});
     },
     {"a reserved region of a DMAR is readable and writable and mapped one to one"}},
    {"PartOfAPageInADmar",
     Format::kDmar,
     part_of_a_page,
     {"of a DMAR consists of whole pages", "widen it"}},
    {"PartOfAPageInAnIvrs",
     Format::kIvrs,
     part_of_a_page,
     {"of an IVRS consists of whole pages", "widen it"}},
    {"ARegionOfAnotherSegmentInADmar",
     Format::kDmar,
     region_away,
     {"net (0001:00:04.0)", "segment 0", "give the other segment a region of its own"}},
    {"ARegionOfAnotherSegmentInAnIvrs",
     Format::kIvrs,
     region_away,
     {"net (0001:00:04.0)", "segment 0", "give the other segment a region of its own"}},
    {"AUnitThatIsNoFunction",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       UnitPlace unit{.name = "second", .register_base = 0xfed91000};
       if (mended) unit.function = t.add({.devfn = slot(5)});
       t.add(std::move(unit));
     },
     {"unit second (fed91000h) is no function", "an IVRS names units by theirs", "add one"}},
    {"AUnitElsewhereThanItsFunction",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       const FunctionId own = t.add({.name = "own", .root = 1, .devfn = slot(5)});
       t.add(UnitPlace{.name = "second",
                       .register_base = 0xfed91000,
                       .segment = static_cast<std::uint16_t>(mended ? 1 : 0),
                       .function = own});
     },
     {"unit second (fed91000h) serves segment 0", "own (0001:00:05.0)",
      "give that segment a unit of its own"}},
    {"NoHardwareId",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       NamedDevice made = device("\\A", "0", 0x15, kUnit);
       if (!mended) made.hid.clear();
       t.add(std::move(made));
     },
     {"\\A needs a hardware id of 1 to 8 characters", "give it both"}},
    {"IdsThatAreAnothersToo",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       t.add(device("\\A", mended ? "0" : "", 0x15, kUnit));
       t.add(device("\\B", "1", 0x16, Wish::bypass()));
     },
     {"\\A and \\B have the hardware id WEIR0001", "\\A no unique id",
      "give each a unique id of its own"}},
    {"OneSlotTwoAliases",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       t.add({.name = "card", .devfn = slot(4), .wish = kUnit});
       t.add({.name = "odd",
              .devfn = slot(4),
              .present = false,
              .wish = kUnit,
              .alias = static_cast<std::uint16_t>(mended ? 0x20 : 0x27)});
     },
     {"card (00:04.0)", "odd (00:04.0)", "00:04.0 and 00:04.7", "declare one"}},
    {"AnIoApicWithTheNumberOfAFunction",
     Format::kIvrs,
     [](Topology& t, bool mended) {
       t.add({.name = "smbus", .devfn = slot(0x14), .wish = mended ? kUnit : Wish::bypass()});
       t.add(InterruptSource{.id = 0x20, .as = Requester::from_bdf(0, 0x14, 0), .unit = 0});
     },
     {"I/O APIC 32 wishes to be behind unit iommu", "smbus (00:14.0) wishes to bypass",
      "give them one wish, or one of them another number"}},
    {"ANumberThatIsAnothersToo",
     Format::kViot,
     [](Topology& t, bool mended) {
       t.add({.name = "one",
              .devfn = slot(4),
              .alias = static_cast<std::uint16_t>(mended ? 0x2f : 0x21)});
       t.add({.name = "two", .devfn = slot(4, 1), .wish = kUnit, .alias = 0x27});
     },
     {"two (00:04.1) wishes to be behind unit iommu", "one (00:04.0) wishes to bypass",
      "means both by 00:04.1"}},
    {"AUnitByAnotherName",
     Format::kViot,
     [](Topology& t, bool mended) {
       const FunctionId own = t.add({.name = "own", .devfn = slot(5)});
       t.add(UnitPlace{
           .name = "second",
           .register_base = mended ? virtio_iommu::name_of_pci(t.number(own)) : 0xfed91000,
           .function = own});
     },
     {"unit second (fed91000h) has to be named by its PCI function", "name_of_pci"}},
    {"NoRegisterAddress",
     Format::kViot,
     [](Topology& t, bool mended) {
       NamedDevice made = device("\\A", "0", 0x15, kUnit);
       if (!mended) made.mmio.reset();
       t.add(std::move(made));
     },
     {"\\A has no register address", "give it one (mmio)"}},
    {"InterruptsBehindAVirtioIommu",
     Format::kViot,
     [](Topology& t, bool mended) {
       InterruptSource source{.id = 2, .as = Requester::from_bdf(0xf0, 0, 0)};
       if (!mended) source.unit = 0;
       t.add(source);
     },
     {"interrupt source f0:00.0 wishes to be behind unit iommu",
      "a virtio-iommu remaps no interrupts", "list it under no unit"}},
    {"MoreNodesThanAViotHolds",
     Format::kViot,
     [](Topology& t, bool mended) {
       for (unsigned i = 0; i < 1001; ++i)
         t.add({.root = 1,
                .devfn = 0,
                .present = false,
                .wish = kUnit,
                .alias = static_cast<std::uint16_t>(mended ? i : 2 * i)});
     },
     {"more than 1000 nodes", "number functions behind a unit in a row"}},
};

class Refuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refuses, WithBothSidesAndTheWayOut) {
  const Refusal& refusal = GetParam();
  Topology machine = small(refusal.format), mended = small(refusal.format);
  refusal.machine(machine, false);
  ASSERT_TRUE(machine.check()) << machine.check().error();
  const auto bytes = build(machine, refusal.format);
  ASSERT_FALSE(bytes);
  for (const char* const part : refusal.said)
    EXPECT_NE(bytes.error().find(part), std::string::npos) << bytes.error() << "\nlacks: " << part;
  EXPECT_EQ(bytes.error().find('\n'), std::string::npos);
  refusal.machine(mended, true);
  const auto helped = build(mended, refusal.format);
  ASSERT_TRUE(helped) << helped.error();
  EXPECT_EQ(untruth(mended, refusal.format, *helped), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Each, Refuses, ::testing::ValuesIn(kRefusals),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace weir::truth
