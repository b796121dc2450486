// SPDX-License-Identifier: Apache-2.0
#include "tests/model/translate.h"

#include <algorithm>

namespace weir::model {
namespace {

class FromImage : public TableReader {
 public:
  explicit FromImage(const Image& image) : image_(image) {}
  std::optional<std::uint64_t> read(std::uint64_t at, unsigned) override { return image_.load(at); }

 private:
  const Image& image_;
};

// The stage under another one, with a book of all that it was asked.
class Lower : public TableReader {
 public:
  Lower(const Format& format, const Image& image, Stage stage)
      : format_(format), image_(image), stage_(stage) {}

  // Counts, and keeps the updates or the refusal.
  Verdict ask(const Ask& ask, Purpose purpose, unsigned upper_level) {
    FromImage reader(image_);
    Verdict v = std::visit([&](const auto& f) { return walk(f, ask, reader); }, format_);
    if (purpose != Purpose::kTableUpdate) references += v.references;
    if (v.ok) {
      for (Update u : v.updates) {
        u.stage = stage_;
        updates.push_back(u);
      }
    } else {
      v.stage = stage_;
      v.purpose = purpose;
      v.upper_level = upper_level;
      refusal = v;
    }
    return v;
  }

  std::optional<std::uint64_t> read(std::uint64_t at, unsigned level) override {
    const Verdict v = ask(Ask{.input = at, .read = true}, Purpose::kTableRead, level);
    return v.ok ? image_.load(v.output) : std::nullopt;
  }

  unsigned references = 0;
  std::vector<Update> updates;
  std::optional<Verdict> refusal;

 private:
  const Format& format_;
  const Image& image_;
  const Stage stage_;
};

// Each entry once, with all the bits that any use of it sets.
std::vector<Update> merged(const std::vector<Update>& all) {
  std::vector<Update> once;
  for (const Update& u : all) {
    const auto same = std::ranges::find(once, u.at, &Update::at);
    if (same == once.end())
      once.push_back(u);
    else
      same->value |= u.value;  // bits are only ever set
  }
  return once;
}

Verdict with_updates(Verdict v, const std::vector<Update>& all, const Image& image) {
  for (const Update& u : all) {
    if (image.writable(u.at)) continue;
    Verdict failed;
    failed.references = v.references;
    failed.stage = u.stage;
    failed.level = u.level;
    failed.entry_at = u.entry_at;
    failed.reason = FaultReason::kUpdateFailed;
    return failed;
  }
  v.updates = merged(all);
  return v;
}

}  // namespace

unsigned levels_of(const Format& format) {
  if (const auto* v1 = std::get_if<AmdV1>(&format)) return v1->mode;
  if (const auto* ss = std::get_if<VtdSecondStage>(&format)) return ss->levels;
  return std::get<X86FirstStage>(format).levels;
}

std::uint64_t root_of(const Format& format) {
  return std::visit([](const auto& f) { return f.root; }, format);
}

unsigned input_width(const Format& format) {
  const unsigned width = std::min(64U, level_lg2(levels_of(format) + 1));
  const auto* ss = std::get_if<VtdSecondStage>(&format);
  return ss != nullptr ? std::min(width, ss->guest_width) : width;
}

Verdict translate(const Format& format, const Ask& ask, const Image& image, Stage stage) {
  FromImage reader(image);
  Verdict v = std::visit([&](const auto& f) { return walk(f, ask, reader); }, format);
  if (!v.ok) {
    v.stage = stage;
    return v;
  }
  for (Update& u : v.updates) u.stage = stage;
  const std::vector<Update> updates = v.updates;
  return with_updates(std::move(v), updates, image);
}

Verdict translate_nested(const Format& upper, const Format& lower, const Ask& ask,
                         const Image& image, Stage lower_stage) {
  if (std::holds_alternative<AmdV1>(lower)) {
    const bool no_read = (ask.read || ask.execute) && !ask.device_read;
    if (no_read || (ask.write && !ask.device_write)) {
      Verdict v;
      v.stage = lower_stage;
      v.reason = no_read ? FaultReason::kNoReadPermission : FaultReason::kNoWritePermission;
      v.detail = Detail::kDeviceRights;
      return v;
    }
  }

  Lower below(lower, image, lower_stage);
  const Verdict top = std::visit([&](const auto& f) { return walk(f, ask, below); }, upper);
  const auto stopped = [&](Verdict v) {
    v.references = top.references + below.references;
    return v;
  };
  if (below.refusal) return stopped(*below.refusal);
  if (!top.ok) {
    Verdict v = stopped(top);
    v.stage = Stage::kStage1;
    return v;
  }

  const Ask onward{.input = top.output, .read = ask.read || ask.execute, .write = ask.write};
  const Verdict bottom = below.ask(onward, Purpose::kAccess, 0);
  if (!bottom.ok) return stopped(bottom);

  std::vector<Update> updates;
  for (Update u : top.updates) {
    const Verdict v = below.ask(Ask{.input = u.at, .write = true}, Purpose::kTableUpdate, u.level);
    if (!v.ok) return stopped(v);
    u.stage = Stage::kStage1;
    u.at = v.output;
    updates.push_back(u);
  }
  updates.insert(updates.end(), below.updates.begin(), below.updates.end());

  Verdict v = top;
  v.references = top.references + below.references;
  v.output = bottom.output;
  // Each leaf is aligned to its own size on both sides, so the smaller one goes on as one.
  v.page_lg2 = std::min(top.page_lg2, bottom.page_lg2);
  v.readable = top.readable && bottom.readable;
  v.writable = top.writable && bottom.writable;
  v.executable = top.executable && bottom.executable;
  v.user = top.user && bottom.user;
  return with_updates(std::move(v), updates, image);
}

}  // namespace weir::model
