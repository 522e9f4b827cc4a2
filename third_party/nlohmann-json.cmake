# nlohmann-json >= 3.11, header-only.
rehyat_header_only(nlohmann-json nlohmann/json.hpp nlohmann-json3-dev 3.11 nlohmann/detail/abi_macros.hpp
                   NLOHMANN_JSON_VERSION_MAJOR NLOHMANN_JSON_VERSION_MINOR NLOHMANN_JSON_VERSION_PATCH)
