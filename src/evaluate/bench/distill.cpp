#include <limits>

#include "analysis/cost.h"
#include "core/strings.h"
#include "core/units.h"
#include "distill/block_task.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"
#include "train/optimizer.h"
#include "train/reduce.h"

namespace rehyat::evaluate {
namespace {

/// Points in memory, all with numbers of the right size.
class MadePoints : public distill::PointSource {
 public:
  MadePoints(const BenchSubject& subject, const models::Architecture& sizes, std::int64_t count) : count_(count) {
    const auto latent = subject.latent();
    latent_ = {latent[0], latent[1], latent[2]};
    input_ =
        spread_numbers({subject.video().tokens(sizes), sizes.dim}, 1.7, at::TensorOptions().dtype(subject.compute));
  }
  const std::vector<std::int64_t>& blocks() const override { return blocks_; }
  const std::vector<std::int64_t>& latent() const override { return latent_; }
  bool readable_everywhere() const override { return true; }
  std::int64_t rounds() const override { return 1; }
  void share_out(const std::vector<std::int64_t>&) override {}
  void begin_round(std::int64_t) override {}
  std::int64_t size(data::Split) const override { return count_; }
  at::Tensor input(data::Split, std::int64_t, std::int64_t) const override { return input_; }
  bool has_targets() const override { return false; }
  at::Tensor target(data::Split, std::int64_t, std::int64_t) const override { return {}; }

 private:
  std::int64_t count_;
  std::vector<std::int64_t> blocks_ = {0}, latent_;
  at::Tensor input_;
};

/// What a step needs where q, k, v and the softmax branch are at hand: phi with the gradients of its weights, and the
/// linear branch with the gradients of the features.
std::vector<Work> distillation_parts(const BenchSubject& subject, const models::Architecture& sizes,
                                     const models::BlockAttention& attention) {
  const auto work = analysis::attention_work(sizes, subject.video(), attention.spec, attention.phi);
  const double number = static_cast<double>(at::elementSize(subject.compute)) *
                        static_cast<double>(subject.video().tokens(sizes) * sizes.heads),
               width = static_cast<double>(sizes.head_width()) * number,
               features = static_cast<double>(attention.phi.feature_width(sizes.head_width())) * number;
  // Forward two products of the linear branch, backward three: v is frozen.
  return {{3 * work.phi, 0, 4 * (width + features)}, {2.5 * work.linear, 0, 4 * features + 4 * width}};
}

BenchResult run_distill(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings& ceilings) {
  const BenchSubject& subject = request.subject;
  const models::Architecture sizes = subject.architecture(families);
  const models::BlockAttention attention = attention_of(subject);
  const OneAttention one = one_attention(subject, families, attention);
  const MadePoints points(subject, sizes, request.points);
  distill::DistillConfig config;
  config.precision = subject.compute == at::kFloat ? Precision::f32 : Precision::bf16;
  config.keep_on_device = std::numeric_limits<std::int64_t>::max();
  distill::BlockTask task({0, one.attention, one.rope, one.slices}, points, config, 1);
  const std::vector<train::NamedParameter> parameters = task.parameters();
  train::AdamW optimizer(parameters, config.train);
  double loss = 0;
  std::int64_t number = 0;
  const auto step = [&] {
    for (const train::NamedParameter& p : parameters) p.tensor.mutable_grad().reset();
    const at::Tensor value = task.loss(number++, 0);
    value.backward();
    const double norm = train::gradient_norm(parameters).item<double>();
    if (norm > config.train.clip_norm) train::scale_gradients(parameters, config.train.clip_norm / norm);
    optimizer.step(config.train.lr);
    loss = value.item<double>();
  };
  const double first = seconds_of(subject.device, step);
  BenchResult out;
  Measure row = measure("step", subject.device, {"bench distill", request.warmup, request.repeats}, step);
  const std::vector<Work> parts = distillation_parts(subject, sizes, attention);
  for (const Work& part : parts) row.work = row.work + part;
  row.least_seconds = floor_seconds(parts, ceilings);
  out.rows.push_back(std::move(row));
  out.attention = ops::to_string(attention.spec);
  out.own = {{"points", request.points}, {"first_seconds", first}, {"loss", loss}};
  out.notes = {{"point", cat(request.points, " in memory, each met before; the first step took ",
                             human_number(first, 3), " s")}};
  return out;
}

}  // namespace

BenchMode distill_bench() {
  return {.name = "distill",
          .summary = "a step of distilling one block's feature maps, of points that were met before, AdamW included",
          .options = {"--attention", "--points"},
          .warmup = 5,
          .repeats = 5,
          .run = run_distill};
}

}  // namespace rehyat::evaluate
