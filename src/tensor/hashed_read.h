#pragma once

#include <cstdint>

#include "core/hash.h"

namespace rehyat {

/// Reads `bytes` of an open file from `offset` on into `memory`, piece by piece, and hashes each while the system reads
/// ahead. False where the file ends before or cannot be read.
bool read_hashed(int file, std::uint64_t offset, void* memory, std::uint64_t bytes, Hasher& hasher);

}  // namespace rehyat
