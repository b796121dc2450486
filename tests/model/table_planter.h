// SPDX-License-Identifier: Apache-2.0
//
// Puts valid paths through tables into a PagedImage, for the generators of worlds. Not the table
// builder of pagetables/, on purpose. For one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tests/model/paged_image.h"
#include "tests/model/random.h"
#include "tests/model/translate.h"

namespace weir::model {

// The page that no table ever gets.
inline constexpr std::size_t kAbsentPage = 0;

// Hands out the pages of an image.
class PageSupply {
 public:
  explicit PageSupply(std::size_t pages) : pages_(pages) {}
  [[nodiscard]] bool empty() const { return next_ >= pages_; }
  // REQUIRES: !empty().
  [[nodiscard]] std::size_t take() { return next_++; }

 private:
  const std::size_t pages_;
  std::size_t next_ = kAbsentPage + 1;
};

// An entry in use.
struct Place {
  std::uint64_t at = 0;  // as the image knows it
  Stage stage = Stage::kNone;
  unsigned level = 0;
  bool leaf = false;
};

class TablePlanter {
 public:
  // Page n of the image is at offset + n * 4096 for this format's pointers.
  TablePlanter(const Format& format, PagedImage& image, PageSupply& supply, std::size_t root,
               std::uint64_t offset, Stage stage, std::vector<Place>& places)
      : format_(format),
        image_(image),
        supply_(supply),
        root_(root),
        offset_(offset),
        stage_(stage),
        places_(places),
        pages_{root} {}

  // Maps `input` to an output like `output`: the same above the leaf, the input's below it; exactly
  // it where both agree in the low `at_most_lg2` bits. The leaf has some size up to 2^at_most_lg2.
  // Gives the size of the leaf, new or met on the way; nothing where pages ran out.
  std::optional<unsigned> plant(std::uint64_t input, std::uint64_t output, unsigned at_most_lg2,
                                Random& random);

  // Where the last planted input goes.
  [[nodiscard]] std::uint64_t last_output() const { return last_output_; }
  [[nodiscard]] const std::vector<std::size_t>& pages() const { return pages_; }

 private:
  struct Leaf {
    unsigned lg2 = 12;
    std::uint64_t page = 0;
  };
  struct Table {
    std::size_t page = 0;
    unsigned level = 0;
  };

  unsigned choose_next_level(std::uint64_t input, unsigned level, unsigned leaf_level,
                             Random& random) const;
  unsigned choose_leaf_level(unsigned at_most_lg2, Random& random) const;
  void put_leaf(std::uint64_t at, unsigned level, Leaf leaf);
  unsigned arrive(Leaf leaf, std::uint64_t input);

  const Format& format_;
  PagedImage& image_;
  PageSupply& supply_;
  const std::size_t root_;
  const std::uint64_t offset_;
  const Stage stage_;
  std::vector<Place>& places_;
  std::vector<std::size_t> pages_;
  std::map<std::uint64_t, Table> tables_;  // by the entry that points there
  std::map<std::uint64_t, Leaf> leaves_;
  std::uint64_t last_output_ = 0;
};

}  // namespace weir::model
