# SPDX-License-Identifier: Apache-2.0
#
# Headers go under include/weir with that folder as the include root, so `#include "base/address.h"`
# reads the same in an installed copy as in this tree.

include(GNUInstallDirs)

get_property(rooms GLOBAL PROPERTY WEIR_ROOM_TARGETS)
list(REMOVE_ITEM rooms weir_bench)
install(TARGETS ${rooms} EXPORT weir ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

get_property(dirs GLOBAL PROPERTY WEIR_ROOM_DIRS)
foreach(dir IN LISTS dirs)
  if(EXISTS "${PROJECT_SOURCE_DIR}/${dir}")
    install(
      DIRECTORY "${PROJECT_SOURCE_DIR}/${dir}/"
      DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/weir/${dir}"
      FILES_MATCHING
      PATTERN "*.h")
  endif()
endforeach()

if(TARGET weir_cli)
  install(TARGETS weir_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weir")
install(EXPORT weir NAMESPACE weir:: FILE weir-targets.cmake DESTINATION ${package_dir})
install(FILES "${PROJECT_SOURCE_DIR}/cmake/weir-config.cmake" DESTINATION ${package_dir})
