// SPDX-License-Identifier: Apache-2.0
//
// The kinds of devices that `weir serve` can make, by the names that its machine descriptions use.
// One thread.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "plugs/vfio_user/pci_function.h"

namespace weir::tools {

struct ServedDevice {
  std::unique_ptr<vfio_user::PciFunction> function;
  // What the device has to say of itself, on the server's thread while it is served.
  std::function<nlohmann::json()> counters;
};

// From its member of "devices" in the description; `where` it stands, for messages. Refuses in one
// sentence.
[[nodiscard]] Result<ServedDevice, std::string> make_served_device(
    const nlohmann::json& description, const std::string& where);

}  // namespace weir::tools
