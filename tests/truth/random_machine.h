// SPDX-License-Identifier: Apache-2.0
//
// Machines of a few random functions, devices of ACPI and interrupt sources with random wishes.
// Tame ones wish so that most can be had; wild ones at random, and now and then what nobody should.
#pragma once

#include <map>
#include <random>
#include <string>

#include "iommu/topology.h"
#include "tests/truth/linux_guest.h"

namespace weir::truth {

[[nodiscard]] Topology random_machine(std::mt19937& random, Format format);

// Why the wishes cannot be had, told from the machine as it stands and not from any builder's mind;
// empty where they can.
[[nodiscard]] std::string why_not(const Topology& machine, Format format);

// What kinds of things the machine has, each counted once for a machine.
[[nodiscard]] std::set<std::string> classes(const Topology& machine);

}  // namespace weir::truth
