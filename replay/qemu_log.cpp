// SPDX-License-Identifier: Apache-2.0
#include "replay/qemu_log.h"

#include <utility>

#include "replay/sniff.h"

namespace weir::replay {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};

// The access of a first half, its address not known yet.
LoggedAccess access_of(const AccessHalf& half) {
  LoggedAccess access;
  access.requester = half.requester;
  access.iova = half.iova;
  access.leaf_entry = half.leaf_entry;
  access.domain = half.domain;
  access.outcome = half.outcome;
  return access;
}

// An access that no table had a part in.
LoggedAccess identity(Requester requester, Iova iova, AccessOutcome outcome) {
  LoggedAccess access;
  access.requester = requester;
  access.iova = iova;
  access.gpa = Gpa(iova.value());
  access.page_mask = kPageSize - 1;
  access.outcome = outcome;
  return access;
}

}  // namespace

Result<QemuLogReader, TraceError> QemuLogReader::open(std::string path) {
  auto lines = LineReader::open(std::move(path));
  if (!lines) {
    return Failure{std::move(lines.error())};
  }
  return QemuLogReader(std::move(*lines));
}

QemuLogReader::Next QemuLogReader::next() {
  for (;;) {
    const auto got = lines_.next();
    if (!got) {
      return Failure{got.error()};
    }
    const std::optional<std::string_view> line = *got;
    if (!line) {
      if (open_access_) {
        return half_an_access(*open_access_);
      }
      return std::optional<QemuEvent>();
    }
    ++counts_.lines;
    const auto head = parse_qemu_head(*line);
    if (!head) {
      if (!is_qemu_message(*line)) {
        return not_a_trace_line(*line);
      }
      ++counts_.messages;
      continue;
    }
    const auto taken = parse_qemu_text(*head, *line);
    if (!taken) {
      return lines_.failure_here(taken.error());
    }
    if (std::holds_alternative<SkippedLine>(*taken)) {
      // A guest's task may be called "my_task": then its ftrace line begins like an event.
      if (parse_ftrace_head(*line)) {
        return not_a_trace_line(*line);
      }
      ++counts_.skipped;
      continue;
    }
    Next event = take(*taken, head->time_us);
    if (!event || *event) {
      return event;
    }
  }
}

// nullopt: nothing to give out yet.
QemuLogReader::Next QemuLogReader::take(const QemuLine& taken, std::uint64_t time_us) {
  const auto give = [&](const QemuEventBody& what) -> Next {
    ++counts_.events;
    return std::optional(QemuEvent{lines_.line_number(), time_us, what});
  };
  return std::visit(
      Overloaded{
          [](SkippedLine) -> Next { return std::optional<QemuEvent>(); },
          [&](const QemuEventBody& what) -> Next {
            // QEMU makes room between the two halves: the reset is what the fill finds.
            if (open_access_ && !std::holds_alternative<IotlbReset>(what) &&
                open_access_->half.outcome != AccessOutcome::kPassThrough) {
              return half_an_access(*open_access_);
            }
            return give(what);
          },
          [&](const AccessHalf& half) -> Next { return open_access(half, time_us); },
          [&](const PassThroughHalf& half) -> Next {
            AccessHalf open;
            open.requester = half.requester;
            open.iova = half.iova;
            open.outcome = AccessOutcome::kPassThrough;
            auto opened = open_access(open, time_us);
            return opened ? give(identity(half.requester, half.iova, open.outcome)) : opened;
          },
          [&](const TranslatedHalf& half) -> Next { return close_access(half, time_us); },
          [&](const ForeignIommu& foreign) -> Next {
            return lines_.failure_here("this trace is from " + std::string(foreign.model) +
                                       ": that front end is not built yet");
          },
      },
      taken);
}

QemuLogReader::Next QemuLogReader::open_access(const AccessHalf& half, std::uint64_t time_us) {
  if (open_access_) {
    return half_an_access(*open_access_);
  }
  open_access_ = OpenAccess{half, lines_.line_number(), time_us};
  return std::optional<QemuEvent>();
}

QemuLogReader::Next QemuLogReader::close_access(const TranslatedHalf& translated,
                                                std::uint64_t time_us) {
  const auto opened = std::exchange(open_access_, std::nullopt);
  const bool is_identity =
      translated.iova.value() == translated.gpa.value() && translated.page_mask == kPageSize - 1;
  if (!opened) {
    if (!is_identity) {
      return lines_.failure_here(
          "vtd_dmar_translate without the vtd_iotlb_page_hit or _update line that belongs before "
          "it: the log is cut off or was filtered");
    }
    ++counts_.events;
    return std::optional(
        QemuEvent{lines_.line_number(), time_us,
                  identity(translated.requester, translated.iova, AccessOutcome::kUnremapped)});
  }
  const std::uint64_t offset = opened->half.iova.value() & translated.page_mask;
  const bool passes_through = opened->half.outcome == AccessOutcome::kPassThrough;
  if (opened->half.requester != translated.requester ||
      opened->half.iova - offset != translated.iova || (passes_through && !is_identity)) {
    return lines_.failure_here("vtd_dmar_translate does not belong to the access of line " +
                               std::to_string(opened->line) + " before it");
  }
  ++counts_.paired;
  if (passes_through) {
    return std::optional<QemuEvent>();
  }
  LoggedAccess access = access_of(opened->half);
  access.gpa = translated.gpa + offset;
  access.page_mask = translated.page_mask;
  ++counts_.events;
  return std::optional(QemuEvent{opened->line, opened->time_us, access});
}

Failure<TraceError> QemuLogReader::not_a_trace_line(std::string_view line) const {
  return lines_.failure_here(not_this_kind(TraceKind::kQemuLog, line));
}

Failure<TraceError> QemuLogReader::half_an_access(const OpenAccess& opened) const {
  return failure(lines_.file(), opened.line,
                 "access without its vtd_dmar_translate line: the log is cut off or was filtered");
}

}  // namespace weir::replay
