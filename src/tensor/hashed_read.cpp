#include "tensor/hashed_read.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace rehyat {
namespace {

constexpr std::uint64_t kPiece = 4 << 20;          // small enough to be hashed from the processor's cache
constexpr std::uint64_t kAskedAhead = 8 * kPiece;  // what the disk is asked for before it is needed

}  // namespace

bool read_hashed(int file, std::uint64_t offset, void* memory, std::uint64_t bytes, Hasher& hasher) {
  // A hint alone: where the system does not take it, reading is slower.
  const auto ask = [&](std::uint64_t from, std::uint64_t to) {
    const std::uint64_t begin = std::min(from, bytes), end = std::min(to, bytes);
    if (begin < end)
      static_cast<void>(::posix_fadvise(file, static_cast<off_t>(offset + begin), static_cast<off_t>(end - begin),
                                        POSIX_FADV_WILLNEED));
  };
  if (bytes > kPiece) ask(0, kAskedAhead);
  auto* out = static_cast<char*>(memory);
  for (std::uint64_t at = 0; at < bytes;) {
    const std::uint64_t wanted = std::min(kPiece, bytes - at);
    for (std::uint64_t done = 0; done < wanted;) {
      const ssize_t count = ::pread(file, out + at + done, wanted - done, static_cast<off_t>(offset + at + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      done += static_cast<std::uint64_t>(count);
    }
    ask(at + kAskedAhead, at + kAskedAhead + kPiece);
    hasher.update(out + at, wanted);
    at += wanted;
  }
  return true;
}

}  // namespace rehyat
