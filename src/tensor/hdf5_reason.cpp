#include "tensor/hdf5_reason.h"

#include <hdf5.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/strings.h"

namespace rehyat {
namespace {

struct Reason {
  std::optional<int> error;
  bool locking = false;
};

/// HDF5 keeps the system's number in the words of the innermost function that failed: "errno = 28, error message = …".
herr_t take_reason(unsigned, const H5E_error2_t* entry, void* out) {
  auto& reason = *static_cast<Reason*>(out);
  const std::string_view words = entry->desc == nullptr ? "" : entry->desc;
  constexpr std::string_view key = "errno = ";
  const std::size_t at = words.find(key);
  if (at == std::string_view::npos || reason.error) return 0;
  int error = 0;
  const std::string_view rest = words.substr(at + key.size());
  if (std::from_chars(rest.data(), rest.data() + rest.size(), error).ec != std::errc()) return 0;
  reason.error = error;
  reason.locking = words.find("lock file") != std::string_view::npos;
  return 0;
}

}  // namespace

std::string hdf5_reason(Access access) {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &reason);
  if (!reason.error || *reason.error == 0) return "";
  if (!reason.locking) return system_reason(*reason.error, access);
  return cat("it cannot be locked: ", system_reason(*reason.error, access), lock_hint(*reason.error));
}

std::int64_t hdf5_access_without_locks() {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, false, true);
  return access;
}

std::string lock_hint(int error) {
  if (error == EWOULDBLOCK) return "; another program is writing to it: wait until it has ended";
  return means_no_locks(error) ? "; its file system knows no locks: set HDF5_USE_FILE_LOCKING=FALSE" : "";
}

}  // namespace rehyat
