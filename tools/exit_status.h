// SPDX-License-Identifier: Apache-2.0
//
// What the weir command tells its caller by its exit status. Constants only.
#pragma once

namespace weir::tools {

inline constexpr int kGood = 0;
inline constexpr int kDifferent = 1;  // carried out, and something did not come out as it should
inline constexpr int kUnusable = 2;   // input that cannot be read, or a wrong command line

}  // namespace weir::tools
