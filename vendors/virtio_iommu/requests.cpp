// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/requests.h"

#include "vendors/virtio_iommu/fields.h"

namespace weir::virtio_iommu {

std::size_t bytes_of(RequestType type) {
  switch (type) {
    case RequestType::kAttach:
      return attach::kBytes;
    case RequestType::kDetach:
      return detach::kBytes;
    case RequestType::kMap:
      return map::kBytes;
    case RequestType::kUnmap:
      return unmap::kBytes;
    case RequestType::kProbe:
      return probe::kBytes;
  }
  return kLongestRequest;
}

std::optional<RequestBody> decode_request(std::span<const std::byte> bytes) {
  if (bytes.size() < head::kBytes) return std::nullopt;
  // The head's reserved bytes are ignored (5.13.6.2).
  const auto type = decode_type(get<std::uint8_t>(bytes, head::kType));
  if (!type || bytes.size() < bytes_of(*type)) return std::nullopt;
  const auto word32 = [bytes](std::size_t at) { return get<std::uint32_t>(bytes, at); };
  const auto word64 = [bytes](std::size_t at) { return get<std::uint64_t>(bytes, at); };
  switch (*type) {
    case RequestType::kAttach:
      return Attach{.domain = word32(attach::kDomain),
                    .endpoint = word32(attach::kEndpoint),
                    .flags = word32(attach::kFlags),
                    .reserved = word32(attach::kReserved)};
    case RequestType::kDetach:
      return Detach{.domain = word32(detach::kDomain), .endpoint = word32(detach::kEndpoint)};
    case RequestType::kMap:
      return Map{.domain = word32(map::kDomain),
                 .first = Iova(word64(map::kVirtStart)),
                 .last = Iova(word64(map::kVirtEnd)),
                 .output = Gpa(word64(map::kPhysStart)),
                 .flags = word32(map::kFlags)};
    case RequestType::kUnmap:
      return Unmap{.domain = word32(unmap::kDomain),
                   .first = Iova(word64(unmap::kVirtStart)),
                   .last = Iova(word64(unmap::kVirtEnd))};
    case RequestType::kProbe:
      return Probe{.endpoint = word32(probe::kEndpoint)};
  }
  return std::nullopt;
}

}  // namespace weir::virtio_iommu
