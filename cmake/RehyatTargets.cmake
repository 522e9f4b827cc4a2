# Every target of the project is made by the functions below, so that warnings, sanitizers, the compiler cache and
# the precompiled header are set in one place.
include_guard()

find_program(REHYAT_CCACHE ccache)
if(REHYAT_CCACHE)
  # gcc's precompiled headers need these two allowances, or every translation unit misses.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
                                  CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${REHYAT_CCACHE})
endif()

# At most one translation unit a core and 2 GiB of memory: libtorch's headers take over 1 GiB each.
cmake_host_system_information(RESULT _rehyat_memory QUERY TOTAL_PHYSICAL_MEMORY)
cmake_host_system_information(RESULT _rehyat_cores QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR _rehyat_jobs "${_rehyat_memory} / 2048")
if(_rehyat_jobs LESS 1)
  set(_rehyat_jobs 1)
elseif(_rehyat_jobs GREATER _rehyat_cores)
  set(_rehyat_jobs ${_rehyat_cores})
endif()
set_property(GLOBAL PROPERTY JOB_POOLS rehyat_compile=${_rehyat_jobs})
set(CMAKE_JOB_POOL_COMPILE rehyat_compile)

function(rehyat_apply_options target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Wno-missing-field-initializers>)
  # gcc 12 warns of overlaps inside its own std::string (GCC bug 105329), and in a unit of several sources it takes an
  # anonymous namespace for one of a header.
  target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict
                                           -Wno-subobject-linkage>)
  if(REHYAT_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>
                                             $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
  endif()
  if(REHYAT_CCACHE)
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fpch-preprocess>)
  endif()
  if(REHYAT_SANITIZER)
    # What the sanitizers insert hides from gcc that a value was set; 13 then warns inside of <regex>.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${REHYAT_SANITIZER}
                                             -fno-omit-frame-pointer -fno-sanitize-recover=all
                                             -Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=${REHYAT_SANITIZER})
  endif()
endfunction()

# Sources that are compiled as one unit; 0 compiles each by itself.
set(REHYAT_UNITY 8 CACHE STRING "Sources that are compiled as one unit; 0 compiles each by itself")

# Half of the time that a source with libtorch takes is spent on headers and on instantiating their templates: several
# sources share it in one unit, and all units share a precompiled header.
function(rehyat_compile_together target torch)
  # gcc 12 takes the length of some of its own strings for negative (GCC bug 105651).
  target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-stringop-overflow>)
  if(torch)
    # gcc 13 takes a std::vector<bool> inside of libtorch's Function::apply for one of a single word.
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-array-bounds>)
    target_precompile_headers(${target} REUSE_FROM rehyat_pch)
  else()
    target_precompile_headers(${target} REUSE_FROM rehyat_plain_pch)
  endif()
  if(torch AND REHYAT_UNITY GREATER 0)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${REHYAT_UNITY})
  endif()
endfunction()

# rehyat_library(NAME [TORCH] [SOURCES ...] DEPS ...): the static library of the folder src/NAME, rehyat::NAME.
# DEPS are the only folders whose headers it may include; TORCH gives it libtorch and the shared precompiled header.
function(rehyat_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;EXCLUDE;DEPS;PRIVATE_DEPS" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB_RECURSE ARG_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  foreach(pattern IN LISTS ARG_EXCLUDE)
    list(FILTER ARG_SOURCES EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(rehyat_${name} STATIC ${ARG_SOURCES})
  add_library(rehyat::${name} ALIAS rehyat_${name})
  # Folder by folder: a header of a folder that is not in DEPS is not on the include path.
  set(exported ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${exported})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${exported}/${name} SYMBOLIC)
  target_include_directories(rehyat_${name} PUBLIC ${exported})
  # A folder that comes later in the list of src/CMakeLists.txt is no target yet: the list is the direction.
  foreach(dep IN LISTS ARG_DEPS ARG_PRIVATE_DEPS)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "src/${name} depends on ${dep}, which is not found or comes after it in src/CMakeLists.txt")
    endif()
  endforeach()
  target_link_libraries(rehyat_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  rehyat_apply_options(rehyat_${name})
  if(ARG_TORCH)
    target_link_libraries(rehyat_${name} PUBLIC rehyat::libtorch)
  endif()
  rehyat_compile_together(rehyat_${name} "${ARG_TORCH}")
endfunction()

# Seconds until a test counts as hung: many times what the slowest takes.
set(REHYAT_TEST_TIMEOUT 300)
if(REHYAT_SANITIZER)
  set(REHYAT_TEST_TIMEOUT 1500)
endif()

# The tests of the label `gpu`: programs with tests that only a GPU runs. scripts/gpu_check.sh builds and runs these.
add_custom_target(gpu_tests)

# rehyat_test(NAME SOURCES ... DEPS ... [RANKS 1 2 4] [TORCH] [TIMEOUT s] [LABELS gpu]): one GoogleTest program and its CTest entries.
# Without RANKS there is one entry; with RANKS one entry a world size, started through mpirun.
function(rehyat_test name)
  cmake_parse_arguments(ARG "TORCH" "TIMEOUT" "SOURCES;DEPS;RANKS;LABELS" ${ARGN})
  add_executable(test_${name} ${ARG_SOURCES})
  rehyat_apply_options(test_${name})
  set(main rehyat::gtest_main)
  if(ARG_RANKS)
    set(main rehyat::gtest rehyat_mpi_test_main)
  endif()
  target_link_libraries(test_${name} PRIVATE rehyat_test_fixtures ${ARG_DEPS} ${main})
  rehyat_compile_together(test_${name} "${ARG_TORCH}")
  if("gpu" IN_LIST ARG_LABELS)
    add_dependencies(gpu_tests test_${name})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT ${REHYAT_TEST_TIMEOUT})
  endif()
  if(ARG_RANKS)
    foreach(ranks IN LISTS ARG_RANKS)
      add_test(NAME ${name}.ranks${ranks}
               COMMAND ${MPIEXEC_EXECUTABLE} ${REHYAT_MPIEXEC_FLAGS} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:test_${name}>
                       --expected-ranks=${ranks})
      set_tests_properties(${name}.ranks${ranks} PROPERTIES TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2 LABELS "mpi;${ARG_LABELS}"
                           ENVIRONMENT "OMP_NUM_THREADS=1;OMPI_MCA_rmaps_base_oversubscribe=1")
    endforeach()
  else()
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}" ENVIRONMENT "OMP_NUM_THREADS=1")
  endif()
endfunction()

# Always there, so that scripts can name it; empty where google-benchmark is missing or REHYAT_BENCHMARKS is off.
add_custom_target(benchmarks)

# rehyat_benchmark(NAME SOURCES ... DEPS ... [TORCH]): one google-benchmark program, built by the target `benchmarks` only.
function(rehyat_benchmark name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(bench_${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  rehyat_apply_options(bench_${name})
  target_link_libraries(bench_${name} PRIVATE ${ARG_DEPS} rehyat::benchmark)
  rehyat_compile_together(bench_${name} "${ARG_TORCH}")
  add_dependencies(benchmarks bench_${name})
endfunction()
