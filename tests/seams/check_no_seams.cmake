# SPDX-License-Identifier: Apache-2.0
#
# cmake -DNM= -DOPEN= -DCLOSED= -P check_no_seams.cmake: the files of CLOSED hold no symbol of
# weir::seam, and OPEN does, or the question is asked wrongly.

function(count_seams out file)
  execute_process(COMMAND "${NM}" "${file}" OUTPUT_VARIABLE symbols RESULT_VARIABLE status
                  ERROR_QUIET)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} ${file}: ${status}")
  endif()
  string(REGEX MATCHALL "4weir4seam" seams "${symbols}")
  list(LENGTH seams count)
  set(${out} ${count} PARENT_SCOPE)
endfunction()

count_seams(count "${OPEN}")
if(count EQUAL 0)
  message(FATAL_ERROR "${OPEN} shows no seams, although it has some")
endif()
separate_arguments(CLOSED)
foreach(file IN LISTS CLOSED)
  count_seams(count "${file}")
  if(NOT count EQUAL 0)
    message(FATAL_ERROR "${file}: ${count} symbols of weir::seam in the library")
  endif()
endforeach()
