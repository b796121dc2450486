// SPDX-License-Identifier: Apache-2.0
//
// A file as a stream of bytes, unpacked on the way if it is xz (told by its first bytes, not by its
// name). For one thread at a time. Never holds more than a buffer of the file, and gives liblzma no
// more than 256 MiB, whatever the file asks for.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::replay {

class ByteSource {
 public:
  // The failure is the cause alone; the caller knows the file and the place in it.
  [[nodiscard]] static Result<ByteSource, std::string> open(const std::string& path);

  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  // Puts up to out.size() bytes at the start of `out` and says how many; 0 is the end of the file.
  // The bytes before the damage in a truncated or corrupt xz file are given out before the failure.
  // REQUIRES: `out` is not empty.
  [[nodiscard]] Result<std::size_t, std::string> read(std::span<char> out);

  // How far into the file reading has come, 0…1; 0 where the file does not say how long it is.
  [[nodiscard]] double part_read() const;

 private:
  struct State;
  explicit ByteSource(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
