#include "stages/stage_links.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "stages/run_listing.h"

namespace rehyat::stages {
namespace {

namespace fs = std::filesystem;

/// FAT and some network file systems answer so.
bool means_no_links(int error) {
  return error == EPERM || error == ENOSYS || error == EOPNOTSUPP || error == EINVAL;
}

}  // namespace

StageLinks::StageLinks(fs::path run_folder) : run_folder_(std::move(run_folder)) {}

void StageLinks::point(const std::string& name, const fs::path& folder) {
  const fs::path path = run_folder_ / name, target = folder.filename();
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(path, ignored);
  if (fs::is_symlink(status)) {
    const fs::path present = fs::read_symlink(path, ignored);
    if (present == target) return;
    if (!parse_folder_name(present.string()))
      return log::warn(path.string(), ": found a link to ", present.string(),
                       ", expected one that this program made; it ", "is left alone, and the stage is in ",
                       folder.string());
  } else if (fs::exists(status)) {
    return log::warn(path.string(), ": found a ", fs::is_directory(status) ? "folder" : "file",
                     ", expected a link or nothing; it is left alone, and the stage is in ", folder.string());
  }
  const fs::path fresh = run_folder_ / cat(".", name, ".rehyat-part-", ::getpid());
  fs::remove(fresh, ignored);
  std::error_code error;
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, path, error);
  if (!error) return;
  fs::remove(fresh, ignored);
  if (!means_no_links(error.value()))
    throw UserError(cat(path.string(), ": the link to ", target.string(), " cannot be made: ", error.message()));
  if (!std::exchange(said_, true))
    log::info(run_folder_.string(), ": the file system has no links (", error.message(),
              "), so that stages are found here by their full names alone");
}

}  // namespace rehyat::stages
