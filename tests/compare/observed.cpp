// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/observed.h"

#include <sstream>

namespace weir::compare {
namespace {

FaultReason reason_of(const model::Verdict& verdict) {
  switch (verdict.detail) {
    case model::Detail::kNonCanonical:
      return FaultReason::kNonCanonical;
    case model::Detail::kUserOfSupervisor:
      return FaultReason::kNotUser;
    case model::Detail::kNoExecute:
      return FaultReason::kNoExecutePermission;
    case model::Detail::kLevelEncoding:
      return FaultReason::kLevelEncoding;
    case model::Detail::kSkippedBits:
      return FaultReason::kSkippedBits;
    case model::Detail::kNone:
    case model::Detail::kSupervisorExecutesUser:
    case model::Detail::kSupervisorRefused:
    case model::Detail::kExecuteRefused:
    case model::Detail::kPageSize:
    case model::Detail::kDeviceRights:
      return verdict.reason;
  }
  return verdict.reason;
}

std::string to_string(Permissions p) {
  std::string text;
  text += p.can_read() ? 'r' : '-';
  text += p.can_write() ? 'w' : '-';
  text += p.can_execute() ? 'x' : '-';
  text += p.user() ? 'u' : '-';
  return text;
}

}  // namespace

std::string to_string(const Observed& o) {
  std::ostringstream out;
  out << std::hex;
  if (o.ok) {
    out << "output 0x" << o.output << std::dec << ", page 2^" << o.page_lg2 << ", "
        << to_string(o.permissions) << ", to be cached " << to_string(o.cacheable);
  } else {
    out << to_string(o.stage) << ", level " << o.level << ", entry at 0x" << o.entry_at << ": "
        << to_string(o.reason) << std::dec;
  }
  out << ", " << o.references << " references";
  return out.str();
}

Observed observed(const model::Verdict& v) {
  Observed o;
  o.ok = v.ok;
  o.references = v.references;
  if (!v.ok) {
    o.stage = v.stage;
    o.level = v.level;
    o.entry_at = v.entry_at;
    o.reason = reason_of(v);
    return o;
  }
  o.output = v.output;
  o.page_lg2 = v.page_lg2;
  o.permissions = Permissions::from_bits(
      (v.readable ? Permissions::kReadBit : 0U) | (v.writable ? Permissions::kWriteBit : 0U) |
      (v.executable ? Permissions::kExecuteBit : 0U) | (v.user ? Permissions::kUserBit : 0U));
  o.cacheable = v.dirty_owed ? o.permissions.without_write() : o.permissions;
  return o;
}

}  // namespace weir::compare
