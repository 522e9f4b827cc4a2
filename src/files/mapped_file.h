#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace rehyat {

/// A whole file mapped into memory, privately: what is written to the bytes stays in this process and never reaches the
/// file. Hold it in a shared_ptr for as long as somebody looks at its bytes.
class MappedFile {
 public:
  /// `kind` names the format in messages ("a safetensors file"). Throws UserError when the file cannot be read, is no
  /// regular file, or is shorter than `least` bytes (at least 1).
  MappedFile(const std::filesystem::path& path, std::string_view kind, std::size_t least);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rehyat
