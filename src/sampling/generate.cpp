#include "sampling/generate.h"

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/flow_matching.h"
#include "tensor/random.h"

namespace rehyat::sampling {
namespace {

using States = std::vector<ops::RecurrentState>;

struct Branches {
  at::Tensor text, empty;  // [1,L,D]
  bool guided() const { return empty.defined(); }
};

/// What each guidance branch keeps from one denoising step to the next.
struct BranchTexts {
  models::TextMemory conditional, unconditional;
};

/// The recurrent states of each guidance branch, where the model runs chunk by chunk.
struct BranchStates {
  States *conditional = nullptr, *unconditional = nullptr;
};

/// What is sampled: a model under the texts and the guidance of a request.
struct Walk {
  const models::VideoTransformer& model;
  const Request& request;
  Branches branches;
  BranchTexts texts{};

  /// The guided velocity of x at one denoising step.
  at::Tensor velocity(const at::Tensor& x, std::int64_t step, double timestep, const models::ForwardOptions& options,
                      const BranchStates& states = {}) {
    const at::Tensor time = at::full({1}, timestep, x.options().dtype(at::kFloat));
    const auto run = [&](bool with_text, States* own_states) {
      models::ForwardOptions own = options;
      own.states = own_states;
      own.text = with_text ? &texts.conditional : &texts.unconditional;
      if (request.on_evaluation) request.on_evaluation({step, with_text});
      return model->forward(x, time, with_text ? branches.text : branches.empty, own).to(at::kFloat);
    };
    const at::Tensor with = run(true, states.conditional);
    return branches.guided() ? diffusion::guided(with, run(false, states.unconditional), request.guidance) : with;
  }
};

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

at::Tensor step_major(Walk& walk, at::Tensor x) {
  const Request& request = walk.request;
  const auto sampler = diffusion::make_sampler(request.sampler);
  models::ForwardOptions options;
  options.form = request.form;
  options.compute = request.compute;
  for (std::int64_t i = 0; i < sampler->steps(); ++i) {
    Rng noise(request.seed, request.purpose + ".ancestral", {request.sample, static_cast<std::uint64_t>(i)});
    x = sampler->step(i, walk.velocity(x, i, sampler->timestep(i), options), x, noise);
    if (request.on_step) request.on_step();
  }
  return x;
}

at::Tensor chunk_major(Walk& walk, const at::Tensor& noise) {
  const models::VideoTransformer& model = walk.model;
  const Request& request = walk.request;
  const std::int64_t thickness = model->architecture().patch[0], slices = noise.size(2) / thickness,
                     steps = request.sampler.steps;
  // One state for each (step, branch), each holding one for every block: the chunks before, at that step's noise level.
  const auto fresh = [&] {
    return std::vector<States>(static_cast<std::size_t>(steps), model->make_states(noise.size(3), noise.size(4)));
  };
  std::vector<States> conditional = fresh(), unconditional = walk.branches.guided() ? fresh() : std::vector<States>{};
  std::vector<at::Tensor> chunks;
  Rng unused(0, "sample.none");
  for (const ops::Chunk& chunk : ops::chunks_of(slices, chunk_size(model), 0)) {
    const auto sampler = diffusion::make_sampler(request.sampler);
    at::Tensor x = noise.narrow(2, chunk.queries.begin * thickness, chunk.queries.size() * thickness).contiguous();
    models::ForwardOptions options;
    options.compute = request.compute;
    options.first_slice = chunk.queries.begin;
    for (std::int64_t i = 0; i < steps; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const at::Tensor v = walk.velocity(x, i, sampler->timestep(i), options,
                                         {&conditional[at], walk.branches.guided() ? &unconditional[at] : nullptr});
      x = sampler->step(i, v, x, unused);
      if (request.on_step) request.on_step();
    }
    chunks.push_back(x);
  }
  return at::cat(chunks, 2);
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
  require(text.defined() && text.dim() == 2, [] { return "[sample] text: found no [L, D] embedding, expected one"; });
  require(request.guidance == 1 || (empty_text.defined() && empty_text.dim() == 2), [&] {
    return cat("[sample] empty_text: found no [L, D] embedding, expected one for guidance ", request.guidance,
               "; guidance 1 needs none");
  });
  const auto device = text.device();
  const at::Tensor noise = initial_noise(request).unsqueeze(0).to(device);
  Walk walk{model, request, {text.unsqueeze(0), request.guidance != 1 ? empty_text.unsqueeze(0) : at::Tensor()}};
  if (request.order == Order::step_major) return step_major(walk, noise).squeeze(0);
  require(request.sampler.kind != diffusion::SamplerKind::euler_ancestral, [] {
    return "[sample] found the sampler euler_ancestral, expected unipc or euler for chunk-by-chunk sampling";
  });
  return chunk_major(walk, noise).squeeze(0);
}

}  // namespace rehyat::sampling
