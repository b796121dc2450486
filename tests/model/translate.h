// SPDX-License-Identifier: Apache-2.0
//
// Whole translations: one stage over an image, or any stage 1 over any stage 2 over an image.
#pragma once

#include <variant>

#include "tests/model/amd_v1_model.h"
#include "tests/model/vtd_second_stage_model.h"
#include "tests/model/x86_first_stage_model.h"

namespace weir::model {

using Format = std::variant<VtdSecondStage, X86FirstStage, AmdV1>;

// Levels of the tables, and where they begin.
[[nodiscard]] unsigned levels_of(const Format& format);
[[nodiscard]] std::uint64_t root_of(const Format& format);
// Bits of an input address that the tables decide, at most 64.
[[nodiscard]] unsigned input_width(const Format& format);

// `stage` is the name that a failure gets.
[[nodiscard]] Verdict translate(const Format& format, const Ask& ask, const Image& image,
                                Stage stage);

// Every entry of `upper` is read, and the request's own address goes on, through `lower` (A8;
// VT-d 3, "nested"). A failure of `upper` is Stage::kStage1, one of `lower` is `lower_stage`.
//
// Order: the rights of the requester's device-table entry where `lower` is AMD-Vi v1; per entry of
// the upper stage its address through the lower one as a read (VT-d 74h–76h, 78h…), the entry
// itself, the checks of it; the output through the lower one; and last accessed and dirty bits, the
// upper stage's from the root down (as a write through the lower: VT-d 77h), then the lower's in
// the order of their first use.
//
// Open in the sheets, and decided here: bits are set only after everything else has succeeded.
// Table reads and writes are a user's, without execute, and not held to the requester's
// device-table rights; the request is passed on as its plain reads and writes (an execute is a
// read), so that privilege and execute are the upper stage's business alone.
[[nodiscard]] Verdict translate_nested(const Format& upper, const Format& lower, const Ask& ask,
                                       const Image& image, Stage lower_stage = Stage::kStage2);

}  // namespace weir::model
