#include <utility>

#include "analysis/cost.h"
#include "core/strings.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {
namespace {

constexpr double kSoftmaxTrained = 3.5;  // two products forward, five backward, which computes the scores again
constexpr double kOtherTrained = 3;      // each product has two in the backward pass

/// Queries, keys, values and the output's gradient, as the views [B,A,N,D] of [B,N,A,D] that a model's projections
/// leave.
struct AttentionInputs {
  at::Tensor q, k, v, dy;
};

AttentionInputs attention_inputs(const BenchSubject& subject, const models::Architecture& sizes) {
  const auto options = at::TensorOptions().dtype(subject.compute).device(subject.device);
  const std::int64_t tokens = subject.video().tokens(sizes);
  const auto heads = [&](double size) {
    return spread_numbers({subject.batch, tokens, sizes.heads, sizes.head_width()}, size, options).transpose(1, 2);
  };
  // As after RMSNorm: about 1 in each component.
  return {heads(1.7), heads(1.6), heads(1.5), spread_numbers({subject.batch, tokens, sizes.dim}, 1.7, options)};
}

/// The parts of an attention, each as a library would run it alone: softmax, both feature maps, the linear branch.
std::vector<Work> parts_of(const BenchSubject& subject, const models::Architecture& sizes,
                           const models::BlockAttention& attention, bool trained) {
  const auto work = analysis::attention_work(sizes, subject.video(), attention.spec, attention.phi);
  const double batch = static_cast<double>(subject.batch), softmax_times = trained ? kSoftmaxTrained : 1,
               times = trained ? kOtherTrained : 1;
  const double number = static_cast<double>(at::elementSize(subject.compute)) *
                        static_cast<double>(subject.video().tokens(sizes) * sizes.heads) * batch;
  const double width = static_cast<double>(sizes.head_width()) * number;
  std::vector<Work> out;
  if (work.softmax > 0) out.push_back({batch * work.softmax * softmax_times, 0, 4 * width * times});
  if (!attention.spec.kind->has_linear()) return out;
  const double features = static_cast<double>(attention.phi.feature_width(sizes.head_width())) * number;
  out.push_back({batch * work.phi * times, 0, 2 * (width + features) * times});
  out.push_back({batch * work.linear * times, 0, (2 * features + 3 * width) * times});
  return out;
}

class AttentionCase {
 public:
  AttentionCase(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings& ceilings)
      : request_(request),
        ceilings_(ceilings),
        sizes_(request.subject.architecture(families)),
        in_(attention_inputs(request.subject, sizes_)),
        one_(one_attention(request.subject, families, attention_of(request.subject))) {}

  /// The forward pass, and the same with all gradients.
  void add_rows(const models::BlockAttention& attention, std::vector<Measure>& rows) {
    if (attention.spec.kind->has_linear()) {
      one_.attention->set_spec(attention.spec);  // the maps stay
    } else {
      one_.attention->install(attention);
    }
    for (const bool trained : {false, true}) {
      const std::string name = ops::to_string(attention.spec), pass = trained ? "forward + backward" : "forward";
      const std::string title = cat(name, ", ", pass);
      if (!request_.wants(title)) continue;
      Measure row = measure(title, request_.subject.device, {"bench attention", request_.warmup, request_.repeats},
                            [&] { run(trained); });
      const std::vector<Work> parts = parts_of(request_.subject, sizes_, attention, trained);
      for (const Work& part : parts) row.work = row.work + part;
      row.least_seconds = floor_seconds(parts, ceilings_);
      row.own = {{"attention", name}, {"pass", trained ? "forward_backward" : "forward"}};
      rows.push_back(std::move(row));
    }
  }

 private:
  void run(bool trained) {
    const at::AutoGradMode mode(trained);
    for (at::Tensor* x : {&in_.q, &in_.k, &in_.v}) x->requires_grad_(trained);
    const at::Tensor y =
        one_.attention->attend({in_.q, in_.k, in_.v, in_.q, in_.k}, one_.slices, models::AttentionForm::parallel);
    if (!trained) return;
    y.backward(in_.dy);
    for (at::Tensor* x : {&in_.q, &in_.k, &in_.v}) x->mutable_grad().reset();
    one_.attention->zero_grad();
  }

  const BenchRequest& request_;
  const Ceilings& ceilings_;
  models::Architecture sizes_;
  AttentionInputs in_;
  OneAttention one_;
};

std::vector<models::BlockAttention> attentions_of(const BenchRequest& request) {
  models::BlockAttention own = attention_of(request.subject), softmax = own;
  softmax.spec = {.kind = ops::AttentionKind::softmax};
  if (!request.grid) return {own, softmax};
  std::vector<models::BlockAttention> out;
  for (const std::int64_t tc : {1, 2, 3, 5, 7}) {
    for (std::int64_t to = 0; to <= 3; ++to) {
      own.spec.tc = tc, own.spec.to = to;
      out.push_back(own);
    }
  }
  out.push_back(softmax);
  return out;
}

BenchResult run_attention(const BenchRequest& request, const models::ModelRegistry& families,
                          const Ceilings& ceilings) {
  AttentionCase attention(request, families, ceilings);
  BenchResult out;
  for (const models::BlockAttention& each : attentions_of(request)) attention.add_rows(each, out.rows);
  require_rows(request, out);
  return out;
}

}  // namespace

BenchMode attention_bench() {
  return {.name = "attention",
          .summary =
              "the attention of one block with its feature maps, beside softmax attention, forward and with all "
              "gradients",
          .options = {"--batch", "--attention", "--grid", "--row"},
          .warmup = 2,
          .repeats = 5,
          .run = run_attention};
}

}  // namespace rehyat::evaluate
