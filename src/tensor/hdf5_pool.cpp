#include "tensor/hdf5_pool.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"

namespace rehyat {

Hdf5Pool::Hdf5Pool(std::filesystem::path folder, std::vector<File> files, const std::string& command, std::size_t open)
    : folder_(std::move(folder)), files_(std::move(files)), most_(open) {
  for (const File& file : files_) {
    const auto path = folder_ / file.name;
    require(!file.name.empty() && path.filename() == file.name, [&] {
      return cat(folder_.string(), ": found the file \"", excerpt(file.name), "\" in its list, expected a name in the ",
                 "folder; remove the folder and run `rehyat ", command, "` again");
    });
    std::error_code error;
    const std::uint64_t bytes = std::filesystem::file_size(path, error);
    const bool there = !error;
    require(there || error == std::errc::no_such_file_or_directory,
            [&] { return cat(path.string(), ": cannot be read: ", system_reason(error.value(), Access::read)); });
    require(there && bytes == file.bytes, [&] {
      return cat(path.string(), ": found ", there ? cat(bytes, " bytes") : std::string("no file"), ", expected ",
                 file.bytes, " bytes; remove the folder and run `rehyat ", command, "` again");
    });
  }
}

const Hdf5Reader& Hdf5Pool::at(std::size_t file) const {
  auto found = open_.find(file);
  if (found == open_.end()) {
    if (open_.size() >= most_)
      open_.erase(std::ranges::min_element(open_, {}, [](const auto& item) { return item.second.used; }));
    found = open_.emplace(file, Open{Hdf5Reader(folder_ / files_.at(file).name, files_.at(file).bytes), 0}).first;
  }
  found->second.used = ++clock_;
  return found->second.reader;
}

}  // namespace rehyat
