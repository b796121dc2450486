// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/verify_files.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "tools/verify/fields.h"
#include "tools/verify/machine.h"
#include "tools/verify/vector_file.h"

namespace weir::verify {
namespace {

Result<Done, TraceError> verify_case(VectorFile& file, Machine& machine, Report& report) {
  const Fields fields = file.current();
  const auto operations = fields.objects("ops");
  const auto loaded = machine.load(fields);
  if (file.has_problem()) return file.problem();
  if (!loaded) return file.failure_here(loaded.error());

  report.begin_case();
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Fields& operation = operations[i];
    const bool deviates = operation.has("qemu_deviation");
    const std::string deviation = deviates ? operation.text("qemu_deviation") : "";
    if (deviates && deviation.empty()) operation.complain("qemu_deviation", "is empty");
    if (file.has_problem()) return file.problem();
    const Verdict verdict = machine.run(i);
    report.add(deviation.empty() ? verdict.overruled : deviation, verdict, file.case_number(), i,
               verdict.agrees ? std::string() : operation.dump());
  }
  return Done{};
}

Result<Done, TraceError> verify_file(const std::string& path, const MachineOptions& options,
                                     Report& report, const OnProgress& on_progress) {
  auto opened = VectorFile::open(path);
  if (!opened) return Failure{opened.error()};
  VectorFile& file = *opened;
  const auto machine = make_machine(file.mode(), file.header(), options);
  if (file.has_problem()) return file.problem();

  report.begin_file(path, file.mode());
  for (;;) {
    const auto more = file.next_case();
    if (!more) return Failure{more.error()};
    if (!*more) return Done{};
    if (auto done = verify_case(file, *machine, report); !done) return done;
    on_progress(path, static_cast<double>(file.case_number() + 1) /
                          static_cast<double>(file.announced_cases()));
  }
}

// A file that cannot be verified is better known before an hour is spent on the others.
std::optional<TraceError> look_at_header(const std::string& path) {
  const auto file = VectorFile::open(path);
  if (!file) return file.error();
  if (mode_is_built(file->mode())) return std::nullopt;
  return file->failure_here("mode " + replay::in_quotes(file->mode()) + " is not built").error;
}

}  // namespace

Result<Report, TraceError> verify_files(const std::vector<std::string>& paths,
                                        const ReportLimits& limits, const MachineOptions& machine,
                                        const OnProgress& on_progress) {
  for (const std::string& path : paths) {
    if (auto error = look_at_header(path)) return Failure{std::move(*error)};
  }
  Report report(limits);
  for (const std::string& path : paths) {
    if (auto done = verify_file(path, machine, report, on_progress); !done)
      return Failure{done.error()};
  }
  return report;
}

}  // namespace weir::verify
