// SPDX-License-Identifier: Apache-2.0
//
// A host that runs out of memory: the test program's own aligned, non-throwing operator new, which
// is how tree nodes are made. Per thread; off unless asked for.
#pragma once

namespace weir::testing_support {

// Lets `allowed` more allocations of the calling thread succeed and fails those after them.
void fail_node_allocations_after(unsigned allowed);
void allow_node_allocations();

}  // namespace weir::testing_support
