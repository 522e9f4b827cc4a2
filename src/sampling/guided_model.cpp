#include "sampling/guided_model.h"

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/flow_matching.h"

namespace rehyat::sampling {
namespace {

/// Whether a pass over both branches at once is the faster way. A chunk alone leaves part of a GPU idle; a whole video
/// does not, and a CPU never.
bool pays_together(const Request& request, at::Device device) {
  return device.is_cuda() && request.order == Order::chunk_major;
}

bool together(const Request& request, const at::Tensor& text, const at::Tensor& empty) {
  if (!empty.defined() || text.sizes() != empty.sizes()) return false;
  return request.branches == Branches::together ||
         (request.branches == Branches::automatic && pays_together(request, text.device()));
}

}  // namespace

GuidedModel::GuidedModel(const models::VideoTransformer& model, const Request& request, const at::Tensor& text,
                         const at::Tensor& empty_text)
    : model_(model), request_(request) {
  require(text.defined() && text.dim() == 2, [] { return "[sample] text: found no [L, D] embedding, expected one"; });
  require(request.guidance == 1 || (empty_text.defined() && empty_text.dim() == 2), [&] {
    return cat("[sample] empty_text: found no [L, D] embedding, expected one for guidance ", request.guidance,
               "; guidance 1 needs none");
  });
  text_ = text.unsqueeze(0);
  if (request.guidance != 1) empty_ = empty_text.unsqueeze(0);
  if (together(request, text_, empty_)) both_ = at::cat({text_, empty_});
}

BranchStates GuidedModel::make_states(std::int64_t height, std::int64_t width) const {
  BranchStates out{model_->make_states(height, width), {}};
  if (guided() && !both_.defined()) out.unconditional = model_->make_states(height, width);
  return out;
}

at::Tensor GuidedModel::branch(bool conditional, const at::Tensor& x, std::int64_t step, double timestep,
                               const models::ForwardOptions& options, BranchStates* states) {
  if (request_.on_evaluation) request_.on_evaluation({step, conditional});
  models::ForwardOptions own = options;
  own.text = conditional ? &memory_ : &empty_memory_;
  if (states != nullptr) own.states = conditional ? &states->conditional : &states->unconditional;
  const at::Tensor time = at::full({1}, timestep, x.options().dtype(at::kFloat));
  return model_->forward(x, time, conditional ? text_ : empty_, own).to(at::kFloat);
}

at::Tensor GuidedModel::velocity(const at::Tensor& x, std::int64_t step, double timestep,
                                 const models::ForwardOptions& options, BranchStates* states) {
  if (!both_.defined()) {
    const at::Tensor with = branch(true, x, step, timestep, options, states);
    return guided() ? diffusion::guided(with, branch(false, x, step, timestep, options, states), request_.guidance)
                    : with;
  }
  if (request_.on_evaluation) {
    for (const bool conditional : {true, false}) request_.on_evaluation({step, conditional});
  }
  models::ForwardOptions own = options;
  own.text = &memory_;
  if (states != nullptr) own.states = &states->conditional;
  const at::Tensor time = at::full({2}, timestep, x.options().dtype(at::kFloat));
  const at::Tensor v = model_->forward(x.expand({2, -1, -1, -1, -1}), time, both_, own).to(at::kFloat);
  return diffusion::guided(v.narrow(0, 0, 1), v.narrow(0, 1, 1), request_.guidance);
}

}  // namespace rehyat::sampling
