#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "data/cache/activation_cache.h"
#include "tensor/host_copy.h"
#include "tensor/io_thread.h"

namespace rehyat::data {

/// A TrajectoryWriter whose work is done by an IoThread: the teacher waits for the disk only once so many points are on
/// their way as the thread holds. The file has the same bytes. Errors come with a later call, of this or of the thread.
class TrajectoryOnThread {
 public:
  TrajectoryOnThread(IoThread& thread, const CopyStream& copies, const std::filesystem::path& folder,
                     std::int64_t trajectory);
  /// As TrajectoryWriter::add, of tensors on any device. They may change once this has returned.
  void add(std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target = {});
  /// The file is whole once the thread has come to this; without it no file is left.
  void commit(const std::vector<CachePoint>& points);

 private:
  IoThread& thread_;
  const CopyStream& copies_;
  std::shared_ptr<std::optional<TrajectoryWriter>> file_;
};

}  // namespace rehyat::data
