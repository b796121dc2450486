// SPDX-License-Identifier: Apache-2.0
//
// The device tree as a source of routes, over a tree laid out here token by token (Devicetree
// Specification 0.4, chapter 5): maps of host bridges, masks, units on PCI and in memory, devices
// that name a unit; and trees that lie.
#include "vendors/virtio_iommu/device_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "vendors/virtio_iommu/viot.h"

namespace weir::virtio_iommu::test {
namespace {

using Bytes = std::vector<std::byte>;

// A tree as it is written: big-endian words, names in a block of their own.
class Tree {
 public:
  Tree& begin(const std::string& name) {
    word(1);
    text(name);
    return *this;
  }
  Tree& end() {
    word(2);
    return *this;
  }
  Tree& cells(const std::string& name, const std::vector<std::uint32_t>& values) {
    property(name, values.size() * 4);
    for (const std::uint32_t value : values) word(value);
    return *this;
  }
  Tree& string(const std::string& name, const std::string& value) {
    property(name, value.size() + 1);
    text(value);
    return *this;
  }
  [[nodiscard]] Bytes done() {
    word(9);
    Bytes tree;
    const auto put = [&tree](std::uint32_t value) { append(tree, value); };
    const auto body = static_cast<std::uint32_t>(body_.size());
    const auto names = static_cast<std::uint32_t>(names_.size());
    // magic, total, structure, strings, reservations, version, compatible, cpu, sizes
    for (const std::uint32_t value : {0xd00dfeedU, 56 + body + names, 56U, 56 + body, 40U, 17U, 16U,
                                      0U, names, body, 0U, 0U, 0U, 0U})
      put(value);
    tree.insert(tree.end(), body_.begin(), body_.end());
    for (const char c : names_) tree.push_back(static_cast<std::byte>(c));
    return tree;
  }

 private:
  static void append(Bytes& bytes, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<std::byte>(value >> shift));
  }
  void word(std::uint32_t value) { append(body_, value); }
  void text(const std::string& text) {
    for (const char c : text) body_.push_back(static_cast<std::byte>(c));
    do body_.push_back(std::byte{0});
    while (body_.size() % 4 != 0);
  }
  void property(const std::string& name, std::size_t bytes) {
    word(3);
    word(static_cast<std::uint32_t>(bytes));
    word(static_cast<std::uint32_t>(names_.size()));
    names_ += name + '\0';
  }

  Bytes body_;
  std::string names_;
};

// virtio 1.4, 5.13.1: a unit in memory (phandle 1), one at 00:01.0 of segment 2 (phandle 2), a host
// bridge that leaves 01:00.0 to 01:1f.7 out, and a device in memory.
[[nodiscard]] Tree tree() {
  Tree t;
  t.begin("").cells("#address-cells", {2}).cells("#size-cells", {2});
  t.begin("viommu@9050000").cells("reg", {0, 0x9050000, 0, 0x200}).cells("phandle", {1});
  t.string("compatible", "virtio,mmio").cells("#iommu-cells", {1}).end();
  t.begin("pcie@10000000").string("device_type", "pci").cells("linux,pci-domain", {2});
  t.cells("#address-cells", {3});
  t.cells("iommu-map", {0x0, 1, 0, 0x8, 0x9, 2, 0x9, 0xf7, 0x200, 1, 0x200, 0xfe00});
  t.begin("iommu@1,0").cells("reg", {0x800, 0, 0, 0, 0}).cells("phandle", {2}).end();
  t.end();
  t.begin("net@a000000").cells("reg", {0, 0xa000000, 0, 0x200}).cells("iommus", {1, 0x10000}).end();
  t.end();
  return t;
}

TEST(DeviceTree, WhoIsBehindWhichUnit) {
  const auto read = device_tree_parser().parse(tree().done());
  ASSERT_TRUE(read) << read.error().cause;
  const std::uint64_t pci = name_of_pci(Requester::from_bdf(0, 1, 0, 2));
  std::map<std::pair<std::uint64_t, unsigned>, const UnitCoverage*> units;
  for (const UnitCoverage& unit : read->units) units[{unit.register_base, unit.segment}] = &unit;
  ASSERT_EQ(units.size(), 3U);
  EXPECT_EQ((units[{0x9050000, 2}]->functions),
            (std::vector<FunctionRange>{{0, 7}, {0x200, 0xffff}}));
  EXPECT_EQ((units[{pci, 2}]->functions), (std::vector<FunctionRange>{{9, 0xff}}));
  EXPECT_EQ((units[{0x9050000, 0}]->mmio_devices), std::vector<std::uint64_t>{0xa000000});
  const auto behind = [&](unsigned bus, unsigned device) {
    const auto found = covering(*read, {.function = Requester::from_bdf(bus, device, 0, 2)});
    return found && *found != nullptr ? (*found)->register_base : 0;
  };
  EXPECT_EQ(behind(0, 0), 0x9050000U);
  EXPECT_EQ(behind(0, 1), 0U) << "the unit itself";
  EXPECT_EQ(behind(0, 2), pci);
  EXPECT_EQ(behind(1, 0), 0U) << "left out";
  EXPECT_EQ(behind(2, 0), 0x9050000U);
}

// pci-iommu.txt: functions are looked up under the mask.
TEST(DeviceTree, MasksMergeFunctions) {
  Tree t;
  t.begin("").cells("#address-cells", {1});
  t.begin("iommu").cells("reg", {0x1000}).cells("phandle", {1}).end();
  t.begin("pci").string("device_type", "pci").cells("iommu-map-mask", {0xfff8});
  t.cells("iommu-map", {0x10, 1, 0x10, 1}).end().end();
  const auto read = device_tree_parser().parse(t.done());
  ASSERT_TRUE(read) << read.error().cause;
  EXPECT_EQ(read->units.at(0).register_base, 0x1000U);
  EXPECT_EQ(read->units.at(0).functions, (std::vector<FunctionRange>{{0x10, 0x17}}));
}

TEST(DeviceTree, LiesAreRefused) {
  const auto refused = [](const Bytes& bytes) { return !device_tree_parser().parse(bytes); };
  const Bytes good = tree().done();
  EXPECT_FALSE(refused(good));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_TRUE(refused(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))));
  Tree nobody;
  nobody.begin("").string("device_type", "pci").cells("iommu-map", {0, 7, 0, 1}).end();
  EXPECT_TRUE(refused(nobody.done())) << "no such unit";
  Tree beyond;
  beyond.begin("").cells("phandle", {1}).cells("iommu-map", {0xffff, 1, 0, 2}).end();
  EXPECT_TRUE(refused(beyond.done()));
  Tree open;
  open.begin("");
  EXPECT_TRUE(refused(open.done()));
}

TEST(DeviceTree, AnyBytesAreSafe) {
  std::mt19937 random(5);
  const Bytes good = tree().done();
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = good;
    for (auto n = random() % 4 + 1; n > 0; --n)
      bytes[4 + random() % (bytes.size() - 4)] = static_cast<std::byte>(random());
    const auto read = device_tree_parser().parse(bytes);
    if (!read) {
      EXPECT_LE(read.error().offset, bytes.size());
    }
  }
}

}  // namespace
}  // namespace weir::virtio_iommu::test
