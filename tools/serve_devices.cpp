// SPDX-License-Identifier: Apache-2.0
#include "tools/serve_devices.h"

#include <chrono>
#include <utility>

#include "plugs/vfio_user/copy_function.h"
#include "plugs/virtio_blk/block_function.h"
#include "tools/json_members.h"

namespace weir::tools {
namespace {

using Json = nlohmann::json;
using Made = Result<ServedDevice, std::string>;

[[nodiscard]] Json counters_of(const virtio_blk::Counts& counts) {
  return {{"requests", counts.requests},
          {"refused", counts.refused},
          {"bytes_read", counts.bytes_read},
          {"bytes_written", counts.bytes_written},
          {"pinned", counts.pinned},
          {"broken_rings", counts.broken_rings},
          {"astray_landed", counts.astray_landed},
          {"astray_refused", counts.astray_refused}};
}

[[nodiscard]] Made make_disk(JsonMembers& members) {
  virtio_blk::Options options;
  const auto number = [&members](const char* name, std::uint64_t least, std::uint64_t most,
                                 std::uint64_t otherwise) {
    return members.number_or(name, least, most, otherwise);
  };
  options.queues = static_cast<std::uint16_t>(number("queues", 1, 7, 1));
  options.queue_size = static_cast<std::uint16_t>(number("queue_size", 1, 32768, 256));
  if ((options.queue_size & (options.queue_size - 1)) != 0)
    members.refuse("queue_size", "is no power of two");
  options.packed = members.flag("packed", false);
  options.latency = std::chrono::microseconds(number("latency_us", 0, 10'000'000, 0));
  options.returns_early = members.flag("returns_early", false);
  const auto sector = members.number("rogue_sector", 0, ~std::uint64_t{0});
  const auto address = members.number("rogue_address", 0, ~std::uint64_t{0});
  if (sector.has_value() != address.has_value())
    members.refuse(sector ? "rogue_address" : "rogue_sector", "is missing");
  else if (sector)
    options.rogue = {*sector, Iova(*address)};
  const auto path = members.text("file");
  const auto bytes = members.number("bytes", 512, std::uint64_t{1} << 40);
  if (path.has_value() == bytes.has_value())
    members.refuse("file", "or bytes, one of both, has to be given");
  if (std::string error = members.error(); !error.empty()) return Failure{std::move(error)};

  std::unique_ptr<virtio_blk::Storage> storage;
  if (path) {
    auto opened = virtio_blk::file_storage(*path);
    if (!opened) return Failure{opened.error()};
    storage = std::move(*opened);
  } else {
    storage = virtio_blk::memory_storage(*bytes);
  }
  auto function = std::make_unique<virtio_blk::BlockFunction>(std::move(storage), options);
  const auto* const disk = function.get();
  return ServedDevice{.function = std::move(function),
                      .counters = [disk] { return counters_of(disk->counts()); }};
}

[[nodiscard]] Made make_copier(JsonMembers& members) {
  if (std::string error = members.error(); !error.empty()) return Failure{std::move(error)};
  return ServedDevice{.function = std::make_unique<vfio_user::CopyFunction>(),
                      .counters = [] { return Json::object(); }};
}

constexpr struct {
  const char* name;
  Made (*make)(JsonMembers& members);
} kKinds[] = {
    {"virtio-blk", make_disk},
    {"copy", make_copier},
};

}  // namespace

Result<ServedDevice, std::string> make_served_device(const Json& description,
                                                     const std::string& where) {
  JsonMembers members(description, where);
  // Of whoever places it.
  (void)members.find("address");
  (void)members.find("bypass");
  (void)members.find("second_unit");
  const auto type = members.text("type");
  for (const auto& kind : kKinds)
    if (type == kind.name) return kind.make(members);
  members.refuse("type", type ? "is no kind of device: virtio-blk, copy" : "is missing");
  return Failure{members.error()};
}

}  // namespace weir::tools
