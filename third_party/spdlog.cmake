# spdlog >= 1.10, built or header-only. libtorch ships another fmt, which breaks spdlog's headers: link this PRIVATE, and
# never to a target that also sees libtorch.
find_package(spdlog 1.10 QUIET)
if(spdlog_FOUND)
  add_library(rehyat_tp_spdlog INTERFACE)
  add_library(rehyat::spdlog ALIAS rehyat_tp_spdlog)
  target_link_libraries(rehyat_tp_spdlog INTERFACE spdlog::spdlog)
  rehyat_status(spdlog "${spdlog_VERSION}")
else()
  rehyat_header_only(spdlog spdlog/spdlog.h libspdlog-dev 1.10 spdlog/version.h SPDLOG_VER_MAJOR SPDLOG_VER_MINOR SPDLOG_VER_PATCH)
  target_link_libraries(rehyat_tp_spdlog INTERFACE Threads::Threads)
endif()
