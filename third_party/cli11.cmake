# CLI11 >= 2.1, header-only.
rehyat_header_only(CLI11 CLI/CLI.hpp libcli11-dev 2.1 CLI/Version.hpp CLI11_VERSION)
