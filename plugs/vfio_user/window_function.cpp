// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/window_function.h"

#include <algorithm>
#include <utility>

#include "plugs/vfio_user/config_layout.h"
#include "plugs/vfio_user/register_access.h"

namespace weir::vfio_user {
namespace {

// No driver knows it: the id is one that nobody was given.
constexpr ConfigSpace::Identity kIdentity{
    .vendor = 0x1234, .device = 0x7765, .class_code = 0x088000};  // other system peripheral

struct Registers {
  const WindowFunction::Options& options;
  std::uint64_t read(std::uint64_t offset, unsigned size) { return options.read(offset, size); }
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) {
    options.write(offset, size, value);
  }
};

}  // namespace

WindowFunction::WindowFunction(Options options) : options_(std::move(options)), config_(kIdentity) {
  config_.add_bar(0, options_.bytes);
}

void WindowFunction::read_bar(unsigned /*bar*/, std::uint64_t offset, std::span<std::byte> to) {
  hidden_ = true;
  Registers registers{options_};
  read_registers(registers, offset, to);
}

void WindowFunction::write_bar(unsigned /*bar*/, std::uint64_t offset,
                               std::span<const std::byte> from) {
  hidden_ = true;
  Registers registers{options_};
  write_registers(registers, offset, from);
}

void WindowFunction::read_config(std::uint64_t offset, std::span<std::byte> to) {
  if (hidden_)
    std::ranges::fill(to, std::byte{0xff});
  else
    config_.read(offset, to);
}

void WindowFunction::write_config(std::uint64_t offset, std::span<const std::byte> from) {
  if (hidden_) return;
  const bool before = config_.memory_decode();
  config_.write(offset, from);
  if (!before && config_.memory_decode())
    options_.placed(word_mask(bar::kAddress) & config_.word(header::kBars));
}

void WindowFunction::reset() {
  hidden_ = false;
  config_.reset();
  options_.reset();
}

}  // namespace weir::vfio_user
