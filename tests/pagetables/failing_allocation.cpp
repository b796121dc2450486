// SPDX-License-Identifier: Apache-2.0
#include "tests/pagetables/failing_allocation.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local bool failing = false;
thread_local unsigned allowed_still = 0;

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  if (failing && allowed_still-- == 0) {
    allowed_still = 0;
    return nullptr;
  }
  const auto align = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(align, (size + align - 1) / align * align);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  void* const made = ::operator new(size, alignment, std::nothrow);
  return made == nullptr ? throw std::bad_alloc() : made;
}
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace weir::testing_support {

void fail_node_allocations_after(unsigned allowed) {
  failing = true;
  allowed_still = allowed;
}

void allow_node_allocations() { failing = false; }

}  // namespace weir::testing_support
