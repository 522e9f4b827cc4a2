#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "sampling/generate.h"

namespace rehyat::sampling {

/// The recurrent states of one denoising step, one a block: of each guidance branch, or of both in one batch.
struct BranchStates {
  std::vector<ops::RecurrentState> conditional;    ///< or both
  std::vector<ops::RecurrentState> unconditional;  ///< empty without guidance and where both run together
};

/// A model under the text and the guidance of a request, with what it keeps of the texts between denoising steps.
class GuidedModel {
 public:
  /// text, empty_text [L,D]. `request` has to outlive this.
  GuidedModel(const models::VideoTransformer& model, const Request& request, const at::Tensor& text,
              const at::Tensor& empty_text);

  /// The guided velocity of x [1,C,T,H,W] at a denoising step, in float32. `states`: of a model that runs chunk by
  /// chunk.
  at::Tensor velocity(const at::Tensor& x, std::int64_t step, double timestep, const models::ForwardOptions& options,
                      BranchStates* states = nullptr);
  /// The velocity of one branch alone.
  at::Tensor branch(bool conditional, const at::Tensor& x, std::int64_t step, double timestep,
                    const models::ForwardOptions& options, BranchStates* states = nullptr);

  /// States of no chunk yet, for latents of height x width.
  BranchStates make_states(std::int64_t height, std::int64_t width) const;

  const models::VideoTransformer& model() const { return model_; }
  const Request& request() const { return request_; }
  at::Device device() const { return text_.device(); }
  bool guided() const { return empty_.defined(); }

 private:
  const models::VideoTransformer& model_;
  const Request& request_;
  at::Tensor text_, empty_;                   ///< [1,L,D]
  at::Tensor both_;                           ///< [2,L,D], where the branches run together
  models::TextMemory memory_, empty_memory_;  ///< the first is of both where they run together
};

}  // namespace rehyat::sampling
