# libtorch 2.11.0, from the PyPI wheel. Its own CMake config demands a CUDA toolkit even for CPU use, so the targets are
# made by hand: rehyat::libtorch (CPU) and, where its CUDA half is complete, rehyat::libtorch_cuda.
set(REHYAT_LIBTORCH_VERSION 2.11.0)
set(_candidates ${REHYAT_LIBTORCH})
if(NOT REHYAT_LIBTORCH)
  list(APPEND _candidates ${PROJECT_SOURCE_DIR}/.deps/libtorch/torch)
  find_program(REHYAT_PYTHON3 python3)
  if(REHYAT_PYTHON3)
    execute_process(COMMAND ${REHYAT_PYTHON3} -c
      "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '', end='')"
      OUTPUT_VARIABLE _python_torch ERROR_QUIET)
    list(APPEND _candidates ${_python_torch})
  endif()
endif()
# Looked for anew each time: what setup.sh installed since, or another -DREHYAT_LIBTORCH, has to count.
set(REHYAT_LIBTORCH_ROOT "")
foreach(_candidate IN LISTS _candidates)
  if(NOT REHYAT_LIBTORCH_ROOT AND EXISTS ${_candidate}/include/torch/csrc/api/include/torch/torch.h)
    set(REHYAT_LIBTORCH_ROOT ${_candidate})
  endif()
endforeach()
if(NOT REHYAT_LIBTORCH_ROOT)
  string(REPLACE ";" ", " _looked "${_candidates}")
  message(FATAL_ERROR "libtorch ${REHYAT_LIBTORCH_VERSION} was not found in ${_looked}: run scripts/setup.sh, or name the folder "
                      "that holds its lib/ and include/ with -DREHYAT_LIBTORCH=DIR")
endif()
file(STRINGS ${REHYAT_LIBTORCH_ROOT}/include/torch/headeronly/version.h _major REGEX "TORCH_VERSION_MAJOR [0-9]+")
file(STRINGS ${REHYAT_LIBTORCH_ROOT}/include/torch/headeronly/version.h _minor REGEX "TORCH_VERSION_MINOR [0-9]+")
file(STRINGS ${REHYAT_LIBTORCH_ROOT}/include/torch/headeronly/version.h _patch REGEX "TORCH_VERSION_PATCH [0-9]+")
string(REGEX MATCH "[0-9]+$" _major "${_major}")
string(REGEX MATCH "[0-9]+$" _minor "${_minor}")
string(REGEX MATCH "[0-9]+$" _patch "${_patch}")
if(NOT "${_major}.${_minor}.${_patch}" VERSION_EQUAL REHYAT_LIBTORCH_VERSION)
  message(FATAL_ERROR "libtorch ${_major}.${_minor}.${_patch} in ${REHYAT_LIBTORCH_ROOT}: this project is pinned to ${REHYAT_LIBTORCH_VERSION}")
endif()

set(_lib ${REHYAT_LIBTORCH_ROOT}/lib)
# The wheels of CUDA's own libraries lie beside torch/ as nvidia/*/lib.
file(GLOB _nvidia ${REHYAT_LIBTORCH_ROOT}/../nvidia/*/lib)

add_library(rehyat_tp_libtorch INTERFACE)
add_library(rehyat::libtorch ALIAS rehyat_tp_libtorch)
target_include_directories(rehyat_tp_libtorch SYSTEM INTERFACE ${REHYAT_LIBTORCH_ROOT}/include
                           ${REHYAT_LIBTORCH_ROOT}/include/torch/csrc/api/include)
target_link_libraries(rehyat_tp_libtorch INTERFACE ${_lib}/libtorch_cpu.so ${_lib}/libc10.so Threads::Threads)
# libtorch_cpu needs libraries of CUDA that only its GPU half calls: they are found at run time or not needed.
# DT_RPATH rather than DT_RUNPATH, because it also serves the libraries that libtorch loads.
target_link_options(rehyat_tp_libtorch INTERFACE -Wl,--allow-shlib-undefined -Wl,--disable-new-dtags)
# libtorch uses the shared C++ library. A compiler that comes with the static one alone would put a second copy into each
# program, and what one copy makes the other cannot free (std::locale aborts with "free(): invalid pointer").
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libstdc++.so OUTPUT_VARIABLE _stdcxx
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT IS_ABSOLUTE "${_stdcxx}")
  find_library(REHYAT_LIBSTDCXX NAMES libstdc++.so.6)
  if(NOT REHYAT_LIBSTDCXX)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} comes with no shared libstdc++, which libtorch uses, and the system has none: "
                        "name another compiler with -DCMAKE_CXX_COMPILER=PATH")
  endif()
  target_link_libraries(rehyat_tp_libtorch INTERFACE ${REHYAT_LIBSTDCXX})
endif()
foreach(dir IN LISTS _lib _nvidia)
  target_link_options(rehyat_tp_libtorch INTERFACE -Wl,-rpath,${dir} -Wl,-rpath-link,${dir})
endforeach()

set(_cuda_complete FALSE)
if(REHYAT_HAVE_CUDA AND EXISTS ${_lib}/libtorch_cuda.so)
  file(GLOB _cudnn ${REHYAT_LIBTORCH_ROOT}/../nvidia/cudnn/lib/libcudnn.so.9)
  if(_cudnn)
    set(_cuda_complete TRUE)
  endif()
endif()
set(REHYAT_HAVE_LIBTORCH_CUDA ${_cuda_complete} CACHE INTERNAL "")
if(_cuda_complete)
  add_library(rehyat_tp_libtorch_cuda INTERFACE)
  add_library(rehyat::libtorch_cuda ALIAS rehyat_tp_libtorch_cuda)
  # Nothing refers to libtorch_cuda by symbol: it registers itself when it is loaded.
  target_link_libraries(rehyat_tp_libtorch_cuda INTERFACE rehyat_tp_libtorch -Wl,--no-as-needed ${_lib}/libtorch_cuda.so
                        ${_lib}/libc10_cuda.so -Wl,--as-needed CUDA::cudart)
  rehyat_status(libtorch "${REHYAT_LIBTORCH_VERSION} with CUDA, ${REHYAT_LIBTORCH_ROOT}")
else()
  rehyat_status(libtorch "${REHYAT_LIBTORCH_VERSION} for CPU, ${REHYAT_LIBTORCH_ROOT}")
endif()
