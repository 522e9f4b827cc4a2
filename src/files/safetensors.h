#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/atomic_file.h"
#include "files/mapped_file.h"
#include "files/safetensors_dtype.h"

namespace rehyat::safetensors {

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  ///< bytes from the start of the data
};

using Metadata = std::map<std::string, std::string>;

/// A memory-mapped safetensors file. Opening checks the whole header: length, JSON (no repeated key), dtypes,
/// shape x dtype = bytes without overflow, offsets in order without holes or overlaps, and the size of the file.
/// Throws UserError with path, tensor, what was found and expected, and with what the first bytes tell where the file
/// is something else (file_format.h).
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path);
  ~Reader();
  Reader(Reader&&) noexcept;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  ///< in the order of the data
  const Metadata& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;  ///< nullptr when absent
  const TensorInfo& at(std::string_view name) const;    ///< throws UserError with the nearest name
  /// The bytes of one tensor; valid while the mapping is alive.
  std::span<const std::byte> bytes(const TensorInfo& info) const;
  /// Keeps the file mapped for as long as somebody holds it. The mapping is private: what is written to it stays in
  /// this process and never reaches the file.
  std::shared_ptr<const void> mapping() const;
  /// Lets the tensor's pages leave memory. They come back from the file when they are read again, but what was written
  /// to them is lost: call it for a tensor that has been copied elsewhere.
  void release(const TensorInfo& info) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  Metadata metadata_;
  std::uint64_t data_offset_ = 0;
};

struct Item {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes atomically. Items in the order given; the same input gives the same bytes.
void write(const std::filesystem::path& path, const std::vector<Item>& items, const Metadata& metadata = {});

/// What the header says of a tensor.
struct Entry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
};
/// The same where not all tensors fit into memory at once: `bytes_of(i)` is called once for each entry, in order, and
/// its result must last until the next call.
void write(const std::filesystem::path& path, const std::vector<Entry>& entries, const Metadata& metadata,
           const std::function<std::span<const std::byte>(std::size_t)>& bytes_of);

}  // namespace rehyat::safetensors
