#include "evaluate/forward_bench.h"

#include <algorithm>
#include <chrono>

#include "core/progress.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "tensor/peak_memory.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

constexpr double kTimestep = 500;

std::vector<double> time_passes(const models::VideoTransformer& model, const ForwardBench& bench) {
  using Clock = std::chrono::steady_clock;
  const BenchSubject& subject = bench.subject;
  const models::Architecture& sizes = model->architecture();
  const auto latent = subject.latent();
  const auto on = at::TensorOptions().device(subject.device);
  const at::Tensor x = spread_numbers({subject.batch, sizes.channels, latent[0], latent[1], latent[2]}, 1.7, on);
  const at::Tensor text = spread_numbers({subject.batch, sizes.text_tokens, sizes.text_width}, 1.7, on),
                   time = at::full({subject.batch}, kTimestep, on);
  models::ForwardOptions how;
  how.compute = subject.compute;
  how.form = bench.form;
  wait_for(subject.device);
  reset_peak_memory(subject.device);
  std::vector<double> seconds;
  Progress progress("bench forward", bench.warmup + bench.repeats, "passes");
  for (std::int64_t i = 0; i < bench.warmup + bench.repeats; ++i) {
    const auto start = Clock::now();
    const at::Tensor y = model->forward(x, time, text, how);
    wait_for(subject.device);
    if (i >= bench.warmup) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    progress.advance(1);
  }
  progress.finish();
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

}  // namespace

ForwardTimes time_forward(const ForwardBench& bench, const models::ModelRegistry& families) {
  const at::NoGradGuard no_grad;
  const models::VideoTransformer model = bench.subject.make(families, bench.subject.compute);
  ForwardTimes out;
  out.attention = attention_names(model);
  out.layers = model->block_count();
  out.tokens = bench.subject.video().tokens(model->architecture());
  out.seconds = time_passes(model, bench);
  out.tflop = forward_tflop(model, bench.subject);
  out.peak_bytes = peak_memory(bench.subject.device);
  return out;
}

json to_json(const ForwardBench& bench, const ForwardTimes& times) {
  json out = {{"bench", "forward"}};
  out.update(to_json(bench.subject));
  out.update({{"attention", times.attention},
              {"form", bench.form == models::AttentionForm::recurrent ? "recurrent" : "parallel"},
              {"layers", times.layers},
              {"tokens", times.tokens},
              {"warmup", bench.warmup},
              {"repeats", bench.repeats},
              {"seconds_median", median(times.seconds)},
              {"seconds_min", times.seconds.front()},
              {"seconds_max", times.seconds.back()},
              {"tflop", times.tflop},
              {"tflop_per_s", times.tflop / median(times.seconds)},
              {"peak_bytes", times.peak_bytes}});
  return out;
}

std::string to_text(const ForwardBench& bench, const ForwardTimes& times) {
  const auto seconds = [](double value) { return human_number(value, 4) + " s"; };
  TextList list;
  list.add("time", cat(seconds(median(times.seconds)), ", the median of ", bench.repeats, " passes after ",
                       bench.warmup, ", ", seconds(times.seconds.front()), " to ", seconds(times.seconds.back())));
  list.add("work", cat(human_flop(times.tflop), ", ", human_flop(times.tflop / median(times.seconds)), "/s"));
  list.add("memory", cat(human_bytes(times.peak_bytes), " at most",
                         bench.subject.device.is_cuda() ? " on the GPU" : ", of the whole program"));
  return cat("forward, ", times.attention, ", ", to_text(bench.subject), "\n", list.text("  "));
}

}  // namespace rehyat::evaluate
