// SPDX-License-Identifier: Apache-2.0
//
// The memory that the clients of one machine have shared: each socket's list of DMA maps, and the
// one GuestMemory that they add up to. A VMM sends the same maps on the socket of every function;
// what is the same is mapped once and stays until the last socket has taken it back. While a change
// travels, one socket may say something newer than another: then the newer word counts.
//
// A mapping lives as long as any GuestMemory made while it stood, so nothing that still reads
// through an old one can fault. Maps without a file (ROM) are there and refuse every access.
//
// One thread. Files: mapped only if their size cannot shrink (F_SEAL_SHRINK), because an access
// beyond a truncated end would be a SIGBUS; UnsealedFiles::kAccept lifts that for clients that are
// trusted not to. A sealed file can still fail an access by running out of huge pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/guest_memory.h"
#include "plugs/vfio_user/file_descriptor.h"
#include "plugs/vfio_user/protocol.h"

namespace weir::vfio_user {

enum class UnsealedFiles : std::uint8_t { kRefuse, kAccept };

class DmaMaps {
 public:
  using Client = std::uint32_t;
  static constexpr std::size_t kMostMaps = 1024;  // of one client; QEMU needs some twenty

  explicit DmaMaps(UnsealedFiles unsealed) : unsealed_(unsealed) {}

  // 0, or the errno to answer with: EEXIST over a map of the same client, EINVAL for ranges that
  // are no whole pages, wrap, or leave the file, EPERM for an unsealed file, ENOSPC past kMostMaps,
  // and what mmap says.
  [[nodiscard]] int map(Client client, const DmaMap& what, FileDescriptor file);
  // 0, or ENOENT: address and size are not those of one map.
  [[nodiscard]] int unmap(Client client, std::uint64_t address, std::uint64_t size);
  void unmap_all(Client client);

  // What all maps together say now.
  [[nodiscard]] std::shared_ptr<const GuestMemory> memory() const;
  [[nodiscard]] std::size_t size(Client client) const;

 private:
  class Backing;
  using List = std::map<std::uint64_t, std::shared_ptr<const Backing>>;  // by address

  const UnsealedFiles unsealed_;
  std::map<Client, List> lists_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace weir::vfio_user
