// SPDX-License-Identifier: Apache-2.0
#include "tools/qemu_command.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir::tools {
namespace {

[[nodiscard]] std::string quoted(const std::string& word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,.:/@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string all = "'";
  for (const char c : word) {
    if (c == '\'')
      all += "'\\''";
    else
      all += c;
  }
  all += '\'';
  return all;
}

// QEMU reads it as hexadecimal.
[[nodiscard]] std::string slot_of(Requester function) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  if (function.device() >= 16) text += '1';
  text += kDigits[function.device() % 16];
  return text + "." + std::to_string(function.function());
}

// QEMU wants it of every function of such a slot.
[[nodiscard]] bool shares_its_slot(const vfio_user::Machine& machine, Requester function) {
  return function.function() != 0 ||
         std::ranges::any_of(machine.connections(), [&](const auto& other) {
           return other.function != function && other.function.device() == function.device();
         });
}

}  // namespace

std::string qemu_command(const std::string& qemu, const ServeConfig& config,
                         const vfio_user::Machine& machine, const std::string& table) {
  const std::string memory = std::to_string(config.memory_mib) + "M";
  // The memory has to be shared to be seen here; memfds are sealed by QEMU itself.
  std::vector<std::string> words = {
      "-nodefaults", "-no-user-config",
      "-machine",    "q35,memory-backend=ram",
      "-cpu",        "max",
      "-m",          memory,
      "-object",     "memory-backend-memfd,id=ram,size=" + memory + ",share=on",
      "-smp",        std::to_string(config.processors),
      "-display",    "none",
      "-serial",     "stdio",
      "-no-reboot"};
  for (const auto& connection : machine.connections()) {
    nlohmann::ordered_json device{{"driver", "vfio-user-pci"},
                                  {"addr", slot_of(connection.function)},
                                  {"socket", {{"type", "unix"}, {"path", connection.socket}}}};
    if (shares_its_slot(machine, connection.function)) device["multifunction"] = true;
    words.insert(words.end(), {"-device", device.dump()});
  }
  if (!table.empty()) words.insert(words.end(), {"-acpitable", "file=" + table});
  // The program may be several words of its own.
  std::string command = qemu;
  for (const std::string& word : words) {
    command += ' ';
    command += quoted(word);
  }
  return command;
}

}  // namespace weir::tools
