#include "core/hash.h"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"

namespace rehyat {

struct Hasher::State {
  XXH3_state_t xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;

Hasher& Hasher::update(const void* data, std::size_t bytes) {
  if (bytes > 0) XXH3_128bits_update(&state_->xxh, data, bytes);
  return *this;
}

std::string Hasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh);
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text.data();
}

std::string hash_bytes(const void* data, std::size_t bytes) {
  return Hasher().update(data, bytes).digest();
}

std::string hash_text(std::string_view text) {
  return hash_bytes(text.data(), text.size());
}

std::string hash_file(const std::filesystem::path& path) {
  const auto fail = [&](int error) {
    throw UserError(cat(path.string(), ": cannot be read: ", system_reason(error, Access::read)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(errno);
  Hasher hasher;
  std::vector<char> buffer(1 << 20);
  ssize_t count = 0;
  int error = 0;
  do {
    count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) hasher.update(buffer.data(), static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) error = errno;
  } while (count != 0 && error == 0);
  ::close(fd);
  if (error != 0) fail(error);
  return hasher.digest();
}

}  // namespace rehyat
