// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/machine.h"

#include "tools/verify/amdvi_machine.h"
#include "tools/verify/virtio_iommu_machine.h"
#include "tools/verify/vtd_ir_machine.h"
#include "tools/verify/vtd_machine.h"

namespace weir::verify {
namespace {

struct Mode {
  const char* name;
  std::unique_ptr<Machine> (*make)(const Fields& header, const MachineOptions& options);
};

constexpr Mode kModes[] = {
    {"vtd-legacy", make_vtd_legacy_machine},  {"amdvi", make_amdvi_machine},
    {"vtd-sm-ss", make_vtd_scalable_machine}, {"vtd-sm-fs", make_vtd_scalable_machine},
    {"vtd-ir", make_vtd_ir_machine},          {"virtio-iommu", make_virtio_iommu_machine},
};

const Mode* find(const std::string& name) {
  for (const Mode& mode : kModes) {
    if (name == mode.name) return &mode;
  }
  return nullptr;
}

}  // namespace

bool mode_is_built(const std::string& mode) { return find(mode) != nullptr; }

std::unique_ptr<Machine> make_machine(const std::string& mode, const Fields& header,
                                      const MachineOptions& options) {
  const Mode* const found = find(mode);
  return found == nullptr ? nullptr : found->make(header, options);
}

}  // namespace weir::verify
