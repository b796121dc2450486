# SPDX-License-Identifier: Apache-2.0
#
# Compiles CASE with COMPILER (no output) and holds the outcome against the markers in the file:
#   // expect-error: REGEX    it must fail, and its messages must match (each marker, if several)
#   // expect-success         it must compile: the control that shows the cases fail for their
#                             own reason and not for a missing header

file(READ "${CASE}" text)
string(REGEX MATCHALL "// expect-error: [^\n]+" errors "${text}")
string(FIND "${text}" "// expect-success" success)
if(NOT errors AND success EQUAL -1)
  message(FATAL_ERROR "${CASE} says neither expect-error nor expect-success")
endif()

# The messages are matched in English.
set(ENV{LC_ALL} C)
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -fsyntax-only "-I${INCLUDE_DIR}" "${CASE}"
  RESULT_VARIABLE status
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output)

if(NOT success EQUAL -1)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${CASE} must compile:\n${output}")
  endif()
  return()
endif()

if(status EQUAL 0)
  message(FATAL_ERROR "${CASE} compiles, and must not")
endif()
foreach(marker IN LISTS errors)
  string(REGEX REPLACE "^// expect-error: " "" regex "${marker}")
  if(NOT output MATCHES "${regex}")
    message(FATAL_ERROR "${CASE} fails for another reason than \"${regex}\":\n${output}")
  endif()
endforeach()
