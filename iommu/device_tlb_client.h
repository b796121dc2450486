// SPDX-License-Identifier: Apache-2.0
//
// A function that has a TLB of its own and no other wish: asks for translations, keeps them, sends
// translated requests, forgets and acknowledges what it is told to. For device emulators that are
// to behave as one with ATS.
//
// translate: inside a burst of the function's port, any thread. The rest: any thread. Made with
// `attach`, which also makes it the port's AtsDevice; it must not outlive the port.
#pragma once

#include <cstddef>
#include <memory>

#include "iommu/ats.h"
#include "iommu/dma_port.h"
#include "iotlb/device_tlb.h"

namespace weir {

class DeviceTlbClient final : public AtsDevice {
 public:
  [[nodiscard]] static std::shared_ptr<DeviceTlbClient> attach(DmaPort& port, std::size_t entries);

  // As Burst::translate, through the function's own TLB. What it may not have is asked for
  // untranslated, so that the fault is met where the architecture records it.
  [[nodiscard]] Result<Translation, Fault> translate(DmaPort::Burst& burst, Iova iova,
                                                     std::uint64_t size, Access access,
                                                     const DmaAttributes& attributes = kPlainDma);

  void on_invalidate(const AtsInvalidation& what) override;
  // The function was reset.
  void forget() { (void)tlb_.invalidate(std::nullopt, true, whole_space<Iova>()); }

  [[nodiscard]] iotlb::DeviceTlb& tlb() { return tlb_; }

 private:
  DeviceTlbClient(DmaPort& port, std::size_t entries) : port_(port), tlb_(entries) {}

  DmaPort& port_;
  iotlb::DeviceTlb tlb_;
};

}  // namespace weir
