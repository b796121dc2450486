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
// itself, the checks of it; the output through the lower one; and last the upper stage's accessed
// and dirty bits from the root down, each through the lower as a write (VT-d 77h).
//
// Open in the sheets, and decided here: every translation of the lower stage is whole in itself,
// whatever it is for, and sets that stage's bits when it succeeds (what its caches keep rests on
// that); the upper stage's are set only after its output was let through. An entry that is another
// by the time its bits are to be set (both stages' tables can lie in one page) sends the whole
// translation round again. Table reads and writes are a user's, without execute, and not held to
// the requester's device-table rights; the request is passed on as its plain reads and writes (an
// execute is a read), so that privilege and execute are the upper stage's business alone.
[[nodiscard]] Verdict translate_nested(const Format& upper, const Format& lower, const Ask& ask,
                                       const Image& image, Stage lower_stage = Stage::kStage2);

}  // namespace weir::model
