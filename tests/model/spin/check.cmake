# SPDX-License-Identifier: Apache-2.0
#
# Runs one model through spin: cmake -DSPIN= -DCC= -DMODEL= -DDEFINES= -DEXPECT= -DWORK= -P check.cmake
#
# EXPECT is what the search must run into, as a regular expression; empty: it must be complete and
# find nothing. An incomplete search proves nothing and fails either way.

foreach(tool SPIN CC)
  if(NOT ${tool})
    message(FATAL_ERROR "${tool}: not found (packages.txt names what the tests need)")
  endif()
endforeach()

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
separate_arguments(DEFINES)

macro(step what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${WORK}" RESULT_VARIABLE status
                  OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${said}")
  endif()
endmacro()

step("spin" "${SPIN}" -a ${DEFINES} "${MODEL}")
# A seeded bug is found in less time than an optimising compiler takes.
set(optimise -O0)
if(EXPECT STREQUAL "")
  set(optimise -O1)
endif()
# Memory in megabytes; what does not fit ends the search, which is then incomplete.
step("the compiler" "${CC}" ${optimise} -w -DSAFETY -DCOLLAPSE -DMEMLIM=2500 -o pan pan.c)
step("pan" "${WORK}/pan" -m100000 -w22)
file(REMOVE_RECURSE "${WORK}")

string(REGEX MATCH "errors: [0-9]+" errors "${said}")
if(said MATCHES "max search depth too small|MEMLIM bound")
  message(FATAL_ERROR "the search is not complete:\n${said}")
elseif(EXPECT STREQUAL "" AND NOT errors STREQUAL "errors: 0")
  message(FATAL_ERROR "the model does not keep its law:\n${said}")
elseif(NOT EXPECT STREQUAL "" AND NOT said MATCHES "${EXPECT}")
  message(FATAL_ERROR "the seeded bug was not rejected by \"${EXPECT}\":\n${said}")
endif()
string(REGEX MATCH "[0-9.e+]+ states, stored" states "${said}")
message(STATUS "${errors}, ${states}")
