# xxHash >= 0.8, used header-only (XXH_INLINE_ALL).
rehyat_header_only(xxHash xxhash.h libxxhash-dev 0.8 xxhash.h XXH_VERSION_MAJOR XXH_VERSION_MINOR XXH_VERSION_RELEASE)
