#include "evaluate/bench/cache_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"
#include "data/cache/trajectory_on_thread.h"

namespace rehyat::evaluate {
namespace {

constexpr std::size_t kRawPiece = 8 << 20;  // bytes of one call of the system
constexpr std::size_t kOpenPoints = 4;      // on their way at once, as the stage `cache` has them

double seconds_taken(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A file that is open until the end of its scope.
class RawFile {
 public:
  RawFile(const std::filesystem::path& path, int flags, Access access) : path_(path), access_(access) {
    fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    check(fd_ >= 0);
  }
  ~RawFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  void write_all(const char* data, std::size_t bytes) {
    while (bytes > 0) {
      const ssize_t done = ::write(fd_, data, std::min(bytes, kRawPiece));
      if (done < 0 && errno == EINTR) continue;
      check(done > 0);
      data += done;
      bytes -= static_cast<std::size_t>(done);
    }
  }
  void flush() { check(::fsync(fd_) == 0); }
  /// Reads to the end of the file and gives the number of bytes.
  std::int64_t read_all(std::vector<char>& buffer) {
    std::int64_t total = 0;
    while (true) {
      const ssize_t done = ::read(fd_, buffer.data(), buffer.size());
      if (done < 0 && errno == EINTR) continue;
      check(done >= 0);
      if (done == 0) return total;
      total += done;
    }
  }
  /// Asks the system to forget what it holds of a file in memory.
  void forget() { static_cast<void>(::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED)); }

 private:
  void check(bool good) const {
    require(good, [&] {
      const int error = errno;
      return cat("[bench] ", path_.string(), ": ", system_reason(error, access_));
    });
  }
  std::filesystem::path path_;
  Access access_;
  int fd_ = -1;
};

void forget_folder(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) RawFile(entry.path(), O_RDONLY, Access::read).forget();
  }
}

/// The folder of one repeat, which is gone with the object.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& within) : path_((within / "rehyat-bench-XXXXXX").string()) {
    require(::mkdtemp(path_.data()) != nullptr, [&] {
      const int error = errno;
      return cat("[bench] ", within.string(), ": ", system_reason(error, Access::write));
    });
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

class CacheRounds {
 public:
  CacheRounds(const std::filesystem::path& folder, const at::Tensor& input, std::int64_t points, std::int64_t blocks)
      : folder_(folder),
        input_(input.contiguous()),
        on_host_(input_.cpu()),
        copies_(input.device()),
        points_(points),
        blocks_(blocks) {}

  void round(CacheTimes& out) const {
    const Scratch scratch(folder_);
    out.raw_write.push_back(seconds_taken([&] { write_raw(scratch.path() / "raw"); }));
    const auto cache = data::cache_folder(scratch.path() / "cache", {{"bench", "cache"}});
    const auto lock = cache.open();
    out.write.push_back(seconds_taken([&] { write_cache(cache); }));
    forget_folder(scratch.path());
    forget_folder(cache.path());
    out.raw_read.push_back(seconds_taken([&] { read_raw(scratch.path() / "raw"); }));
    out.read.push_back(seconds_taken([&] { read_cache(cache); }));
    out.bytes = 2 * points_ * blocks_ * static_cast<std::int64_t>(input_.nbytes());
  }

 private:
  void write_raw(const std::filesystem::path& path) const {
    RawFile file(path, O_WRONLY | O_CREAT | O_TRUNC, Access::write);
    for (std::int64_t i = 0; i < 2 * points_ * blocks_; ++i)
      file.write_all(static_cast<const char*>(on_host_.const_data_ptr()), on_host_.nbytes());
    file.flush();
  }
  void read_raw(const std::filesystem::path& path) const {
    std::vector<char> buffer(kRawPiece);
    RawFile(path, O_RDONLY, Access::read).read_all(buffer);
  }
  void write_cache(const MarkedFolder& cache) const {
    std::vector<std::int64_t> blocks;
    for (std::int64_t block = 0; block < blocks_; ++block) blocks.push_back(block);
    IoThread thread(kOpenPoints);
    for (std::int64_t trajectory = 0; trajectory < 2; ++trajectory) {
      data::TrajectoryOnThread writer(thread, copies_, cache.path(), trajectory);
      std::vector<data::CachePoint> points;
      for (std::int64_t point = 0; point < points_; ++point) {
        for (const std::int64_t block : blocks) writer.add(point, block, input_);
        points.push_back({point, true});
      }
      writer.commit(points);
    }
    thread.finish();
    data::finish_cache(cache, {false, true}, blocks, {1, 1, 1});
  }
  void read_cache(const MarkedFolder& cache) const {
    const data::ActivationCache reader(cache.path(), cache.identity());
    at::Tensor used_again;  // as pinned memory is in distillation
    const HostMemory memory = [&](at::IntArrayRef shape, at::ScalarType type) {
      if (!used_again.defined()) used_again = copies_.host_memory(shape, type);
      return used_again;
    };
    for (const data::Split split : {data::Split::train, data::Split::validation}) {
      for (std::int64_t point = 0; point < points_; ++point) {
        for (std::int64_t block = 0; block < blocks_; ++block) {
          require(reader.input(split, point, block, memory).sizes() == input_.sizes(), [&] {
            return cat("[bench] ", cache.path().string(), ": found another shape than the one that was written");
          });
        }
      }
    }
  }

  std::filesystem::path folder_;
  at::Tensor input_, on_host_;
  CopyStream copies_;
  std::int64_t points_, blocks_;
};

}  // namespace

CacheTimes measure_cache(const std::filesystem::path& folder, const at::Tensor& input, std::int64_t points,
                         std::int64_t blocks, std::int64_t repeats, const std::function<void()>& on_repeat) {
  CacheTimes out;
  const CacheRounds rounds(folder, input, points, blocks);
  for (std::int64_t i = 0; i < repeats; ++i) {
    rounds.round(out);
    on_repeat();
  }
  for (auto* seconds : {&out.write, &out.read, &out.raw_write, &out.raw_read})
    std::sort(seconds->begin(), seconds->end());
  return out;
}

}  // namespace rehyat::evaluate
