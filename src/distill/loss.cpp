#include "distill/loss.h"

#include "ops/cuda/fused_distance.h"

namespace rehyat::distill {
namespace {

at::Tensor widened(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

ops::Distance distance_of(Loss loss) {
  if (loss == Loss::l1) return ops::Distance::l1;
  return loss == Loss::mse ? ops::Distance::mse : ops::Distance::huber;
}

}  // namespace

at::Tensor loss_of(Loss loss, const at::Tensor& student, const at::Tensor& teacher) {
  if (ops::has_fused_distance(student, teacher)) return ops::fused_distance(student, teacher, distance_of(loss));
  return composed_loss(loss, student, teacher);
}

at::Tensor composed_loss(Loss loss, const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor y = widened(student), target = widened(teacher);
  switch (loss) {
    case Loss::l1:
      return at::l1_loss(y, target);
    case Loss::mse:
      return at::mse_loss(y, target);
    case Loss::huber:
      return at::huber_loss(y, target);
  }
  return {};
}

double relative_l1(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor target = teacher.to(at::kDouble);
  return ((student.to(at::kDouble) - target).abs().sum() / target.abs().sum()).item<double>();
}

}  // namespace rehyat::distill
