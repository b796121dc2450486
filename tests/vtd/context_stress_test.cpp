// SPDX-License-Identifier: Apache-2.0
//
// Contexts read while the guest rewrites them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

class ContextStressTest : public UnitTest {};

// L3: a context that is rewritten live is used as memory held it: never the root of one version
// with the domain of the other.
TEST_F(ContextStressTest, LiveRewriteIsNeverTorn) {
  set_root(kRoot);
  set_context(0x8001, 8 << 8 | 2);
  std::atomic<bool> stop{false};
  std::thread guest([&] {
    // As a driver has to: not present while the halves disagree.
    for (unsigned i = 0; !stop.load(); ++i) {
      const std::uint64_t n = i % 2 == 0 ? 9 : 8;
      host_.store(kContexts + kSid * 16, 0);
      host_.store(kContexts + kSid * 16 + 8, n << 8 | 2);
      host_.store(kContexts + kSid * 16, n << 12 | 1);
    }
  });
  for (int i = 0; i < 100000; ++i) {
    const auto context = context_of(request(0));
    if (context) {
      ASSERT_EQ(context->stage2_root >> 12, context->domain.value);
    } else {
      ASSERT_TRUE(context.error().code == 0x02 || context.error().code == 0x09);
    }
  }
  stop.store(true);
  guest.join();
}

}  // namespace
}  // namespace weir::vtd::test
