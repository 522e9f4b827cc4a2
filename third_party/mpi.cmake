# MPI 3.1 (tested with Open MPI 4.1): launches the ranks and carries control and CPU tensors. The C interface only.
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI 3.1 REQUIRED COMPONENTS CXX)
add_library(rehyat::mpi ALIAS MPI::MPI_CXX)
# Open MPI refuses root and more ranks than cores unless told; other launchers do not know the flags.
execute_process(COMMAND ${MPIEXEC_EXECUTABLE} --version OUTPUT_VARIABLE _mpi_version ERROR_QUIET)
set(REHYAT_MPIEXEC_FLAGS "" CACHE INTERNAL "")
if(_mpi_version MATCHES "Open MPI|OpenRTE")
  set(REHYAT_MPIEXEC_FLAGS "--allow-run-as-root;--oversubscribe" CACHE INTERNAL "")
endif()
string(REGEX MATCH "[0-9]+\\.[0-9]+(\\.[0-9]+)?" _mpi_release "${_mpi_version}")
rehyat_status(MPI "${_mpi_release}, ${MPIEXEC_EXECUTABLE}")
