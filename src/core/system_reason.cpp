#include "core/system_reason.h"

#include <cerrno>
#include <cstring>

#include "core/strings.h"

namespace rehyat {
namespace {

constexpr int kKernelNotSupported = 524;

std::string hint_for(int error, Access access) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another folder";
    case EFBIG:
      return "free some space, or raise the limit on the size of a file (ulimit -f)";
    case EACCES:
    case EPERM:
      return access == Access::write ? "choose a folder that may be written to" : "check the rights of the path";
    case EROFS:
      return "choose a folder that may be written to";
    case ENOTDIR:
      return access == Access::write ? "a file is in the way: choose another path" : "check the path";
    case ENOENT:
    case ELOOP:
      return "check the path";
    case ENAMETOOLONG:
      return "choose a shorter name";
    case EMFILE:
    case ENFILE:
      return "this process or system has too many files open: raise the limit (ulimit -n)";
    case EIO:
      return "the disk or the network file system may be failing";
    case ESTALE:
      return "the file was replaced on a network file system: start the command again";
    default:
      return "";
  }
}

}  // namespace

std::string system_reason(int error, Access access) {
  const std::string words =
      error == kKernelNotSupported ? cat(std::strerror(EOPNOTSUPP), " (error ", error, ')') : std::strerror(error);
  const std::string hint = hint_for(error, access);
  return hint.empty() ? words : words + "; " + hint;
}

bool means_no_locks(int error) {
  return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP || error == kKernelNotSupported;
}

}  // namespace rehyat
