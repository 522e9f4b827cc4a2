#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace rehyat {

/// The 128-bit XXH3 checksum in 32 hexadecimal digits. It finds accidents, not forgeries.
std::string hash_bytes(const void* data, std::size_t bytes);
std::string hash_text(std::string_view text);
/// Throws UserError with the system's reason where the file cannot be read.
std::string hash_file(const std::filesystem::path& path);

/// The same checksum over data that comes in parts.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& update(const void* data, std::size_t bytes);
  Hasher& update(std::string_view text) { return update(text.data(), text.size()); }
  std::string digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rehyat
