// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/fdt.h"

#include <algorithm>
#include <string>
#include <utility>

namespace weir::virtio_iommu::fdt {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kMagic = 0xd00dfeed;
constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kTotal = 4, kStructure = 8, kStrings = 12, kOldest = 24;
constexpr std::uint32_t kBegin = 1, kEnd = 2, kProperty = 3, kNop = 4, kDone = 9;
constexpr std::uint32_t kVersion = 17;
constexpr std::size_t kDeepest = 64;

// Big-endian. REQUIRES: it lies inside.
[[nodiscard]] std::uint32_t word(Bytes bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

class Parse {
 public:
  explicit Parse(Bytes tree) : tree_(tree) {}

  [[nodiscard]] Result<std::vector<Node>, TableError> run() {
    if (tree_.size() < kHeaderBytes) return wrong(0, "shorter than a device tree's header");
    if (word(tree_, 0) != kMagic) return wrong(0, "is no flattened device tree");
    if (word(tree_, kTotal) < kHeaderBytes || word(tree_, kTotal) > tree_.size())
      return wrong(kTotal, "the tree is cut off");
    tree_ = tree_.first(word(tree_, kTotal));
    if (word(tree_, kOldest) > kVersion) return wrong(kOldest, "is of a version to come");
    strings_ = word(tree_, kStrings);
    at_ = word(tree_, kStructure);
    if (strings_ > tree_.size()) return wrong(kStrings, "names lie outside the tree");
    while (!done_) {
      const std::size_t token = at_;
      if (const char* const cause = step()) return wrong(std::min(token, tree_.size()), cause);
    }
    return std::move(nodes_);
  }

 private:
  [[nodiscard]] static Failure<TableError> wrong(std::size_t offset, const char* cause) {
    return Failure{TableError{.offset = offset, .cause = cause}};
  }
  [[nodiscard]] bool has(std::size_t bytes) const {
    return at_ <= tree_.size() && bytes <= tree_.size() - at_;
  }
  void skip(std::size_t bytes) { at_ += (bytes + 3) / 4 * 4; }

  // Text up to its zero byte; nothing: it has none.
  [[nodiscard]] std::optional<std::string_view> text(std::size_t at) const {
    if (at >= tree_.size()) return std::nullopt;
    const auto from = tree_.subspan(at);
    const auto end = std::ranges::find(from, std::byte{0});
    if (end == from.end()) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(from.data()),
                            static_cast<std::size_t>(end - from.begin()));
  }

  // Null: good.
  [[nodiscard]] const char* step() {
    if (!has(4)) return "the structure has no end";
    const std::uint32_t token = word(tree_, at_);
    at_ += 4;
    switch (token) {
      case kBegin:
        return begin();
      case kEnd:
        if (open_.empty()) return "a node ends that did not begin";
        open_.pop_back();
        return nullptr;
      case kProperty:
        return property();
      case kNop:
        return nullptr;
      case kDone:
        if (!open_.empty()) return "the structure ends inside a node";
        done_ = true;
        return nullptr;
      default:
        return "is no token of a device tree";
    }
  }

  [[nodiscard]] const char* begin() {
    const auto name = text(at_);
    if (!name) return "a node's name has no end";
    if (open_.size() >= kDeepest) return "nodes are nested too deep";
    if (open_.empty() && !nodes_.empty()) return "a second root";
    skip(name->size() + 1);
    nodes_.push_back({.parent = open_.empty() ? std::nullopt : std::optional(open_.back()),
                      .name = *name,
                      .properties = {}});
    open_.push_back(nodes_.size() - 1);
    return nullptr;
  }

  [[nodiscard]] const char* property() {
    if (open_.empty()) return "a property outside every node";
    if (!has(8)) return "a property is cut off";
    const std::size_t length = word(tree_, at_);
    const auto name = text(strings_ + std::size_t{word(tree_, at_ + 4)});
    at_ += 8;
    if (!name) return "a property's name lies outside the tree";
    if (!has(length)) return "a property runs past the end of the tree";
    nodes_[open_.back()].properties.push_back(
        {.name = *name, .offset = at_, .value = tree_.subspan(at_, length)});
    skip(length);
    return nullptr;
  }

  Bytes tree_;
  std::size_t strings_ = 0;
  std::size_t at_ = 0;
  bool done_ = false;
  std::vector<std::size_t> open_;
  std::vector<Node> nodes_;
};

}  // namespace

std::uint32_t Property::cell(std::size_t index) const { return word(value, index * 4); }

const Property* Node::find(std::string_view property) const {
  const auto found = std::ranges::find(properties, property, &Property::name);
  return found == properties.end() ? nullptr : &*found;
}

std::uint32_t Node::cell(std::string_view property, std::uint32_t otherwise) const {
  const Property* const found = find(property);
  return found != nullptr && found->cells() > 0 ? found->cell(0) : otherwise;
}

Result<std::vector<Node>, TableError> parse(Bytes tree) { return Parse(tree).run(); }

}  // namespace weir::virtio_iommu::fdt
