// SPDX-License-Identifier: Apache-2.0
#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "tools/acpi_command.h"
#include "tools/bench_command.h"
#include "tools/exit_status.h"
#include "tools/replay_command.h"
#include "tools/serve_command.h"
#include "tools/verify_command.h"

namespace weir::tools {
namespace {

// Streams for a subcommand, and what it answered.
struct Call {
  std::ostream& out;
  std::ostream& err;
  std::function<int()> run;
};

void add_verify(CLI::App& app, Call& call) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* const command =
      app.add_subcommand("verify", "Compare with recorded test vectors, operation by operation");
  command->add_option("VECTOR", options->files, "Vector files (JSON lines, plain or xz)")
      ->required();
  command->add_option("--failures", options->failures, "Failing operations to show in full")
      ->capture_default_str();
  command
      ->add_option("--deviations", options->deviations,
                   "Operations to show in full for each QEMU deviation that differs here")
      ->capture_default_str();
  command->add_option("--entries", options->caches.entries, "IOTLB entries; 0: none")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_flag_callback(
      "--reference-cache",
      [options] { options->caches.organisation = CacheOptions::Organisation::kReference; },
      "Exact LRU over all entries instead (0 entries: no limit)");
  command->callback([options, &call] {
    call.run = [=, &call] { return run_verify(*options, call.out, call.err); };
  });
}

void add_replay(CLI::App& app, Call& call) {
  auto options = std::make_shared<ReplayCommandOptions>();
  CLI::App* const command = app.add_subcommand(
      "replay", "Replay a real guest's DMA trace through a unit and report on it");
  command->add_option("TRACE", options->files, "QEMU trace logs (plain or xz)")->required();
  command->add_flag("--json", options->json, "Print JSON (docs/report.md)");
  command
      ->add_option("--entries", options->entries, "Entries of the IOTLB; 0: none, see --reference")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 24))
      ->capture_default_str();
  command->add_flag("--reference", options->reference,
                    "Exact LRU over all entries instead; --entries 0 is then no limit");
  command->callback([options, &call] {
    call.run = [=, &call] { return run_replay(*options, call.out, call.err); };
  });
}

void add_bench(CLI::App& app, Call& call) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* const command =
      app.add_subcommand("bench", "Measure, and compare with the figures to reach");
  command->add_option("FIGURE", options->figures, "Ids of figures (G1 …); default: all");
  command->add_flag("--json", options->json, "The report as JSON (docs/bench.md)");
  command->add_flag("--strict", options->strict, "Exit with 1 if a required figure is missed");
  command->add_flag("--quick", options->quick, "Show that it works; the figures mean nothing");
  command->callback([options, &call] {
    call.run = [=, &call] { return run_bench(*options, call.out, call.err); };
  });
}

void add_serve(CLI::App& app, Call& call) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* const command =
      app.add_subcommand("serve", "Serve a machine's IOMMU and devices to a QEMU, over vfio-user");
  command->add_option("MACHINE", options->description, "Its description (docs/serve.md)")
      ->required();
  command->add_option("--folder", options->folder, "Of sockets and firmware table")
      ->capture_default_str();
  command->add_option("--qemu", options->qemu, "QEMU in the command that is printed")
      ->capture_default_str();
  command->add_option("--record", options->record,
                      "A file for a trace of all that happens (docs/trace-format.md)");
  command->add_flag("--check", options->check,
                    "Compare every answer with the tables and count stale ones");
  command->add_flag("--once", options->once, "End when the QEMU has gone");
  command->callback([options, &call] {
    call.run = [=, &call] { return run_serve(*options, call.out, call.err); };
  });
}

void add_acpi(CLI::App& app, Call& call) {
  using Task = AcpiOptions::Task;
  CLI::App* const command = app.add_subcommand(
      "acpi", "Firmware tables that say who is behind which IOMMU (docs/acpi.md)");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Task task) {
    auto options = std::make_shared<AcpiOptions>();
    options->task = task;
    CLI::App* const sub = command->add_subcommand(name, what);
    sub->callback([options, &call] {
      call.run = [=, &call] { return run_acpi(*options, call.out, call.err); };
    });
    return std::pair(sub, options);
  };
  constexpr const char* kFile = "A DMAR, IVRS or VIOT: binary, or the text of acpidump";
  const auto [show, shown] = add("show", "Print a table", Task::kShow);
  show->add_option("FILE", shown->file, kFile)->required();
  show->add_flag("--json", shown->json, "Its fields as JSON, from which `build` makes it again");
  const auto [audit, audited] = add("audit", "Say what is wrong with a table", Task::kAudit);
  audit->add_option("FILE", audited->file, kFile)->required();
  audit->add_option("--topology", audited->topology, "The machine it is for, as JSON");
  const auto [build, built] = add("build", "Make a table", Task::kBuild);
  build->add_option("JSON", built->file, "Fields of a table, or a machine")->required();
  build->add_option("-o,--output", built->output, "The file to write")->required();
  const auto [diff, compared] = add("diff", "Say in which fields two tables differ", Task::kDiff);
  diff->add_option("A", compared->file, kFile)->required();
  diff->add_option("B", compared->other, kFile)->required();
}

// Every subcommand: its options, and in its callback the call to make. They are listed in this
// order by --help.
constexpr void (*kSubcommands[])(CLI::App& app, Call& call) = {
    add_replay, add_verify, add_bench, add_serve, add_acpi,
};

int parse_and_run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app("A two-stage IOMMU in software", "weir");
  app.require_subcommand(1);
  // One line, as for every other kind of bad input.
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    std::string line = error.what();
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    return "weir: " + line + " (see weir --help)\n";
  });
  Call call{out, err, {}};
  for (const auto add : kSubcommands) add(app, call);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kGood : kUnusable;
  }
  return call.run();
}

}  // namespace

int run_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  try {
    const int status = parse_and_run(argc, argv, out, err);
    if (out.flush()) return status;
    err << "weir: the output cannot be written\n";
  } catch (const std::exception& error) {
    err << "weir: " << error.what() << "\n";
  }
  return kUnusable;
}

}  // namespace weir::tools
