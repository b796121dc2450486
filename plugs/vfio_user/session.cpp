// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/session.h"

#include <cerrno>
#include <string_view>
#include <utility>

namespace weir::vfio_user {
namespace {

using Settled = SessionHost::Settled;

// With the NUL that ends it. What is not named has the value that the specification gives it.
constexpr std::string_view kCapabilities{
    R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,)"
    R"("max_dma_maps":1024}})",
    sizeof(R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,)"
           R"("max_dma_maps":1024}})")};

[[nodiscard]] Settled both(Settled a, Settled b) {
  if (!a) return b;
  if (!b) return a;
  return [a = std::move(a), b = std::move(b)] { return a() && b(); };
}

template <typename T>
[[nodiscard]] std::vector<std::byte> payload_of(const T& value) {
  std::vector<std::byte> bytes;
  append(bytes, value);
  return bytes;
}

}  // namespace

Session::Answer Session::handle(Message message) {
  // A reply to a command of ours: all of them were posted, so nobody waits for it.
  if (message.is_reply()) return {};
  if (!negotiated_) return negotiate(message);
  const Header header = message.header;
  const bool reply = message.wants_reply();
  Outcome outcome = carry_out(message);
  Answer answer;
  answer.settled = std::move(outcome.settled);
  if (reply)
    answer.reply = outcome.error == 0 ? make_reply(header, outcome.payload)
                                      : make_error(header, outcome.error);
  return answer;
}

Session::Answer Session::negotiate(const Message& message) {
  const auto version = message.fixed<Version>();
  // Behind the numbers come none or a text that ends.
  const bool whole = version && (message.payload.size() == sizeof(Version) ||
                                 message.payload.back() == std::byte{0});
  if (message.header.command != static_cast<std::uint16_t>(Command::kVersion) || !whole ||
      !message.fds.empty())
    return {.reply = make_error(message.header, EINVAL), .end = true};
  if (version->major != 0) return {.reply = make_error(message.header, ENOTSUP), .end = true};
  negotiated_ = true;
  auto payload = payload_of(Version{});
  const auto capabilities = std::as_bytes(std::span(kCapabilities));
  payload.insert(payload.end(), capabilities.begin(), capabilities.end());
  return {.reply = make_reply(message.header, payload)};
}

Session::Outcome Session::carry_out(Message& message) {
  const auto command = static_cast<Command>(message.header.command);
  const bool takes_fds = command == Command::kDmaMap || command == Command::kSetIrqs;
  if (!takes_fds && !message.fds.empty()) return {.error = EINVAL};
  switch (command) {
    case Command::kDmaMap:
      return map(message);
    case Command::kDmaUnmap:
      return unmap(message);
    case Command::kGetInfo:
      return device_info(message);
    case Command::kGetRegionInfo:
      return region_info(message);
    case Command::kGetIrqInfo:
      return irq_info(message);
    case Command::kSetIrqs:
      return set_irqs(message);
    case Command::kRegionRead:
      return region_read(message);
    case Command::kRegionWrite:
      return region_write(message);
    case Command::kReset:
      if (!message.payload.empty()) return {.error = EINVAL};
      return {.settled = reset_function()};
    case Command::kGetRegionIoFds:
      return {.error = ENOTSUP};
    case Command::kVersion:  // once is enough
    case Command::kDmaRead:  // ours to send
    case Command::kDmaWrite:
      return {.error = EINVAL};
  }
  return {.error = ENOSYS};
}

Session::Outcome Session::map(Message& message) {
  const auto what = message.fixed<DmaMap>();
  if (!what || what->argsz < sizeof *what || message.fds.size() > 1) return {.error = EINVAL};
  FileDescriptor file;
  if (!message.fds.empty()) file = std::move(message.fds.front());
  Outcome outcome;
  outcome.error = host_.map(*what, std::move(file), outcome.settled);
  return outcome;
}

Session::Outcome Session::unmap(const Message& message) {
  const auto what = message.fixed<DmaUnmap>();
  if (!what || what->argsz < sizeof *what) return {.error = EINVAL};
  if ((what->flags & ~dma_unmap_flag::kLayout.defined) != 0) return {.error = EINVAL};
  Outcome outcome{.payload = payload_of(*what)};
  if (!dma_unmap_flag::kAll.is_set(what->flags))
    outcome.error = host_.unmap(*what, outcome.settled);
  else if (what->address != 0 || what->size != 0)
    outcome.error = EINVAL;
  else
    outcome.settled = host_.unmap_all();
  return outcome;
}

