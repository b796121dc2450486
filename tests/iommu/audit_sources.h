// SPDX-License-Identifier: Apache-2.0
//
// What a finding's source has to be: there at all; for what is said of real guests a boot or a
// commit; and a boot that it names has to be one of tests/guest/audit_cases.py, where `./run
// guests` holds it against a kernel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

#include "iommu/audit.h"

namespace weir::test {

[[nodiscard]] inline const std::string& boots() {
  static const std::string text = [] {
    std::ifstream file(std::string(WEIR_TEST_DATA) + "/../guest/audit_cases.py");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return text;
}

// `seen`: the rules of guests.
inline void expect_source(const Finding& finding, std::initializer_list<std::string_view> seen) {
  constexpr std::string_view kBoot = "boot: ";
  const std::string_view source = finding.source;
  EXPECT_NE(source, "") << finding.rule;
  const bool has_one = source.find(kBoot) != source.npos || source.find("commit ") != source.npos;
  EXPECT_TRUE(has_one || std::ranges::find(seen, finding.rule) == seen.end())
      << finding.rule << " rests on neither a boot nor a commit: " << source;
  for (auto at = source.find(kBoot); at != source.npos; at = source.find(kBoot, at)) {
    at += kBoot.size();
    const std::string name(source.substr(at, source.find(" (", at) - at));
    EXPECT_NE(boots().find('"' + name + '"'), std::string::npos) << "no such boot: " << name;
  }
}

}  // namespace weir::test
