// SPDX-License-Identifier: Apache-2.0
#include "tests/model/model.h"

namespace weir::model {

std::string_view to_string(Detail detail) {
  switch (detail) {
    case Detail::kNone:
      return "";
    case Detail::kNonCanonical:
      return "non-canonical";
    case Detail::kUserOfSupervisor:
      return "user request, supervisor page";
    case Detail::kSupervisorExecutesUser:
      return "supervisor executes user page";
    case Detail::kNoExecute:
      return "no execute";
    case Detail::kSupervisorRefused:
      return "supervisor requests disabled";
    case Detail::kExecuteRefused:
      return "execute requests disabled";
    case Detail::kPageSize:
      return "unsupported page size";
    case Detail::kLevelEncoding:
      return "level encoding";
    case Detail::kSkippedBits:
      return "skipped address bits";
    case Detail::kDeviceRights:
      return "device-table entry";
  }
  return "unknown";
}

std::string_view to_string(Purpose purpose) {
  switch (purpose) {
    case Purpose::kAccess:
      return "access";
    case Purpose::kTableRead:
      return "table read";
    case Purpose::kTableUpdate:
      return "table update";
  }
  return "unknown";
}

}  // namespace weir::model
