# SPDX-License-Identifier: Apache-2.0
#
# Tests mirror the rooms: tests/<room>/*_test.cpp becomes weir_tests_<room>, and
# tests/<room>/*_stress_test.cpp becomes weir_stress_<room> with the label `concurrency`, which is
# what runs under TSan. Other .cpp files of the folder are helpers and go into both.

include(GoogleTest)

# All stress executables: what the tsan preset has to build.
add_custom_target(weir_stress)

# Sets `out` to a test's limits, label and environment; `timeout` is in seconds of an ordinary run on a release build.
function(weir_test_properties out timeout label)
  if(WEIR_SANITIZE)
    math(EXPR timeout "${timeout} * 3")
  endif()
  set(properties LABELS ${label})
  if(WEIR_LONG)
    math(EXPR timeout "${timeout} * 10")
    list(APPEND properties ENVIRONMENT WEIR_LONG=1)
    # Where the longest are is where ctest begins, or one of them is all that runs at the end.
    if(label MATCHES "^(compare|pagetables|amdvi|model)$")
      list(APPEND properties COST 100)
    endif()
  endif()
  if(label STREQUAL "concurrency")
    # They start threads of their own and mean less when other tests take the processors away.
    # Those that need all of them come first, for the same reason that the longest do.
    list(APPEND properties PROCESSORS 2 COST 500)
  endif()
  set(${out} ${properties} TIMEOUT ${timeout} PARENT_SCOPE)
endfunction()

# Test bodies are read once by the processor and take half the time to compile this way; the rooms
# they link keep their optimisation, and so do stress tests. Up to a gigabyte g++ need not look
# through what a file has instantiated, again and again, for something to free.
set(WEIR_QUICK_TO_COMPILE)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(WEIR_QUICK_TO_COMPILE $<$<NOT:$<CONFIG:Debug>>:-Og> --param=ggc-min-heapsize=1000000)
endif()

# QUICK: what the test itself says is not what takes its time.
function(weir_test_executable target)
  cmake_parse_arguments(TEST "QUICK" "TIMEOUT;LABEL;PREFIX" "SOURCES;LINK" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${target} ${TEST_SOURCES})
  weir_compile(${target})
  target_compile_definitions(
    ${target} PRIVATE "WEIR_TEST_DATA=\"${PROJECT_SOURCE_DIR}/tests/data\"")
  target_link_libraries(${target} PRIVATE ${TEST_LINK} GTest::gmock GTest::gtest_main)
  if(TEST_QUICK)
    target_compile_options(${target} PRIVATE ${WEIR_QUICK_TO_COMPILE})
    weir_share_headers(${target} TEST)
  endif()
  # PRE_TEST: tests are listed when ctest runs, not as a step of the build, so a crash while
  # listing is a failing test instead of a broken build.
  weir_test_properties(properties ${TEST_TIMEOUT} ${TEST_LABEL})
  gtest_discover_tests(
    ${target}
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    TEST_PREFIX "${TEST_PREFIX}."
    PROPERTIES ${properties})
endfunction()

# weir_room_tests(<room> LINK <targets>...)
function(weir_room_tests room)
  cmake_parse_arguments(ROOM "" "" "LINK" ${ARGN})
  set(dir "${PROJECT_SOURCE_DIR}/tests/${room}")
  file(GLOB_RECURSE all CONFIGURE_DEPENDS "${dir}/*.cpp")
  set(stress ${all})
  list(FILTER stress INCLUDE REGEX "_stress_test\\.cpp$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests EXCLUDE REGEX "_stress_test\\.cpp$")
  set(helpers ${all})
  list(FILTER helpers EXCLUDE REGEX "_test\\.cpp$")

  if(tests)
    weir_test_executable(
      weir_tests_${room} QUICK
      SOURCES ${tests} ${helpers}
      LINK ${ROOM_LINK}
      PREFIX ${room}
      LABEL ${room}
      TIMEOUT 120)
    # Except those that take millions of steps of their own, at the latest in their long form.
    set(counting ${tests})
    list(FILTER counting INCLUDE REGEX "_(differential|figures|oracle)_test\\.cpp$")
    set_source_files_properties(${counting} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O1>")
  endif()
  if(stress)
    weir_test_executable(
      weir_stress_${room}
      SOURCES ${stress} ${helpers}
      LINK ${ROOM_LINK}
      PREFIX ${room}
      LABEL concurrency
      TIMEOUT 300)
    add_dependencies(weir_stress weir_stress_${room})
  endif()
endfunction()

# Each examples/*.cpp is a program that must build and exit with 0.
function(weir_examples)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
  foreach(source IN LISTS sources)
    get_filename_component(name "${source}" NAME_WE)
    add_executable(weir_example_${name} "${source}")
    weir_compile(weir_example_${name})
    target_link_libraries(weir_example_${name} PRIVATE weir_vtd)
    add_test(NAME example.${name} COMMAND weir_example_${name})
    weir_test_properties(properties 60 example)
    set_tests_properties(example.${name} PROPERTIES ${properties})
  endforeach()
endfunction()
