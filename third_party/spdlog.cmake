# spdlog >= 1.10. libtorch ships another fmt, which breaks spdlog's headers: link this PRIVATE, and never to a target that
# also sees libtorch.
find_package(spdlog 1.10 REQUIRED)
add_library(rehyat_tp_spdlog INTERFACE)
add_library(rehyat::spdlog ALIAS rehyat_tp_spdlog)
target_link_libraries(rehyat_tp_spdlog INTERFACE spdlog::spdlog)
rehyat_status(spdlog "${spdlog_VERSION}")
