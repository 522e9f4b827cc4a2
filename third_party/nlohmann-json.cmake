# nlohmann-json >= 3.11, header-only.
rehyat_header_only(nlohmann-json nlohmann/json.hpp nlohmann-json3-dev)
