#include "ops/softmax_rectangle.h"

#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <algorithm>
#include <cmath>

namespace rehyat::ops {
namespace {

constexpr std::int64_t kBlockScores = 1 << 22;  // scores held at once by the plain form, per batch and head

enum class Path { cudnn, cpu_flash, plain };

Path path_for(const at::Tensor& q) {
  const bool half = q.scalar_type() == at::kHalf || q.scalar_type() == at::kBFloat16;
  if (q.is_cuda()) return half && q.size(-1) % 8 == 0 && q.size(-1) <= 128 ? Path::cudnn : Path::plain;
  return q.is_cpu() ? Path::cpu_flash : Path::plain;
}

at::ScalarType wide_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

double scale_of(const at::Tensor& q) {
  return 1 / std::sqrt(static_cast<double>(q.size(-1)));
}

std::int64_t block_rows(const at::Tensor& q, const at::Tensor& k) {
  return std::clamp<std::int64_t>(kBlockScores / std::max<std::int64_t>(k.size(2), 1), 1, q.size(2));
}

at::Tensor scores(const at::Tensor& q, const at::Tensor& k) {
  return at::matmul(q.to(wide_type(q)), k.to(wide_type(k)).transpose(-1, -2)) * scale_of(q);
}

RectangleOutput plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  RectangleOutput out{at::empty_like(q, at::MemoryFormat::Contiguous),
                      at::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(wide_type(q)))};
  const std::int64_t rows = block_rows(q, k);
  for (std::int64_t at = 0; at < q.size(2); at += rows) {
    const std::int64_t count = std::min(rows, q.size(2) - at);
    const at::Tensor s = scores(q.narrow(2, at, count), k);
    const at::Tensor lse = s.logsumexp(-1, true);
    out.o.narrow(2, at, count).copy_(at::matmul((s - lse).exp(), v.to(wide_type(v))));
    out.lse.narrow(2, at, count).copy_(lse.squeeze(-1));
  }
  return out;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> plain_backward(const at::Tensor& dy, const at::Tensor& q,
                                                              const at::Tensor& k, const at::Tensor& v,
                                                              const at::Tensor& out, const at::Tensor& lse) {
  const auto type = wide_type(q);
  at::Tensor dq = at::empty_like(q, at::MemoryFormat::Contiguous);
  at::Tensor dk = at::zeros(k.sizes(), k.options().dtype(type)), dv = at::zeros(v.sizes(), v.options().dtype(type));
  const std::int64_t rows = block_rows(q, k);
  for (std::int64_t at = 0; at < q.size(2); at += rows) {
    const std::int64_t count = std::min(rows, q.size(2) - at);
    const at::Tensor qb = q.narrow(2, at, count).to(type), g = dy.narrow(2, at, count).to(type);
    const at::Tensor p = (scores(qb, k) - lse.narrow(2, at, count).unsqueeze(-1)).exp();
    const at::Tensor delta = (g * out.narrow(2, at, count)).sum(-1, true);
    const at::Tensor ds = p * (at::matmul(g, v.to(type).transpose(-1, -2)) - delta) * scale_of(q);
    dq.narrow(2, at, count).copy_(at::matmul(ds, k.to(type)));
    dk += at::matmul(ds.transpose(-1, -2), qb);
    dv += at::matmul(p.transpose(-1, -2), g);
  }
  return {dq, dk.to(k.scalar_type()), dv.to(v.scalar_type())};
}

}  // namespace

RectangleOutput softmax_rectangle(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  switch (path_for(q)) {
    case Path::cudnn: {
      const auto result =
          at::_scaled_dot_product_cudnn_attention(q, k, v, std::nullopt, true, 0.0, false, false, scale_of(q));
      return {std::get<0>(result), std::get<1>(result).view({q.size(0), q.size(1), q.size(2)})};
    }
    case Path::cpu_flash: {
      const auto result =
          at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, false, std::nullopt, scale_of(q));
      return {std::get<0>(result), std::get<1>(result)};
    }
    case Path::plain:
      return plain(q, k, v);
  }
  return {};
}

bool has_softmax_kernel(const at::Tensor& q) {
  return path_for(q) != Path::plain;
}

at::Tensor softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (path_for(q) != Path::cudnn) return at::scaled_dot_product_attention(q, k, v);
  const bool backward = at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  return std::get<0>(
      at::_scaled_dot_product_cudnn_attention(q, k, v, std::nullopt, backward, 0.0, false, false, scale_of(q)));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> softmax_rectangle_backward(const at::Tensor& dy, const at::Tensor& q,
                                                                          const at::Tensor& k, const at::Tensor& v,
                                                                          const at::Tensor& out,
                                                                          const at::Tensor& lse) {
  switch (path_for(q)) {
    case Path::cudnn: {
      const at::Tensor unused = at::zeros({}, q.options().dtype(at::kLong));  // the dropout generator's state
      return at::_scaled_dot_product_cudnn_attention_backward(dy, q, k, v, out, lse.contiguous().unsqueeze(-1), unused,
                                                              unused, at::Tensor(), at::Tensor(), at::Tensor(),
                                                              q.size(2), k.size(2), 0.0, false, scale_of(q));
    }
    case Path::cpu_flash:
      return at::_scaled_dot_product_flash_attention_for_cpu_backward(dy, q, k, v, out, lse, 0.0, false, std::nullopt,
                                                                      scale_of(q));
    case Path::plain:
      return plain_backward(dy, q, k, v, out, lse);
  }
  return {};
}

}  // namespace rehyat::ops
