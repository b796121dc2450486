// SPDX-License-Identifier: Apache-2.0
//
// The capability block of the unit's PCI function (48882 section 3.2): 24 bytes that the embedder
// shows in the function's configuration space. What it says of the unit follows from Options; where
// the registers lie is told to it, as firmware leaves it there.
//
// A plain value; for one thread. `offset` counts from the start of the block; accesses of other
// than 4 aligned bytes are the embedder's to put together.
#pragma once

#include <cstdint>

#include "base/bits.h"
#include "vendors/amdvi/options.h"

namespace weir::amdvi {

namespace capability {
inline constexpr std::uint32_t kBytes = 0x18;
inline constexpr std::uint32_t kHeader = 0x00, kBaseLow = 0x04, kBaseHigh = 0x08, kRange = 0x0c,
                               kMisc0 = 0x10, kMisc1 = 0x14;
inline constexpr Field<7, 0> kId{"CapId", "0Fh: secure device", "3.2.1"};
inline constexpr Field<15, 8> kNext{"CapPtr", "next capability", "3.2.1"};
inline constexpr Field<18, 16> kType{"CapType", "3: IOMMU", "3.2.1"};
inline constexpr Field<23, 19> kRevision{"CapRev", "1", "3.2.1"};
inline constexpr Bit<24> kDeviceTlb{"IotlbSup", "device TLBs", "3.2.1"};
inline constexpr Bit<25> kHtTunnel{"HtTunnel", "HyperTransport tunnel", "3.2.1"};
inline constexpr Bit<26> kNpCache{"NpCache", "not-present entries are cached", "3.2.1"};
inline constexpr Bit<27> kFeatures{"EFRSup", "there is an EFR", "3.2.1"};
inline constexpr Bit<28> kExtended{"CapExt", "there is a misc 1", "3.2.1"};
inline constexpr Bit<0> kEnable{"Enable", "registers answer; base is locked", "3.2.2"};
inline constexpr Field<31, 14> kBase{"BaseAddress[31:14]", "registers", "3.2.2"};
inline constexpr Field<7, 5> kGuestVirtual{"GVASize", "2: 48 bits", "3.2.5"};
inline constexpr Field<14, 8> kPhysical{"PASize", "physical address bits", "3.2.5"};
inline constexpr Field<21, 15> kVirtual{"VASize", "virtual address bits", "3.2.5"};
// An address in two registers.
inline constexpr Field<31, 0> kLowHalf{"low half"};
inline constexpr Field<63, 32> kHighHalf{"high half"};
}  // namespace capability

class CapabilityBlock {
 public:
  // `register_base`: a multiple of 16 KiB. `next`: offset of the next capability, or 0.
  CapabilityBlock(const Options& options, std::uint64_t register_base, std::uint8_t next = 0);

  [[nodiscard]] std::uint32_t read(std::uint32_t offset) const;
  // Only the base can be written, until Enable has been set once.
  void write(std::uint32_t offset, std::uint32_t value);

  // Where the registers answer; meaningful while enabled().
  [[nodiscard]] std::uint64_t register_base() const;
  [[nodiscard]] bool enabled() const { return capability::kEnable.is_set(base_low_); }

 private:
  Options options_;
  std::uint8_t next_;
  std::uint32_t base_low_ = 0;
  std::uint32_t base_high_ = 0;
};

}  // namespace weir::amdvi
