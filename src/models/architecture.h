#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace rehyat::models {

/// What one part of a model holds and computes, its self-attention's core and feature maps left out. A multiply-
/// accumulate of a matrix product is one; norms and activations are not counted.
struct PartCost {
  std::int64_t parameters = 0;
  double macs_per_token = 0;  ///< of each video token
  double macs_per_video = 0;  ///< whatever the number of tokens: text and timestep
  bool operator==(const PartCost&) const = default;
};

/// Numbers a token that training holds, by their type.
struct HeldNumbers {
  std::int64_t compute = 0;  ///< in the type of the matrix products
  std::int64_t wide = 0;     ///< in float32

  std::int64_t bytes(std::int64_t compute_bytes) const { return compute * compute_bytes + wide * 4; }
  HeldNumbers operator+(const HeldNumbers& other) const { return {compute + other.compute, wide + other.wide}; }
  bool operator==(const HeldNumbers&) const = default;
};

/// The sizes of a video transformer, whatever its family: what sampling, training and the cost model have to know.
struct Architecture {
  std::string family;                             ///< its name in the ModelRegistry
  std::int64_t dim = 0, layers = 0, heads = 0;    ///< of the residual stream; blocks; heads of each self-attention
  std::int64_t text_width = 0, text_tokens = 0;   ///< of the text encoder, padding included
  std::int64_t channels = 0, out_channels = 0;    ///< of the latent, in and out
  std::array<std::int64_t, 3> patch = {1, 1, 1};  ///< latent slices, rows and columns of one token
  PartCost block;                                 ///< one block with its projections, without attention's core
  PartCost outside;                               ///< embeddings and head
  std::int64_t text_numbers = 0;  ///< that TextMemory holds of each text token, in the type of the matrix products
  HeldNumbers saved_by_block;     ///< what a block with softmax attention keeps for its backward pass, its input too
  HeldNumbers saved_outside;      ///< what embeddings and head keep
  HeldNumbers backward_working;   ///< gradients on their way where a block's backward pass begins

  std::int64_t head_width() const { return dim / heads; }
  /// Tokens along time, height and width of a latent T x H x W.
  std::array<std::int64_t, 3> grid(const std::array<std::int64_t, 3>& latent) const;
  std::int64_t tokens_per_slice(std::int64_t height, std::int64_t width) const;
  /// Throws UserError on sizes that are not positive or do not divide.
  void validate() const;
  bool operator==(const Architecture&) const = default;
};

}  // namespace rehyat::models