Session::Outcome Session::device_info(const Message& message) const {
  const auto asked = message.fixed<DeviceInfo>();
  if (!asked || asked->argsz < sizeof(DeviceInfo)) return {.error = EINVAL};
  return {.payload = payload_of(DeviceInfo{.argsz = sizeof(DeviceInfo),
                                           .flags = static_cast<std::uint32_t>(
                                               device_flag::kReset.kMask | device_flag::kPci.kMask),
                                           .regions = kRegions,
                                           .irqs = kIrqIndexes})};
}

Session::Outcome Session::region_info(const Message& message) const {
  const auto asked = message.fixed<RegionInfo>();
  if (!asked || asked->argsz < sizeof(RegionInfo) || asked->index >= kRegions)
    return {.error = EINVAL};
  const std::uint64_t size = region_size(asked->index);
  const auto access =
      static_cast<std::uint32_t>(region_flag::kRead.kMask | region_flag::kWrite.kMask);
  return {.payload = payload_of(RegionInfo{.argsz = sizeof(RegionInfo),
                                           .flags = size == 0 ? 0 : access,
                                           .index = asked->index,
                                           .size = size})};
}

Session::Outcome Session::irq_info(const Message& message) const {
  const auto asked = message.fixed<IrqInfo>();
  if (!asked || asked->argsz < sizeof(IrqInfo) || asked->index >= kIrqIndexes)
    return {.error = EINVAL};
  const std::uint32_t count = lines_.count(asked->index);
  const auto flags = static_cast<std::uint32_t>(irq_flag::kEventfd.kMask);
  return {.payload = payload_of(IrqInfo{.argsz = sizeof(IrqInfo),
                                        .flags = count == 0 ? 0 : flags,
                                        .index = asked->index,
                                        .count = count})};
}

Session::Outcome Session::set_irqs(Message& message) {
  const auto what = message.fixed<SetIrqs>();
  if (!what || what->argsz < sizeof *what) return {.error = EINVAL};
  return {.error = lines_.set(*what, std::span(message.payload).subspan(sizeof *what),
                              std::move(message.fds))};
}

std::uint64_t Session::region_size(std::uint32_t region) const {
  if (region < kBarCount) return function_.bar_size(region);
  return region == kConfigRegion ? ConfigSpace::kBytes : 0;
}

bool Session::inside(const RegionAccess& access) const {
  const std::uint64_t size = region_size(access.region);
  return access.count <= kMostData && access.offset <= size && access.count <= size - access.offset;
}

Session::Outcome Session::region_read(const Message& message) {
  auto access = message.fixed<RegionAccess>();
  if (!access || message.payload.size() != sizeof *access || !inside(*access))
    return {.error = EINVAL};
  Outcome outcome{.payload = payload_of(*access)};
  outcome.payload.resize(sizeof *access + access->count);
  const auto data = std::span(outcome.payload).subspan(sizeof *access);
  if (data.empty()) return outcome;
  if (access->region == kConfigRegion)
    function_.read_config(access->offset, data);
  else
    function_.read_bar(access->region, access->offset, data);
  return outcome;
}

Session::Outcome Session::region_write(const Message& message) {
  const auto access = message.fixed<RegionAccess>();
  if (!access || !inside(*access) || message.payload.size() != sizeof *access + access->count)
    return {.error = EINVAL};
  Outcome outcome{.payload = payload_of(*access)};
  const auto data = std::span(message.payload).subspan(sizeof *access);
  if (data.empty()) return outcome;
  if (access->region == kConfigRegion) {
    function_.write_config(access->offset, data);
    outcome.settled = follow_bus_master();
  } else {
    function_.write_bar(access->region, access->offset, data);
  }
  return outcome;
}

Settled Session::follow_bus_master() {
  const bool now = function_.config().bus_master();
  if (now == bus_master_) return {};
  bus_master_ = now;
  auto settled = host_.set_bus_master(now);
  function_.bus_master_changed(now);
  return settled;
}

Settled Session::reset_function() {
  function_.reset();
  // The configuration space is new, too.
  auto settled = both(follow_bus_master(), host_.reset_requester());
  if (function_.reset_settled()) return settled;
  return both(std::move(settled), [this] { return function_.reset_settled(); });
}

Settled Session::end() {
  auto settled = reset_function();
  lines_.clear();
  negotiated_ = false;
  return both(std::move(settled), host_.unmap_all());
}

}  // namespace weir::vfio_user
