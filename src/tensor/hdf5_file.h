#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "files/atomic_file.h"

namespace rehyat {

/// Version of the HDF5 library that is running.
std::string hdf5_version();

/// Writes an HDF5 file that is whole or absent. Every dataset carries its type and a checksum. Throws UserError with
/// the system's reason. Neither writing nor reading takes locks on files (hdf5_reason.h). Different files may be used
/// on different threads at once; one file only by one thread at a time.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(std::filesystem::path path);
  ~Hdf5Writer();
  Hdf5Writer(Hdf5Writer&&) noexcept;

  /// f32, f64, f16, bf16 (as 16-bit integers), i64 or u8.
  void write(const std::string& name, const at::Tensor& tensor);
  /// A text at the root of the file.
  void attribute(const std::string& name, const std::string& text);
  void commit();

 private:
  std::filesystem::path path_;
  std::unique_ptr<AtomicFile> file_;
  std::int64_t handle_ = -1;
};

/// Dense memory on the host for so many values of a type.
using HostMemory = std::function<at::Tensor(at::IntArrayRef shape, at::ScalarType type)>;

/// Reads such a file. Throws UserError with path and dataset on anything that is cut off, altered or not ours, and with
/// the system's reason where it refuses to open the file.
class Hdf5Reader {
 public:
  /// `bytes`: the size that a manifest promises; 0 = unknown.
  explicit Hdf5Reader(const std::filesystem::path& path, std::uint64_t bytes = 0);
  ~Hdf5Reader();
  Hdf5Reader(Hdf5Reader&&) noexcept;
  Hdf5Reader& operator=(Hdf5Reader&&) noexcept;

  /// The dataset, its checksum verified, in memory of `memory` where one is given.
  at::Tensor read(const std::string& name, const HostMemory& memory = {}) const;
  std::string attribute(const std::string& name) const;
  std::vector<std::string> names() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::int64_t handle_ = -1;
  int file_ = -1;  ///< the library's, to read values beside it
};

}  // namespace rehyat
