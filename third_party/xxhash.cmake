# xxHash >= 0.8, used header-only (XXH_INLINE_ALL).
rehyat_header_only(xxHash xxhash.h libxxhash-dev)
