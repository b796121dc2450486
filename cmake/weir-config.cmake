# SPDX-License-Identifier: Apache-2.0
include(CMakeFindDependencyMacro)

# The libraries are static: what a room uses inside still has to be linked by whoever uses it.
find_dependency(Threads)
find_dependency(TBB)
find_dependency(Boost)
find_dependency(spdlog)
find_dependency(LibLZMA)
find_dependency(zstd)
find_dependency(nlohmann_json)

include("${CMAKE_CURRENT_LIST_DIR}/weir-targets.cmake")
