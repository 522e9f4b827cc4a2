#include "data/cache/trajectory_on_thread.h"

namespace rehyat::data {

TrajectoryOnThread::TrajectoryOnThread(IoThread& thread, const CopyStream& copies, const std::filesystem::path& folder,
                                       std::int64_t trajectory)
    : thread_(thread), copies_(copies), file_(std::make_shared<std::optional<TrajectoryWriter>>()) {
  thread_.add([file = file_, folder, trajectory] { file->emplace(folder, trajectory); });
}

void TrajectoryOnThread::add(std::int64_t point, std::int64_t block, const at::Tensor& input,
                             const at::Tensor& target) {
  const HostCopy in = copies_.to_host(input), out = target.defined() ? copies_.to_host(target) : HostCopy();
  thread_.add([file = file_, point, block, in, out] { file->value().add(point, block, in.get(), out.get()); });
}

void TrajectoryOnThread::commit(const std::vector<CachePoint>& points) {
  thread_.add([file = std::move(file_), points] {
    file->value().commit(points);
    file->reset();
  });
}

}  // namespace rehyat::data
