// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi_command.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "tools/acpi/audit.h"
#include "tools/acpi/diff.h"
#include "tools/acpi/from_topology.h"
#include "tools/acpi/json.h"
#include "tools/acpi/table.h"
#include "tools/acpi/table_file.h"
#include "tools/acpi/text.h"
#include "tools/exit_status.h"

namespace weir::tools {
namespace {

// One line: which file, where, why.
class Complaint {
 public:
  explicit Complaint(std::ostream& err) : err_(err) {}
  int say(const std::string& file, const std::string& cause) {
    err_ << one_line("weir acpi: " + file + ": " + cause) << "\n";
    return kUnusable;
  }
  int say(const std::string& file, const TableError& error) {
    return say(file, "offset " + std::to_string(error.offset) + ": " + error.cause);
  }

 private:
  // Names out of a file may hold anything.
  [[nodiscard]] static std::string one_line(std::string text) {
    constexpr std::size_t kMost = 600;
    for (char& c : text)
      if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
    if (text.size() > kMost) text.replace(kMost, text.npos, "...");
    return text;
  }

  std::ostream& err_;
};

[[nodiscard]] Result<acpi::Table, std::string> load(const std::string& file) {
  const auto bytes = acpi::read_table_file(file);
  if (!bytes) return Failure{bytes.error()};
  const auto table = acpi::parse_table(*bytes);
  if (!table)
    return Failure{"offset " + std::to_string(table.error().offset) + ": " + table.error().cause};
  return *table;
}

int show(const AcpiOptions& options, std::ostream& out, Complaint& complaint) {
  const auto table = load(options.file);
  if (!table) return complaint.say(options.file, table.error());
  if (options.json) {
    out << acpi::to_json(*table).dump(2) << "\n";
  } else {
    acpi::print_table(out, *table);
  }
  return kGood;
}

int build(const AcpiOptions& options, Complaint& complaint) {
  const auto json = acpi::read_json_file(options.file);
  if (!json) return complaint.say(options.file, json.error());
  Result<std::vector<std::byte>, std::string> bytes = std::vector<std::byte>{};
  if (json->is_object() && json->contains("roots")) {
    bytes = acpi::bytes_from_topology(*json);
  } else if (const auto table = acpi::from_json(*json); !table) {
    bytes = Failure{table.error()};
  } else if (auto written = acpi::write_table(*table); !written) {
    bytes =
        Failure{"offset " + std::to_string(written.error().offset) + ": " + written.error().cause};
  } else {
    bytes = std::move(*written);
  }
  if (!bytes) return complaint.say(options.file, bytes.error());
  if (const auto written = acpi::write_file(options.output, *bytes); !written)
    return complaint.say(options.output, written.error());
  return kGood;
}

int audit(const AcpiOptions& options, std::ostream& out, Complaint& complaint) {
  const auto table = load(options.file);
  if (!table) return complaint.say(options.file, table.error());
  std::optional<nlohmann::ordered_json> machine;
  if (!options.topology.empty()) {
    const auto json = acpi::read_json_file(options.topology);
    if (!json) return complaint.say(options.topology, json.error());
    machine = *json;
  }
  const auto findings = acpi::audit(*table, machine ? &*machine : nullptr);
  if (!findings) return complaint.say(options.topology, findings.error());
  return acpi::print_findings(out, *findings) ? kDifferent : kGood;
}

int diff(const AcpiOptions& options, std::ostream& out, Complaint& complaint) {
  const auto a = load(options.file);
  if (!a) return complaint.say(options.file, a.error());
  const auto b = load(options.other);
  if (!b) return complaint.say(options.other, b.error());
  return acpi::print_differences(out, *a, *b) ? kDifferent : kGood;
}

}  // namespace

int run_acpi(const AcpiOptions& options, std::ostream& out, std::ostream& err) {
  Complaint complaint(err);
  switch (options.task) {
    case AcpiOptions::Task::kShow:
      return show(options, out, complaint);
    case AcpiOptions::Task::kAudit:
      return audit(options, out, complaint);
    case AcpiOptions::Task::kBuild:
      return build(options, complaint);
    case AcpiOptions::Task::kDiff:
      return diff(options, out, complaint);
  }
  return kUnusable;
}

}  // namespace weir::tools
