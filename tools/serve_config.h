// SPDX-License-Identifier: Apache-2.0
//
// The machine that `weir serve` serves, as its description (a JSON file, docs/serve.md) has it. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "plugs/vfio_user/machine.h"

namespace weir::tools {

struct ServeConfig {
  vfio_user::MachineOptions machine;
  std::string profile;  // of the front end, for people
  std::uint64_t memory_mib = 512;
  std::uint64_t processors = 1;
  // Of each device, in their order: its address and its own counters.
  struct Device {
    std::string address;
    std::function<nlohmann::json()> counters;
  };
  std::vector<Device> devices;
};

// `text`: the file's. Refuses in one sentence, with the position or the member.
[[nodiscard]] Result<ServeConfig, std::string> read_serve_config(const std::string& text);

}  // namespace weir::tools
