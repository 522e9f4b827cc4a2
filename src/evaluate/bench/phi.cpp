#include "analysis/cost.h"
#include "core/strings.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {
namespace {

BenchResult run_phi(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings& ceilings) {
  const BenchSubject& subject = request.subject;
  const models::Architecture sizes = subject.architecture(families);
  const models::BlockAttention attention = attention_of(subject);
  const auto options = at::TensorOptions().dtype(subject.compute).device(subject.device);
  const std::int64_t tokens = subject.video().tokens(sizes);
  Rng rng(1, "bench.phi");
  ops::FeatureMap map(sizes.heads, sizes.head_width(), attention.phi);
  map->initialize(rng);
  map->to(subject.device);
  const auto numbers = [&](std::int64_t width) {
    return spread_numbers({subject.batch, tokens, sizes.heads, width}, 1.7, options).transpose(1, 2);
  };
  at::Tensor x = numbers(sizes.head_width());
  const at::Tensor dy = numbers(map->feature_width()).contiguous();

  // Half of the block's phi: there are two maps.
  const double tflop =
      static_cast<double>(subject.batch) * analysis::attention_work(sizes, subject.video(), attention.spec).phi / 2;
  const double bytes = static_cast<double>(x.nbytes() + dy.nbytes());
  BenchResult out;
  for (const bool composed : {false, true}) {
    for (const bool trained : {false, true}) {
      const std::string title =
          cat(composed ? "libtorch's operators, " : "the map, ", trained ? "forward + backward" : "forward");
      if (!request.wants(title)) continue;
      Measure row = measure(title, subject.device, {"bench phi", request.warmup, request.repeats}, [&] {
        const at::AutoGradMode mode(trained);
        x.requires_grad_(trained);
        const at::Tensor y = composed ? map->forward_composed(x) : map->forward(x);
        if (!trained) return;
        y.backward(dy);
        x.mutable_grad().reset();
        map->zero_grad();
      });
      const double times = trained ? 3 : 1;
      row.work = {tflop * times, 0, bytes * times};
      row.least_seconds = floor_seconds({row.work}, ceilings);
      row.own = {{"composed", composed}, {"pass", trained ? "forward_backward" : "forward"}};
      out.rows.push_back(std::move(row));
    }
  }
  require_rows(request, out);
  out.own = {{"features", map->feature_width()}, {"tokens", tokens}, {"heads", sizes.heads}};
  return out;
}

}  // namespace

BenchMode phi_bench() {
  return {.name = "phi",
          .summary = "one feature map of one block, and the same composed of libtorch's operators",
          .options = {"--batch", "--row"},
          .warmup = 2,
          .repeats = 5,
          .run = run_phi};
}

}  // namespace rehyat::evaluate
