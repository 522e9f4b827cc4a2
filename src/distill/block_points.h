#pragma once

#include <compare>
#include <functional>
#include <future>
#include <map>
#include <optional>

#include "distill/point.h"
#include "distill/point_source.h"
#include "tensor/host_copy.h"
#include "tensor/io_thread.h"

namespace rehyat::distill {

/// Bytes of training points that may be kept ready on the student's device, and, on the host, what of the others spares
/// the next visit the disk and the softmax attentions.
struct PointBudget {
  std::int64_t device = 0, host = 0;
};

/// What is free on a device for points, beside what a step on points of so many tokens and so wide needs: of a GPU, as
/// its driver and the allocator say now; 1 GB on a CPU.
std::int64_t free_for_points(at::Device device, std::int64_t input_bytes);

/// Makes the points of one block ready. A thread reads and copies the next ones to the device while a step runs, so
/// that a source is asked on that thread alone. Training points stay while they fit the budget; which stay decides
/// time, and no number.
class BlockPoints {
 public:
  struct Key {
    data::Split split = data::Split::train;
    std::int64_t index = 0;
    auto operator<=>(const Key&) const = default;
  };
  /// The point that will be asked for as the k-th after the present one, k = 1, 2, ...; nothing beyond the last.
  using Next = std::function<std::optional<Key>(std::int64_t k)>;

  /// `poll` is called while the owner's thread waits (IoThread).
  BlockPoints(Student student, const PointSource& source, at::ScalarType compute, PointBudget budget,
              std::function<void()> poll = {});

  /// Throws what the source throws for this point.
  Point get(Key key, const Next& next);
  double seconds_of_waiting() const { return thread_.seconds_of_waiting(); }

 private:
  /// A point on its way to the device, and where it lies on the host.
  struct OnTheWay {
    at::Tensor host_input;
    DeviceCopy input, target, o, lse, row_max;
  };
  /// Of a point that does not stay on the device.
  struct OnHost {
    at::Tensor input;
    HostCopy target, o, lse, row_max;
  };

  std::future<OnTheWay> begin(Key key);
  OnTheWay read(Key key) const;
  OnTheWay send(const OnHost& kept) const;
  void look_ahead(data::Split split, const Next& next);
  void keep(std::int64_t index, const Point& point, const at::Tensor& host_input);

  Student student_;
  const PointSource& source_;
  at::ScalarType compute_;
  PointBudget left_;
  CopyStream copies_;
  std::map<std::int64_t, Point> on_device_;  ///< training points
  std::map<std::int64_t, OnHost> on_host_;
  std::map<Key, std::future<OnTheWay>> on_the_way_;
  IoThread thread_;  ///< last: its jobs use the others
};

}  // namespace rehyat::distill
