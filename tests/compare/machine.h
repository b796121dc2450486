// SPDX-License-Identifier: Apache-2.0
//
// A world's image as real memory, for the library's walks to read and change. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/dirty_sink.h"
#include "pagetables/physical_memory.h"
#include "tests/model/paged_image.h"

namespace weir::compare {

class Machine : public DirtySink {
 public:
  // Callbacks see how a word is written; host memory is what embedders mostly have.
  enum class Backing : std::uint8_t { kHostMemory, kCallbacks };

  Machine(const model::PagedImage& image, Backing backing);
  ~Machine() override;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] const pagetables::PhysicalMemory& memory() const { return *memory_; }

  // Takes the first `words` words of every page over again.
  void refresh(const model::PagedImage& image, std::size_t words);

  // Words that the dirty sink was told of since last asked, each once.
  [[nodiscard]] std::vector<std::uint64_t> take_reported();
  // REQUIRES: `at` lies in the image.
  [[nodiscard]] std::uint64_t word(std::uint64_t at) const { return words_[at / 8]; }
  void put(std::uint64_t at, std::uint64_t value) { words_[at / 8] = value; }
  // A walk may write by compare-exchange alone. Known only behind callbacks.
  [[nodiscard]] bool plainly_stored() const;
  // A word that is not the image's.
  [[nodiscard]] std::optional<std::uint64_t> differs_at(const model::PagedImage& image) const;

 private:
  class Target;

  void on_dirty(Gpa first, std::uint64_t size) override;

  const std::size_t pages_;
  const std::unique_ptr<std::uint64_t[]> words_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::unique_ptr<pagetables::PhysicalMemory> memory_;
  std::vector<std::uint64_t> reported_;
};

}  // namespace weir::compare
