# The precompiled headers that all targets share: one for sources that see libtorch, one for the others. Included last,
# because they hold headers of several dependencies.
function(_rehyat_pch name header)
  file(WRITE ${PROJECT_BINARY_DIR}/pch/${name}.cpp "// Only here so that the precompiled header has a translation unit.\n")
  add_library(${name} STATIC ${PROJECT_BINARY_DIR}/pch/${name}.cpp)
  target_link_libraries(${name} PUBLIC rehyat::nlohmann-json ${ARGN})
  target_precompile_headers(${name} PRIVATE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${header})
  rehyat_apply_options(${name})
endfunction()
_rehyat_pch(rehyat_pch torch_pch.h rehyat::libtorch)
_rehyat_pch(rehyat_plain_pch plain_pch.h)
