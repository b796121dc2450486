// SPDX-License-Identifier: Apache-2.0
#include "iommu/window.h"

#include "iommu/interrupts.h"

namespace weir {

std::optional<std::string> why_no_window(const Window& window) {
  if (window.range.first > window.range.last) return "the window's range ends before it begins";
  if (window.translate(window.range.last) < window.to)
    return "what the window reaches wraps around the end of memory";
  if (window.range.overlaps(kInterruptRange)) return "the window overlaps the interrupt range";
  if (!window.rights.can_read() && !window.rights.can_write())
    return "the window allows neither reading nor writing";
  return std::nullopt;
}

}  // namespace weir
