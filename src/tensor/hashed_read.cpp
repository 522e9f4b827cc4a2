#include "tensor/hashed_read.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace rehyat {
namespace {

// Small enough to be hashed from the processor's cache. The system reads ahead by itself; asking it to
// (POSIX_FADV_WILLNEED) was slower.
constexpr std::uint64_t kPiece = 4 << 20;

}  // namespace

bool read_hashed(int file, std::uint64_t offset, void* memory, std::uint64_t bytes, Hasher& hasher) {
  auto* out = static_cast<char*>(memory);
  for (std::uint64_t at = 0; at < bytes;) {
    const std::uint64_t wanted = std::min(kPiece, bytes - at);
    const ssize_t count = ::pread(file, out + at, wanted, static_cast<off_t>(offset + at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    hasher.update(out + at, static_cast<std::size_t>(count));
    at += static_cast<std::uint64_t>(count);
  }
  return true;
}

}  // namespace rehyat
