// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/compare.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tests/compare/describe.h"

namespace weir::compare {
namespace {

// How memory came out of it, the first word that is not what the oracle makes of it.
std::optional<std::string> compare_memory(const std::vector<model::Update>& updates,
                                          Machine& machine) {
  std::ostringstream out;
  out << std::hex;
  const auto reported = machine.take_reported();
  for (const model::Update& u : updates) {
    if (machine.word(u.at) != u.value)
      out << "  entry at 0x" << u.at << " is 0x" << machine.word(u.at) << " and not 0x" << u.value
          << '\n';
    else if (!std::ranges::binary_search(reported, u.at))
      out << "  entry at 0x" << u.at << " was changed without a word to the dirty sink\n";
  }
  for (const std::uint64_t at : reported)
    if (std::ranges::find(updates, at, &model::Update::at) == updates.end())
      out << "  entry at 0x" << at << " was written, is 0x" << machine.word(at) << '\n';
  if (machine.plainly_stored()) out << "  an entry was stored and not compare-exchanged\n";
  const std::string text = out.str();
  return text.empty() ? std::nullopt : std::optional(text);
}

void put_back(const model::World& world, Machine& machine,
              const std::vector<model::Update>& updates) {
  for (const model::Update& u : updates) machine.put(u.at, *world.image.load(u.at));
}

}  // namespace

void leave_the_tables_alone(model::Format& format) {
  if (auto* ss = std::get_if<model::VtdSecondStage>(&format)) ss->guest_width = 57;
  if (auto* x86 = std::get_if<model::X86FirstStage>(&format)) {
    x86->supervisor = true;
    x86->execute_requests = true;
    x86->smep = false;
  }
}

void leave_the_tables_alone(model::World& world) {
  leave_the_tables_alone(world.upper);
  if (world.lower) leave_the_tables_alone(*world.lower);
}

std::optional<std::string> compare(const model::World& world, Machine& machine,
                                   const model::Ask& ask, Subject subject, Tally& tally) {
  const model::Verdict verdict = world.expect(ask);
  const Observed expected = observed(verdict);
  tally.add(expected);
  const Observed got = subject(world, machine.memory(), ask);
  const auto memory = compare_memory(verdict.updates, machine);
  if (got == expected && !memory) {
    put_back(world, machine, verdict.updates);
    return std::nullopt;
  }
  return describe(world, ask) + "oracle: " + to_string(expected) + "\nwalk:   " + to_string(got) +
         "\n" + memory.value_or("");
}

Outcome run(const Plan& plan, Subject subject) {
  constexpr std::uint64_t kAsksPerWorld = 40;
  Outcome outcome;
  const char* only = std::getenv("WEIR_COMPARE_WORLD");
  std::uint64_t seed = only == nullptr ? 1 : std::strtoull(only, nullptr, 0);
  for (; outcome.tally.asked() < plan.requests; ++seed) {
    model::World world = model::random_world(seed, plan.upper, plan.lower);
    leave_the_tables_alone(world);
    Machine machine(world.image,
                    seed % 8 == 0 ? Machine::Backing::kCallbacks : Machine::Backing::kHostMemory);
    model::Random random(~seed);
    const auto tell = [&](const std::string& difference) {
      std::ostringstream out;
      out << "WEIR_COMPARE_WORLD=" << seed << ", request " << outcome.tally.asked() << ", "
          << to_string(plan.upper) << (plan.lower ? " over " : "")
          << (plan.lower ? to_string(*plan.lower) : "") << '\n'
          << difference;
      outcome.difference = out.str();
    };
    for (std::uint64_t n = 0; n < kAsksPerWorld; ++n) {
      model::Ask ask = model::random_ask(world, random);
      ask.device_read = ask.device_write = true;  // the device-table entry's, not the tables'
      if (const auto difference = compare(world, machine, ask, subject, outcome.tally)) {
        tell(*difference);
        return outcome;
      }
    }
    if (const auto at = machine.differs_at(world.image)) {
      std::ostringstream out;
      out << std::hex << "  word at 0x" << *at << " was changed without a word to the dirty sink\n";
      tell(out.str());
      return outcome;
    }
    if (only != nullptr) break;
  }
  return outcome;
}

bool long_run() { return std::getenv("WEIR_LONG") != nullptr; }

std::uint64_t requests(std::uint64_t few, std::uint64_t many) {
  if (const char* given = std::getenv("WEIR_COMPARE_REQUESTS"))
    return std::strtoull(given, nullptr, 0);
  return long_run() ? many : few;
}

}  // namespace weir::compare
