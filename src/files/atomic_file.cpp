#include "files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"
#include "core/units.h"

namespace rehyat {
namespace {

/// Part of the name of a file that is not whole yet.
constexpr std::string_view kUnfinished = ".rehyat-part-";

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view action, int error,
                       Access access = Access::write) {
  throw UserError(cat(path.string(), ": cannot ", action, ": ", system_reason(error, access)));
}

bool holds(const std::filesystem::path& path, std::string_view content) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) != content.size() || error) return false;
  try {
    return read_file(path, content.size()) == content;
  } catch (const UserError&) {
    return false;  // writing it anew tells what is wrong
  }
}

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  return path.parent_path() / cat('.', path.filename().string(), kUnfinished, ::getpid(), '-', counter++);
}

}  // namespace

void flush_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(folder, "be opened", errno);
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  // File systems that cannot flush folders say EINVAL.
  if (result != 0 && error != EINVAL) fail(folder, "be flushed", error);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  // A killed run whose process number comes again, or a process of another machine, may have taken a name.
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    temporary_ = temporary_name(path_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0 || errno != EEXIST) break;
  }
  if (fd_ < 0) fail(path_, "be written", errno);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::move(other.temporary_)), fd_(std::exchange(other.fd_, -1)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd_, next, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "be written", errno);
    }
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail(path_, "be flushed to the disk", errno);
  // A library that writes by name may have replaced the file behind our descriptor: flush what the name holds now.
  const int again = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  if (again < 0) fail(path_, "be finished", errno);
  const int flushed = ::fsync(again);
  const int error = errno;
  ::close(again);
  if (flushed != 0) fail(path_, "be flushed to the disk", error);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "be put in place", errno);
  ::close(std::exchange(fd_, -1));
  flush_folder(path_.parent_path());
}

void write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void keep_file(const std::filesystem::path& path, std::string_view content) {
  if (!holds(path, content)) write_file_atomic(path, content);
}

std::string read_file(const std::filesystem::path& path, std::uint64_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, "be read", errno, Access::read);
  const auto close = [fd] { ::close(fd); };
  std::string content;
  std::string buffer(1 << 16, '\0');
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      close();
      if (error == EISDIR) throw UserError(cat(path.string(), ": found a folder, expected a file"));
      fail(path, "be read", error, Access::read);
    }
    if (count == 0) break;
    content.append(buffer, 0, static_cast<std::size_t>(count));
    if (content.size() > limit) {
      close();
      throw UserError(cat(path.string(), ": found more than ", human_bytes(static_cast<std::int64_t>(limit)),
                          ", expected a smaller file"));
    }
  }
  close();
  return content;
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw UserError(cat(path.string(), ": the folder cannot be made: ", system_reason(error.value(), Access::write)));
  require(std::filesystem::is_directory(path),
          [&] { return cat(path.string(), ": found a file, expected a folder; choose another path"); });
}

void remove_leftovers(const std::filesystem::path& folder) {
  std::error_code error;
  // Listed first: what is removed under a running iterator ends it.
  std::vector<std::filesystem::path> found;
  std::filesystem::recursive_directory_iterator entry(
      folder, std::filesystem::directory_options::skip_permission_denied, error),
      end;
  for (; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().find(kUnfinished) == std::string::npos) continue;
    entry.disable_recursion_pending();
    found.push_back(entry->path());
  }
  for (const auto& path : found) {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
}

void remove_files(const std::filesystem::path& folder, std::string_view start) {
  // Listed first: what is removed under a running iterator ends it.
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename().string().starts_with(start)) found.push_back(entry->path());
  if (error) fail(folder, "be listed", error.value(), Access::read);
  for (const auto& path : found) remove_file(path);
}

void remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail(path, "be removed", errno);
}

std::optional<std::uint64_t> free_space(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path existing = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(existing, error);
  return error ? std::nullopt : std::optional<std::uint64_t>(space.available);
}

void require_space(const std::filesystem::path& path, std::uint64_t bytes, std::string_view what) {
  const std::optional<std::uint64_t> available = free_space(path);
  if (!available) return;  // unknown: the write itself will tell
  require(*available >= bytes, [&] {
    return cat(path.string(), ": found ", human_bytes(static_cast<std::int64_t>(*available)), " free, expected ",
               human_bytes(static_cast<std::int64_t>(bytes)), " for ", what,
               "; free some space or choose another folder");
  });
}

}  // namespace rehyat
