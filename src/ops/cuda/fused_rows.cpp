#include "ops/cuda/fused_rows.h"

#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "ops/cuda/row_tensors.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
using Maybe = std::optional<at::Tensor>;

Maybe maybe(const at::Tensor& x) {
  return x.defined() ? Maybe(x) : std::nullopt;
}

cuda::RowShape shape_of(const at::Tensor& x) {
  return {x.size(0), x.size(1), x.size(2)};
}

/// x [B or 1,1,C] float32, or undefined.
cuda::SampleVector vector_of(const at::Tensor& x) {
  if (!x.defined()) return {};
  return {x.const_data_ptr<float>(), x.size(0) == 1 ? 0 : x.stride(0)};
}

at::Tensor readable_vector(const Maybe& x) {
  return x ? readable_rows(*x) : at::Tensor();
}

struct StreamSettings {
  double eps = 0, offset = 0;
  at::ScalarType type = at::kFloat;
  bool passes_x = false;  ///< without an update: whether x is a result too
};

struct StreamRun {
  at::Tensor x, update, gate, scale, shift;  // as the kernel reads them
  at::Tensor y, normed, statistics;          // statistics [2,B,N]: mean, 1 / standard deviation
};

cuda::StreamNorm norm_of(const at::Tensor& scale, const at::Tensor& shift, const StreamSettings& settings) {
  return {vector_of(scale), vector_of(shift), static_cast<float>(settings.offset), static_cast<float>(settings.eps)};
}

void run_stream(StreamRun& run, const StreamSettings& settings, bool keeps) {
  const c10::cuda::CUDAGuard guard(run.x.device());
  cuda::StreamArguments args;
  args.shape = shape_of(run.x);
  args.type = row_type(settings.type);
  args.x = run.x.const_data_ptr<float>();
  if (run.update.defined()) {
    run.y = at::empty_like(run.x);
    args.update = run.update.const_data_ptr();
    args.gate = vector_of(run.gate);
    args.y = run.y.data_ptr<float>();
  }
  if (run.scale.defined()) {
    run.normed = at::empty_like(run.x, run.x.options().dtype(settings.type));
    args.norm = norm_of(run.scale, run.shift, settings);
    args.normed = run.normed.data_ptr();
    if (keeps) {
      run.statistics = at::empty({2, run.x.size(0), run.x.size(1)}, run.x.options());
      args.mean = run.statistics.data_ptr<float>();
      args.factor = args.mean + run.statistics.stride(0);
    }
  }
  row_started(cuda::launch_stream(args, row_stream()), "stream");
}

/// The gradients of vectors that all rows of a sample share: one tensor of partial sums, summed at once.
class VectorGradients {
 public:
  VectorGradients(const cuda::RowShape& shape, int count, const at::TensorOptions& wide)
      : parts_(count == 0 ? at::Tensor()
                          : at::empty({count, shape.samples, cuda::row_parts(shape), shape.width}, wide)) {}
  /// Where the kernel writes the next vector's.
  float* next() { return parts_.data_ptr<float>() + parts_.stride(0) * used_++; }
  void sum() { sums_ = parts_.defined() ? parts_.sum(2, true) : parts_; }
  /// The next vector's gradient, of the size of `like`: [B,1,C] or [1,1,C].
  at::Tensor take(const at::Tensor& like) {
    const at::Tensor mine = sums_.select(0, taken_++);
    return like.size(0) == mine.size(0) ? mine : mine.sum(0, true);
  }

 private:
  at::Tensor parts_, sums_;
  std::int64_t used_ = 0, taken_ = 0;
};

/// Inputs: x, update, gate, scale, shift. Results: the stream where there is an update or x is passed on, then what was
/// normed where there is a scale.
class StreamFunction : public torch::autograd::Function<StreamFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const Maybe& update, const Maybe& gate,
                               const Maybe& scale, const Maybe& shift, const StreamSettings& settings) {
    StreamRun run{dense_rows(x),
                  update ? dense_rows(*update) : at::Tensor(),
                  readable_vector(gate),
                  readable_vector(scale),
                  readable_vector(shift),
                  {},
                  {},
                  {}};
    run_stream(run, settings, true);
    const at::Tensor needed_update = gate && gate->requires_grad() ? run.update : at::Tensor();
    const at::Tensor normed_of = !scale ? at::Tensor() : update ? run.y : run.x;
    ctx->save_for_backward({normed_of, run.statistics, needed_update, run.gate, run.scale});
    ctx->set_materialize_grads(false);
    ctx->saved_data["offset"] = settings.offset;
    ctx->saved_data["type"] = static_cast<std::int64_t>(settings.type);
    ctx->saved_data["streams"] = update || settings.passes_x;
    ctx->saved_data["updates"] = update.has_value();
    variable_list results;
    if (update)
      results.push_back(run.y);
    else if (settings.passes_x)
      results.push_back(x);
    if (scale) results.push_back(run.normed);
    return results;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream);

 private:
  /// Which of the inputs want gradients.
  struct Wanted {
    bool x, update, gate, scale, shift;
    explicit Wanted(AutogradContext* ctx, bool updates, bool gates, bool norms) {
      std::size_t next = 0;  // only inputs that are there are counted
      const auto ask = [&](bool there) { return there && ctx->needs_input_grad(next++); };
      x = ask(true);
      update = ask(updates);
      gate = ask(gates);
      scale = ask(norms);
      shift = ask(norms);
    }
  };
};

