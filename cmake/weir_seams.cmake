# SPDX-License-Identifier: Apache-2.0
#
# Which files see base/seam.h: the only ones that WEIR_SEAMS compiles into something else.

# Sets `out` to whether `file` (from the root) includes base/seam.h, itself or through another.
function(weir_sees_seams out file)
  get_property(known GLOBAL PROPERTY "WEIR_SEES_SEAMS ${file}" SET)
  if(NOT known)
    set(sees FALSE)
    # Said before the search is over, for headers that include each other.
    set_property(GLOBAL PROPERTY "WEIR_SEES_SEAMS ${file}" FALSE)
    file(STRINGS "${PROJECT_SOURCE_DIR}/${file}" lines REGEX "^#include \"")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" header "${line}")
      if(header STREQUAL "base/seam.h")
        set(sees TRUE)
      elseif(NOT sees AND EXISTS "${PROJECT_SOURCE_DIR}/${header}")
        weir_sees_seams(sees "${header}")
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY "WEIR_SEES_SEAMS ${file}" ${sees})
  endif()
  get_property(sees GLOBAL PROPERTY "WEIR_SEES_SEAMS ${file}")
  set(${out} ${sees} PARENT_SCOPE)
endfunction()

# weir_seamed_sources(<out> <rooms>...): the .cpp files of the rooms that see them. A program that
# links these before the rooms' libraries takes nothing but the others from there; if one of these
# came along as well, its functions would be there twice and the linker would say so.
function(weir_seamed_sources out)
  set(seamed)
  foreach(room IN LISTS ARGN)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}"
         "${PROJECT_SOURCE_DIR}/${room}/*.cpp")
    foreach(source IN LISTS sources)
      weir_sees_seams(sees "${source}")
      if(sees)
        list(APPEND seamed "${PROJECT_SOURCE_DIR}/${source}")
      endif()
    endforeach()
  endforeach()
  set(${out} ${seamed} PARENT_SCOPE)
endfunction()
