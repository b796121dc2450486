# SPDX-License-Identifier: Apache-2.0
#
# Headers that nearly every file includes, read once for all of them where WEIR_PRECOMPILE is on: in
# the builds that look for something else than missing includes. The release build reads every
# header where it is included, so that a file without one of its includes fails there.

set(WEIR_SHARED_HEADERS
    <algorithm> <array> <atomic> <fstream> <functional> <map> <memory> <mutex> <optional> <set>
    <span> <sstream> <string> <string_view> <thread> <variant> <vector>)

# weir_share_headers(<target> ROOM|TEST): flags must be complete, and for a TEST those of
# a QUICK test.
function(weir_share_headers target kind)
  if(NOT WEIR_PRECOMPILE)
    return()
  endif()
  string(TOLOWER weir_${kind}_headers carrier)
  if(NOT TARGET ${carrier})
    set(source "${PROJECT_BINARY_DIR}/${carrier}.cpp")
    file(CONFIGURE OUTPUT "${source}" CONTENT "int main() {}\n")
    # Code for libraries and code for programs cannot share what was read.
    if(kind STREQUAL "ROOM")
      add_library(${carrier} OBJECT EXCLUDE_FROM_ALL "${source}")
      target_precompile_headers(${carrier} PRIVATE ${WEIR_SHARED_HEADERS}
                                                   "${PROJECT_SOURCE_DIR}/iommu/iommu.h")
    else()
      add_executable(${carrier} EXCLUDE_FROM_ALL "${source}")
      target_compile_options(${carrier} PRIVATE ${WEIR_QUICK_TO_COMPILE})
      target_link_libraries(${carrier} PRIVATE GTest::gtest)
      target_precompile_headers(${carrier} PRIVATE <gtest/gtest.h> ${WEIR_SHARED_HEADERS} <random>)
    endif()
    weir_compile(${carrier})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${carrier})
endfunction()