variable_list StreamFunction::backward(AutogradContext* ctx, variable_list upstream) {
  const variable_list saved = ctx->get_saved_variables();
  const at::Tensor &y = saved[0], &statistics = saved[1], &update = saved[2], &gate = saved[3], &scale = saved[4];
  const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
  const Wanted wanted(ctx, ctx->saved_data["updates"].toBool(), gate.defined(), scale.defined());
  const at::Tensor dy = ctx->saved_data["streams"].toBool() ? upstream.front() : at::Tensor();
  const at::Tensor dnormed = scale.defined() ? upstream.back() : at::Tensor();
  variable_list grads(6);  // the last is of the settings
  if (!dy.defined() && !dnormed.defined()) return grads;
  const bool norms = dnormed.defined();
  if (!norms && !wanted.update && !wanted.gate) {
    grads[0] = dy;
    return grads;
  }
  const at::Tensor& like = norms ? dnormed : dy;
  const c10::cuda::CUDAGuard guard(like.device());
  const auto wide = like.options().dtype(at::kFloat);
  const at::Tensor d = dy.defined() ? dense_rows(dy) : dy, dn = norms ? dense_rows(dnormed) : dnormed;
  cuda::StreamGradients args;
  args.shape = shape_of(like);
  args.type = row_type(type);
  if (d.defined()) args.dy = d.const_data_ptr<float>();
  if (norms) {
    args.dnormed = dn.const_data_ptr();
    args.y = y.const_data_ptr<float>();
    args.mean = statistics.const_data_ptr<float>();
    args.factor = args.mean + statistics.stride(0);
    args.norm = {vector_of(scale), {}, static_cast<float>(ctx->saved_data["offset"].toDouble()), 0};
  }
  args.gate = vector_of(gate);
  if (wanted.x && norms) {
    grads[0] = at::empty(like.sizes(), wide);
    args.dx = grads[0].data_ptr<float>();
  } else if (wanted.x) {
    grads[0] = dy;
  }
  if (wanted.update) {
    grads[1] = at::empty(like.sizes(), like.options().dtype(type));
    args.dupdate = grads[1].data_ptr();
  }
  const bool of_scale = wanted.scale && norms, of_shift = wanted.shift && norms;
  VectorGradients vectors(args.shape, wanted.gate + of_scale + of_shift, wide);
  if (wanted.gate) {
    args.update = update.const_data_ptr();
    args.dgate = vectors.next();
  }
  if (of_scale) args.dscale = vectors.next();
  if (of_shift) args.dshift = vectors.next();
  row_started(cuda::launch_stream_backward(args, row_stream()), "stream, backward");
  vectors.sum();
  if (wanted.gate) grads[2] = vectors.take(gate);
  if (of_scale) grads[3] = vectors.take(scale);
  if (of_shift) grads[4] = vectors.take(scale);
  return grads;
}

/// [..., C] as [B or 1,1,C] in float32, or undefined.
at::Tensor as_vector(const at::Tensor& x) {
  if (!x.defined()) return x;
  const at::Tensor wide = x.to(at::kFloat);
  return x.dim() == 1 ? wide.view({1, 1, -1}) : wide;
}

NormedStream stream_step(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate, const RowNorm* norm) {
  const at::Tensor g = as_vector(gate), scale = norm == nullptr ? at::Tensor() : as_vector(norm->scale),
                   shift = norm == nullptr ? at::Tensor() : as_vector(norm->shift);
  TORCH_CHECK(!scale.defined() || scale.sizes() == shift.sizes(), "stream: found a scale of ", scale.sizes(),
              " and a shift of ", shift.sizes());
  StreamSettings settings;
  settings.type = norm == nullptr ? update.scalar_type() : norm->type;
  if (norm != nullptr) {
    settings.eps = norm->eps;
    settings.offset = norm->modulated ? 1 : 0;
  }
  const auto wants = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  const bool differentiated =
      at::GradMode::is_enabled() && (wants(x) || wants(update) || wants(g) || wants(scale) || wants(shift));
  if (!differentiated) {
    StreamRun run{dense_rows(x),
                  update.defined() ? dense_rows(update) : update,
                  readable_vector(maybe(g)),
                  readable_vector(maybe(scale)),
                  readable_vector(maybe(shift)),
                  {},
                  {},
                  {}};
    run_stream(run, settings, false);
    return {update.defined() ? run.y : x, run.normed};
  }
  settings.passes_x = !update.defined() && x.requires_grad();
  const variable_list results = StreamFunction::apply(x, maybe(update), maybe(g), maybe(scale), maybe(shift), settings);
  const bool streams = update.defined() || settings.passes_x;
  return {streams ? results.front() : x, norm == nullptr ? at::Tensor() : results.back()};
}

}  // namespace

bool has_fused_stream(const at::Tensor& x, const at::Tensor& update, at::ScalarType type) {
  return x.is_cuda() && x.scalar_type() == at::kFloat && x.dim() == 3 && x.numel() > 0 &&
         cuda::serves_row_width(x.size(2)) && is_row_type(type) &&
         (!update.defined() || (update.is_cuda() && update.scalar_type() == type));
}

NormedStream fused_norm_stream(const at::Tensor& x, const RowNorm& norm) {
  return stream_step(x, {}, {}, &norm);
}

NormedStream fused_add_and_norm(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate,
                                const RowNorm& norm) {
  return stream_step(x, update, gate, &norm);
}

at::Tensor fused_gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate) {
  return stream_step(x, update, gate, nullptr).stream;
}

}  // namespace rehyat::ops
