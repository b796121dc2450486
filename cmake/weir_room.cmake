# SPDX-License-Identifier: Apache-2.0
#
# One static library per room, its files found by globbing: adding a file to a room touches no
# CMake file, and CONFIGURE_DEPENDS makes the next build notice it.

# weir_room(<name> [DIR <folder>] [DEPENDS <targets>...] [LINK <targets>...])
#
# Defines weir_<name>. DEPENDS is what the room's headers include; LINK is what only its own files
# use. A room with headers only (or nothing yet) becomes an INTERFACE library.
function(weir_room name)
  cmake_parse_arguments(ROOM "" "DIR" "DEPENDS;LINK" ${ARGN})
  if(NOT ROOM_DIR)
    set(ROOM_DIR ${name})
  endif()
  set(dir "${PROJECT_SOURCE_DIR}/${ROOM_DIR}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${dir}/*.cpp")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${dir}/*.h")

  set(target weir_${name})
  if(sources)
    add_library(${target} STATIC ${sources} ${headers})
    weir_compile(${target})
    weir_share_headers(${target} ROOM)
    target_link_libraries(${target} PUBLIC ${ROOM_DEPENDS} PRIVATE ${ROOM_LINK})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    # Nothing of the room is compiled on its own, so whoever includes its headers needs all of it.
    target_link_libraries(${target} INTERFACE ${ROOM_DEPENDS} ${ROOM_LINK})
    set(scope INTERFACE)
  endif()
  add_library(weir::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(
    ${target} ${scope} "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>"
    "$<INSTALL_INTERFACE:include/weir>")
  set_property(GLOBAL APPEND PROPERTY WEIR_ROOM_TARGETS ${target})
  set_property(GLOBAL APPEND PROPERTY WEIR_ROOM_DIRS ${ROOM_DIR})
endfunction()

# bench/*.cpp as a library, so that `weir bench` is the same binary as everything else. Defines
# nothing while bench/ is empty.
function(weir_bench)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
  if(NOT sources)
    return()
  endif()
  find_package(benchmark REQUIRED)
  add_library(weir_bench STATIC ${sources})
  weir_compile(weir_bench)
  weir_share_headers(weir_bench ROOM)
  # A report says what it was taken of.
  target_compile_definitions(
    weir_bench PRIVATE "WEIR_VERSION=\"${PROJECT_VERSION}\""
                       "WEIR_BUILD_TYPE=\"$<IF:$<STREQUAL:$<CONFIG>,>,none,$<CONFIG>>\"")
  target_link_libraries(
    weir_bench
    PUBLIC weir_vtd weir_replay
    PRIVATE benchmark::benchmark TBB::tbb nlohmann_json::nlohmann_json)
  set_property(GLOBAL APPEND PROPERTY WEIR_ROOM_TARGETS weir_bench)
endfunction()

# The `weir` command. Everything but tools/main.cpp is the library weir_tools, so that tests can
# call the subcommands without starting a process.
function(weir_command)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/*.cpp")
  if(NOT sources)
    return()
  endif()
  set(main "${PROJECT_SOURCE_DIR}/tools/main.cpp")
  list(REMOVE_ITEM sources "${main}")
  find_package(CLI11 REQUIRED)

  set(links weir_replay weir_plugs CLI11::CLI11 nlohmann_json::nlohmann_json LibLZMA::LibLZMA
            spdlog::spdlog TBB::tbb)
  if(sources)
    add_library(weir_tools STATIC ${sources})
    weir_compile(weir_tools)
    weir_share_headers(weir_tools ROOM)
    set(scope PUBLIC)
  else()
    add_library(weir_tools INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(weir_tools ${scope} ${links})
  if(TARGET weir_bench)
    target_link_libraries(weir_tools ${scope} weir_bench)
    target_compile_definitions(weir_tools ${scope} WEIR_HAS_BENCH=1)
  endif()

  if(EXISTS "${main}")
    add_executable(weir_cli "${main}")
    weir_compile(weir_cli)
    target_link_libraries(weir_cli PRIVATE weir_tools)
    set_target_properties(weir_cli PROPERTIES OUTPUT_NAME weir RUNTIME_OUTPUT_DIRECTORY
                                                               "${PROJECT_BINARY_DIR}")
  else()
    message(WARNING "tools/ has no main.cpp: the weir command is not built")
  endif()
endfunction()

# weir_libraries: all rooms (and the bench library) without tests.
function(weir_libraries_target)
  add_custom_target(weir_libraries)
  get_property(rooms GLOBAL PROPERTY WEIR_ROOM_TARGETS)
  if(TARGET weir_tools)
    list(APPEND rooms weir_tools)
  endif()
  foreach(room IN LISTS rooms)
    get_target_property(type ${room} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      add_dependencies(weir_libraries ${room})
    endif()
  endforeach()
endfunction()
