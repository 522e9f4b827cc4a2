#include "distill/point.h"

#include <ATen/ATen.h>

namespace rehyat::distill {

std::int64_t Point::bytes() const {
  std::int64_t total = softmax.bytes();
  for (const at::Tensor& part : {heads.q, heads.k, heads.v, target}) total += static_cast<std::int64_t>(part.nbytes());
  if (!heads.phi_q_input.is_same(heads.q)) total += static_cast<std::int64_t>(heads.phi_q_input.nbytes());
  if (!heads.phi_k_input.is_same(heads.k)) total += static_cast<std::int64_t>(heads.phi_k_input.nbytes());
  return total;
}

Point make_point(const Student& student, at::ScalarType compute, const at::Tensor& input, const at::Tensor& target,
                 const ops::SoftmaxBranch& softmax) {
  const at::NoGradGuard no_grad;
  const at::Device device = student.rope.cos.device();
  const models::SelfAttention& attention = student.attention;
  Point out;
  out.heads = attention->heads(input.to(device).unsqueeze(0).to(compute), student.rope);
  // Without a stored one, as the teacher does it.
  out.target = target.defined() ? target.to(device).unsqueeze(0) : models::softmax_attention(out.heads);
  out.softmax = softmax.o.defined() ? softmax
                                    : ops::softmax_branch(out.heads.q, out.heads.k, out.heads.v, student.slices,
                                                          attention->attention().spec);
  return out;
}

at::Tensor answer(const Student& student, const Point& point) {
  models::SelfAttention attention = student.attention;
  return attention->attend(point.heads, student.slices, models::AttentionForm::parallel, point.softmax);
}

}  // namespace rehyat::distill
