# SPDX-License-Identifier: Apache-2.0
#
# Language, warnings and sanitizers: the one place where compiler flags are written.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Later embedders link the static libraries into shared objects of their own.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(WEIR_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
    -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND WEIR_WARNINGS -Wthread-safety)
endif()
if(WEIR_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports variables that only the sanitizers' own instrumentation leaves undecided; the
  # release build has the same warning without that noise.
  list(APPEND WEIR_WARNINGS -Wno-maybe-uninitialized)
endif()

if(WEIR_SANITIZE)
  # Directory-wide, because a sanitizer that misses one translation unit misses its races and
  # overflows without saying so.
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
  if(WEIR_SANITIZE MATCHES "thread")
    # TSan cannot see the synchronisation inside TBB's (uninstrumented) scheduler and reports
    # races that do not exist, so code that would start TBB tasks runs its serial path instead.
    add_compile_definitions(WEIR_NO_TBB_TASKS=1)
  endif()
endif()

# Compiles `target` the way all of weir is compiled.
function(weir_compile target)
  target_compile_options(${target} PRIVATE ${WEIR_WARNINGS})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
endfunction()
