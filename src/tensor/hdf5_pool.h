#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tensor/hdf5_file.h"

namespace rehyat {

/// Opens the files of a list when they are first asked for. Only a few stay open: where one more is needed, the one
/// that was used the longest ago is closed.
class Hdf5Pool {
 public:
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
  };

  Hdf5Pool() = default;
  /// Throws UserError for a file that is missing, has another size or lies elsewhere; `command` makes them again.
  Hdf5Pool(std::filesystem::path folder, std::vector<File> files, const std::string& command, std::size_t open = 64);

  /// Valid until the next call.
  const Hdf5Reader& at(std::size_t file) const;
  std::size_t size() const { return files_.size(); }
  std::size_t open() const { return open_.size(); }

 private:
  struct Open {
    Hdf5Reader reader;
    std::uint64_t used = 0;
  };
  std::filesystem::path folder_;
  std::vector<File> files_;
  std::size_t most_ = 64;
  mutable std::map<std::size_t, Open> open_;
  mutable std::uint64_t clock_ = 0;
};

}  // namespace rehyat
