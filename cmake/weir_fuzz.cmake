# SPDX-License-Identifier: Apache-2.0
#
# tests/fuzz/*_fuzz.cpp under libFuzzer, for the preset `fuzz` (clang). The rooms are compiled with
# the fuzzer's coverage too, so that it sees which way a walk went.

function(weir_fuzz)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "WEIR_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_custom_target(weir_fuzzers)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.cpp")
  foreach(source IN LISTS sources)
    get_filename_component(name "${source}" NAME_WE)
    add_executable(weir_${name} "${source}")
    weir_compile(weir_${name})
    target_link_libraries(weir_${name} PRIVATE weir_vtd weir_amdvi weir_virtio_iommu)
    target_link_options(weir_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(weir_fuzzers weir_${name})
  endforeach()
  # What takes a client's bytes apart, without the rooms that the rest of the plugs stands on.
  foreach(part message session interrupt_lines dma_maps config_space file_descriptor)
    target_sources(weir_vfio_user_fuzz
                   PRIVATE "${PROJECT_SOURCE_DIR}/plugs/vfio_user/${part}.cpp")
  endforeach()
endfunction()
