# HDF5 >= 1.10.7, which can do without locks, the serial C library.
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 1.10.7 REQUIRED COMPONENTS C)
add_library(rehyat_tp_hdf5 INTERFACE)
add_library(rehyat::hdf5 ALIAS rehyat_tp_hdf5)
target_include_directories(rehyat_tp_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(rehyat_tp_hdf5 INTERFACE ${HDF5_C_LIBRARIES})
rehyat_status(HDF5 "${HDF5_VERSION}")
