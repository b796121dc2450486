// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/walks.h"

namespace weir::compare {
namespace {

// Calls with the library's format for these tables.
template <typename Call>
Observed with_format(const model::Format& format, Call call) {
  if (std::holds_alternative<model::VtdSecondStage>(format))
    return call(std::type_identity<pagetables::VtdSecondStage>{});
  if (std::holds_alternative<model::AmdV1>(format))
    return call(std::type_identity<pagetables::AmdV1>{});
  if (std::get<model::X86FirstStage>(format).sign_extended)
    return call(std::type_identity<pagetables::X86FirstStage>{});
  return call(std::type_identity<pagetables::X86FirstStageUnsigned>{});
}

}  // namespace

pagetables::VtdSecondStage::Rules rules_of(const model::VtdSecondStage& tables) {
  return pagetables::VtdSecondStage::rules({.host_address_bits = tables.host_width,
                                            .snoop_control = tables.snoop_control,
                                            .pages_2m = tables.pages_2m,
                                            .pages_1g = tables.pages_1g,
                                            .accessed_dirty = tables.accessed_dirty,
                                            .transient_mapping = tables.transient_leaf});
}

pagetables::X86FirstStage::Rules rules_of(const model::X86FirstStage& tables) {
  const bool amd = tables.vendor == model::X86FirstStage::Vendor::kAmd;
  return pagetables::X86FirstStage::rules({.host_address_bits = tables.host_width,
                                           .pages_1g = tables.pages_1g,
                                           .no_execute = !amd || tables.no_execute,
                                           .accessed_dirty = tables.set_accessed,
                                           .dirty = tables.set_dirty,
                                           .extended_accessed = tables.extended_accessed,
                                           .reserved_first = amd});
}

pagetables::AmdV1::Rules rules_of(const model::AmdV1& tables) {
  return pagetables::AmdV1::rules({.accessed_dirty = tables.set_accessed,
                                   .dirty = tables.set_dirty,
                                   .memory_class = tables.memory_class});
}

Ask ask_of(const model::Format& upper, const model::Ask& ask) {
  Ask asked;
  asked.access = !ask.write                ? Access::kRead
                 : ask.read || ask.execute ? Access::kReadWrite
                                           : Access::kWrite;
  asked.execute = ask.execute;
  asked.privileged = ask.privileged;
  if (const auto* x86 = std::get_if<model::X86FirstStage>(&upper)) {
    asked.write_protect = x86->write_protect;
    // A PASID entry's NXE is the requester's; AMD's NXSup is the format's.
    if (x86->vendor == model::X86FirstStage::Vendor::kVtd && !x86->no_execute)
      asked.execute = false;
  }
  return asked;
}

Observed library(const model::World& world, const pagetables::PhysicalMemory& memory,
                 const model::Ask& ask) {
  return with_format(world.upper, [&]<typename Upper>(std::type_identity<Upper>) {
    if (!world.lower) return walk_one<Upper>(world, memory, ask);
    return with_format(*world.lower, [&]<typename Lower>(std::type_identity<Lower>) {
      return walk_nested<Upper, Lower>(world, memory, ask);
    });
  });
}

}  // namespace weir::compare
