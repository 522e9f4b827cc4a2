# Run at every build: writes OUTPUT, a header with the program's version and the commit it was built from. It is only
# touched when that changes, so that nothing is compiled without need.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=10
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
set(version "${VERSION}")
if(NOT failed AND commit)
  string(APPEND version "+${commit}")
endif()
set(text "#pragma once\n\n#define REHYAT_VERSION \"${version}\"\n")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${OUTPUT} "${text}")
endif()
