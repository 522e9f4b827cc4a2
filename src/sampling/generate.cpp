#include "sampling/generate.h"

#include "core/error.h"
#include "core/strings.h"
#include "sampling/guided_model.h"
#include "tensor/random.h"

namespace rehyat::sampling {
namespace {

/// Slices of a chunk of a model whose blocks are all recurrent.
std::int64_t chunk_size(const models::VideoTransformer& model) {
  const std::vector<ops::AttentionSpec> blocks = model->attention_specs();
  const ops::ChunkByChunk way = ops::chunk_by_chunk(blocks);
  require(!way.other_size, [&] {
    return cat("[sample] block ", *way.other_size, ": found ", ops::to_string(blocks[*way.other_size]),
               ", expected the chunk size of block 0, ", ops::to_string(blocks[0]), ", for chunk-by-chunk sampling");
  });
  return way.chunk;
}

void check_form(const models::VideoTransformer& model, models::AttentionForm form) {
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const models::BlockAttention& attention = model->attention(i)->attention();
    require(attention.supports(form), [&] {
      return cat("[sample] block ", i, ": found ", ops::to_string(attention.spec),
                 ", which has no recurrent form, expected ", ops::recurrent_kinds(),
                 " or softmax attention in every block; use sample.form=parallel");
    });
  }
}

models::ForwardOptions options_of(const Request& request) {
  models::ForwardOptions options;
  options.form = request.form;
  options.compute = request.compute;
  return options;
}

Rng ancestral_noise(const Request& request, std::int64_t step) {
  return Rng(request.seed, request.purpose + ".ancestral", {request.sample, static_cast<std::uint64_t>(step)});
}

void step_done(const Request& request) {
  if (request.on_step) request.on_step();
}

/// The first `steps` steps of the whole video x [1,C,T,H,W].
at::Tensor step_major(GuidedModel& guided, diffusion::Sampler& sampler, at::Tensor x, std::int64_t steps) {
  const Request& request = guided.request();
  for (std::int64_t i = 0; i < steps; ++i) {
    Rng noise = ancestral_noise(request, i);
    x = sampler.step(i, guided.velocity(x, i, sampler.timestep(i), options_of(request)), x, noise);
    step_done(request);
  }
  return x;
}

/// `noise` [C,T,H,W] on the CPU. Only one chunk of the latents is on the device at a time.
at::Tensor chunk_major(GuidedModel& guided, const at::Tensor& noise) {
  const models::VideoTransformer& model = guided.model();
  const Request& request = guided.request();
  const std::int64_t thickness = model->architecture().patch[0], slices = noise.size(1) / thickness,
                     steps = request.sampler.steps;
  // Of each step: the chunks before, at that step's noise level.
  std::vector<BranchStates> states;
  for (std::int64_t i = 0; i < steps; ++i) states.push_back(guided.make_states(noise.size(2), noise.size(3)));
  at::Tensor out = at::empty_like(noise);
  Rng unused(0, "sample.none");
  models::ForwardOptions options = options_of(request);
  for (const ops::Chunk& chunk : ops::chunks_of(slices, chunk_size(model), 0)) {
    const auto part = [&](const at::Tensor& latents) {
      return latents.narrow(1, chunk.queries.begin * thickness, chunk.queries.size() * thickness);
    };
    const auto sampler = diffusion::make_sampler(request.sampler);
    at::Tensor x = part(noise).contiguous().to(guided.device()).unsqueeze(0);
    options.first_slice = chunk.queries.begin;
    options.update_states = chunk.queries.end < slices;  // nothing comes after the last chunk
    for (std::int64_t i = 0; i < steps; ++i) {
      const at::Tensor v = guided.velocity(x, i, sampler->timestep(i), options, &states[static_cast<std::size_t>(i)]);
      x = sampler->step(i, v, x, unused);
      step_done(request);
    }
    part(out).copy_(x.squeeze(0));
  }
  return out;
}

}  // namespace

std::string why_not_chunk_major(const std::vector<ops::AttentionSpec>& blocks,
                                const diffusion::SamplerConfig& sampler) {
  const ops::ChunkByChunk way = ops::chunk_by_chunk(blocks);
  if (way.unable) return "not every block is converted; the converted blocks run recurrently inside each step";
  if (sampler.kind == diffusion::SamplerKind::euler_ancestral)
    return "the sampler draws fresh noise for the whole video at each step";
  return way.possible() ? "" : "the blocks differ in chunk size";
}

Order best_order(const models::VideoTransformer& model, const Request& request, std::string& reason) {
  check_form(model, request.form);
  reason = request.form == models::AttentionForm::recurrent
               ? why_not_chunk_major(model->attention_specs(), request.sampler)
               : "the form is not recurrent";
  return reason.empty() ? Order::chunk_major : Order::step_major;
}

std::int64_t step_count(const models::VideoTransformer& model, const Request& request) {
  if (request.order == Order::step_major) return request.sampler.steps;
  return request.sampler.steps *
         static_cast<std::int64_t>(
             ops::chunks_of(request.shape[1] / model->architecture().patch[0], chunk_size(model), 0).size());
}

at::Tensor initial_noise(const Request& request) {
  if (request.noise.defined()) {
    const at::Tensor noise = request.noise.to(at::kFloat);
    require(noise.sizes() == at::IntArrayRef(request.shape), [&] {
      return cat("[sample] noise: found ", shape_string(noise.sizes().vec()), ", expected ",
                 shape_string({request.shape.begin(), request.shape.end()}), " for this model and video");
    });
    return noise;
  }
  Rng rng(request.seed, request.purpose + ".noise", {request.sample});
  return randn(rng, {request.shape[0], request.shape[1], request.shape[2], request.shape[3]});
}

at::Tensor generate(const models::VideoTransformer& model, const Request& request, const at::Tensor& text,
                    const at::Tensor& empty_text) {
  const at::NoGradGuard no_grad;
  check_form(model, request.form);
  GuidedModel guided(model, request, text, empty_text);
  const at::Tensor noise = initial_noise(request).cpu();
  if (request.order == Order::step_major) {
    const auto sampler = diffusion::make_sampler(request.sampler);
    return step_major(guided, *sampler, noise.to(guided.device()).unsqueeze(0), sampler->steps()).squeeze(0).cpu();
  }
  require(request.sampler.kind != diffusion::SamplerKind::euler_ancestral, [] {
    return "[sample] found the sampler euler_ancestral, expected unipc or euler for chunk-by-chunk sampling";
  });
  return chunk_major(guided, noise);
}

void evaluate_until(const Evaluation& last, const models::VideoTransformer& model, Request request,
                    const at::Tensor& text, const at::Tensor& empty_text) {
  const at::NoGradGuard no_grad;
  request.order = Order::step_major;
  request.branches = Branches::apart;
  check_form(model, request.form);
  GuidedModel guided(model, request, text, empty_text);
  const auto sampler = diffusion::make_sampler(request.sampler);
  require(last.step >= 0 && last.step < sampler->steps() && (last.conditional || guided.guided()), [&] {
    return cat("[sample] last evaluation: found step ", last.step, last.conditional ? "" : " without the text",
               ", expected one of ", sampler->steps(), " steps", guided.guided() ? "" : " with the text");
  });
  const at::Tensor noise = initial_noise(request).to(guided.device()).unsqueeze(0);
  const at::Tensor x = step_major(guided, *sampler, noise, last.step);
  for (const bool conditional : {true, false}) {
    if (conditional || !last.conditional)
      guided.branch(conditional, x, last.step, sampler->timestep(last.step), options_of(request));
  }
  step_done(request);
}

}  // namespace rehyat::sampling
