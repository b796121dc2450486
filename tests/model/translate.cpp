// SPDX-License-Identifier: Apache-2.0
#include "tests/model/translate.h"

#include <algorithm>
#include <utility>

namespace weir::model {
namespace {

// The image with what a translation has changed so far.
class Memory {
 public:
  explicit Memory(const Image& image) : image_(image) {}

  [[nodiscard]] std::optional<std::uint64_t> load(std::uint64_t at) const {
    for (const Update& u : changes_)
      if (u.at == at) return u.value;
    return image_.load(at);
  }
  [[nodiscard]] bool writable(std::uint64_t at) const { return image_.writable(at); }
  void change(const Update& update) {
    const auto same = std::ranges::find(changes_, update.at, &Update::at);
    if (same == changes_.end())
      changes_.push_back(update);
    else
      same->value |= update.value;  // bits are only ever set
  }
  [[nodiscard]] const std::vector<Update>& changes() const { return changes_; }

 private:
  const Image& image_;
  std::vector<Update> changes_;
};

class FromMemory : public TableReader {
 public:
  explicit FromMemory(const Memory& memory) : memory_(memory) {}
  std::optional<std::uint64_t> read(std::uint64_t at, unsigned) override {
    return memory_.load(at);
  }

 private:
  const Memory& memory_;
};

// Each entry once, with all the bits that any use of it sets: a table can point to itself.
std::vector<Update> merged(const std::vector<Update>& all) {
  std::vector<Update> once;
  for (const Update& u : all) {
    const auto same = std::ranges::find(once, u.at, &Update::at);
    if (same == once.end())
      once.push_back(u);
    else
      same->value |= u.value;
  }
  return once;
}

Verdict update_failed(const Update& update, Stage stage) {
  Verdict failed;
  failed.stage = stage;
  failed.level = update.level;
  failed.entry_at = update.entry_at;
  failed.reason = FaultReason::kUpdateFailed;
  return failed;
}

// A whole translation by tables that lie in memory itself. The verdict's updates are made, and not
// in it any more.
Verdict walk_and_update(const Format& format, const Ask& ask, Memory& memory, Stage stage) {
  FromMemory reader(memory);
  Verdict v = std::visit([&](const auto& f) { return walk(f, ask, reader); }, format);
  v.stage = v.ok ? Stage::kNone : stage;
  const std::vector<Update> updates = merged(std::exchange(v.updates, {}));
  for (Update u : updates) {
    if (!memory.writable(u.at)) {
      Verdict failed = update_failed(u, stage);
      failed.references = v.references;
      return failed;
    }
    u.stage = stage;
    memory.change(u);
  }
  return v;
}

// The stage under another one, with a book of all that it was asked.
class Lower : public TableReader {
 public:
  Lower(const Format& format, Memory& memory, Stage stage)
      : format_(format), memory_(memory), stage_(stage) {}

  // Counts, and keeps the refusal.
  Verdict ask(const Ask& ask, Purpose purpose, unsigned upper_level) {
    Verdict v = walk_and_update(format_, ask, memory_, stage_);
    references += v.references;
    if (!v.ok) {
      v.purpose = purpose;
      v.upper_level = upper_level;
      refusal = v;
    }
    return v;
  }

  std::optional<std::uint64_t> read(std::uint64_t at, unsigned level) override {
    const Verdict v = ask(Ask{.input = at, .read = true}, Purpose::kTableRead, level);
    return v.ok ? memory_.load(v.output) : std::nullopt;
  }

  unsigned references = 0;
  std::optional<Verdict> refusal;

 private:
  const Format& format_;
  Memory& memory_;
  const Stage stage_;
};

struct Refused {
  Verdict why;
  bool changed = false;  // not refused: an entry is another by now
};

// Sets the upper stage's bits. Nothing: done.
std::optional<Refused> update_upper(const std::vector<Update>& updates, Lower& below,
                                    Memory& memory) {
  for (Update u : merged(updates)) {
    const Verdict v = below.ask(Ask{.input = u.at, .write = true}, Purpose::kTableUpdate, u.level);
    if (!v.ok) return Refused{v};
    u.at = v.output;
    u.stage = Stage::kStage1;
    if (!memory.writable(u.at)) return Refused{update_failed(u, u.stage)};
    if (memory.load(u.at) != u.found) return Refused{{}, true};
    memory.change(u);
  }
  return std::nullopt;
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
  Memory memory(image);
  Verdict v = walk_and_update(format, ask, memory, stage);
  v.updates = memory.changes();
  return v;
}

Verdict translate_nested(const Format& upper, const Format& lower, const Ask& ask,
                         const Image& image, Stage lower_stage) {
  if (std::holds_alternative<AmdV1>(lower)) {
    const bool no_write = ask.write && !ask.device_write;
    if (no_write || ((ask.read || ask.execute) && !ask.device_read)) {
      Verdict v;
      v.stage = lower_stage;
      v.reason = no_write ? FaultReason::kNoWritePermission : FaultReason::kNoReadPermission;
      v.detail = Detail::kDeviceRights;
      return v;
    }
  }

  Memory memory(image);
  Lower below(lower, memory, lower_stage);
  unsigned upper_references = 0;
  const auto finished = [&](Verdict v) {
    v.references = upper_references + below.references;
    v.updates = memory.changes();
    return v;
  };
  // Every time round sets at least one bit more, so this ends.
  for (;;) {
    const Verdict top = std::visit([&](const auto& f) { return walk(f, ask, below); }, upper);
    upper_references += top.references;
    if (below.refusal) return finished(*below.refusal);
    if (!top.ok) {
      Verdict v = top;
      v.stage = Stage::kStage1;
      return finished(v);
    }

    const Ask onward{.input = top.output, .read = ask.read || ask.execute, .write = ask.write};
    const Verdict bottom = below.ask(onward, Purpose::kAccess, 0);
    if (!bottom.ok) return finished(bottom);
    if (const auto stopped = update_upper(top.updates, below, memory)) {
      if (stopped->changed) continue;
      return finished(stopped->why);
    }

    Verdict v = top;
    v.output = bottom.output;
    // Each leaf is aligned to its own size on both sides, so the smaller one goes on as one.
    v.page_lg2 = std::min(top.page_lg2, bottom.page_lg2);
    v.readable = top.readable && bottom.readable;
    v.writable = top.writable && bottom.writable;
    v.executable = top.executable && bottom.executable;
    v.user = top.user && bottom.user;
    v.dirty_owed = top.dirty_owed || bottom.dirty_owed;
    return finished(v);
  }
}

}  // namespace weir::model
