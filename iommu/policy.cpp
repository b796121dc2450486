// SPDX-License-Identifier: Apache-2.0
#include "iommu/policy.h"

#include <array>

namespace weir {
namespace {

using Answer = PolicyDecision::Answer;
using Test = bool (*)(const PolicyInputs&);

struct Row {
  Test holds;
  Answer answer;
  std::string_view because;
};

// The rows of docs/policy.md, in their order; the first that holds decides.
constexpr std::array kRows{
    Row{[](const PolicyInputs& i) { return i.negotiated && !i.offered; }, Answer::kFeaturesRefused,
        "the driver accepted a feature that was not offered"},
    Row{[](const PolicyInputs& i) { return i.covered && i.legacy; }, Answer::kDeviceRefused,
        "a legacy driver passes guest-physical addresses, and the tables say that they are "
        "translated"},
    Row{[](const PolicyInputs& i) { return i.covered && i.window; }, Answer::kDeviceRefused,
        "addresses in a window are not translated, and the tables say that they are"},
    Row{[](const PolicyInputs& i) { return i.covered && !i.offered; }, Answer::kDeviceRefused,
        "without ACCESS_PLATFORM a driver passes guest-physical addresses, and the tables say that "
        "they are translated"},
    Row{[](const PolicyInputs& i) { return i.covered && !i.negotiated; }, Answer::kFeaturesRefused,
        "a unit translates, and the driver would pass guest-physical addresses"},
    Row{[](const PolicyInputs& i) { return i.covered && i.invalidations_visible; },
        Answer::kTranslate, "a unit translates"},
    Row{[](const PolicyInputs& i) { return i.covered; }, Answer::kTranslateVerified,
        "a unit translates, and nobody tells when its tables change"},
    Row{[](const PolicyInputs& i) { return i.window && i.legacy; }, Answer::kDeviceRefused,
        "a legacy driver knows no bounce buffer"},
    Row{[](const PolicyInputs& i) { return i.window && (i.negotiated || i.swiotlb); },
        Answer::kWindow, "the driver keeps to the window"},
    Row{[](const PolicyInputs& i) { return i.window; }, Answer::kFeaturesRefused,
        "the driver would not keep to the window"},
    Row{[](const PolicyInputs& i) { return i.protected_guest && i.legacy; },
        Answer::kDeviceRefused, "a legacy driver passes addresses of private pages"},
    Row{[](const PolicyInputs& i) { return i.protected_guest && !i.negotiated; },
        Answer::kFeaturesRefused, "the driver would pass addresses of private pages"},
    Row{[](const PolicyInputs& i) { return i.protected_guest; }, Answer::kBypass,
        "bounce buffers are shared pages at ordinary addresses"},
    Row{[](const PolicyInputs&) { return true; }, Answer::kBypass,
        "nothing translates, so nothing is looked up"},
};

}  // namespace

std::string_view to_string(Answer answer) {
  switch (answer) {
    case Answer::kBypass:
      return "bypass";
    case Answer::kTranslate:
      return "translate";
    case Answer::kTranslateVerified:
      return "translate, verified";
    case Answer::kWindow:
      return "window";
    case Answer::kFeaturesRefused:
      return "FEATURES_OK fails";
    case Answer::kDeviceRefused:
      return "device refused";
  }
  return "unknown";
}

PolicyDecision decide(const PolicyInputs& inputs) {
  std::size_t row = 0;
  while (!kRows[row].holds(inputs)) ++row;  // the last one holds
  return {.answer = kRows[row].answer, .row = row + 1, .because = kRows[row].because};
}

Result<Transition, std::string> DevicePolicy::update(const PolicyInputs& next) {
  const PolicyDecision now = decide(next);
  const auto refuse = [](std::string_view why) { return Failure{std::string(why)}; };
  if (next.covered != inputs_.covered)
    return refuse("a function comes under a unit, or leaves it, at a machine reset");
  if (!now.runs()) return refuse(now.because);
  Transition change;
  if (now.answer == Answer::kWindow && decision_.answer != Answer::kWindow) {
    if (!pool_) return refuse("no pool was named for the device's window");
    change.confinements.push_back({.function = function_, .pool = *pool_});
  } else if (now.answer != decision_.answer && decision_.runs()) {
    return refuse("only a machine reset gives the function more than its window");
  }
  inputs_ = next;
  decision_ = now;
  return change;
}

}  // namespace weir
