#include "core/strings.h"
#include "core/units.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {
namespace {

BenchResult run_forward(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings& ceilings) {
  const at::NoGradGuard no_grad;
  const BenchSubject& subject = request.subject;
  const models::VideoTransformer model = subject.make(families, subject.compute);
  const ModelInputs in = model_inputs(subject, model->architecture());
  models::ForwardOptions how;
  how.compute = subject.compute;
  how.form = request.form;
  Measure row = measure("forward", subject.device, {"bench forward", request.warmup, request.repeats},
                        [&] { model->forward(in.latents, in.time, in.text, how); });
  row.work.tflop = forward_tflop(model, subject);
  row.work.bytes = weight_bytes(model) + stream_bytes(subject, model->architecture());
  row.least_seconds = floor_seconds({row.work}, ceilings);
  BenchResult out;
  out.attention = attention_names(model);
  const std::int64_t tokens = subject.video().tokens(model->architecture());
  out.own = {{"form", request.form == models::AttentionForm::recurrent ? "recurrent" : "parallel"},
             {"layers", model->block_count()},
             {"tokens", tokens}};
  out.notes = {{"model", cat(model->block_count(), " blocks, ", human_count(tokens), " tokens, ",
                             human_flop(row.work.tflop), " a pass of ", subject.batch)}};
  out.rows.push_back(std::move(row));
  return out;
}

}  // namespace

BenchMode forward_bench() {
  return {.name = "forward",
          .summary = "a forward pass, with weights in the type of the products",
          .options = {"--batch", "--layers", "--attention", "--converted", "--form"},
          .warmup = 2,
          .repeats = 5,
          .run = run_forward};
}

}  // namespace rehyat::evaluate
