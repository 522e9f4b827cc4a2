#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"

namespace rehyat::ops {

/// The c of the hybrid formula y = (e^{lse-c} o + a) / (e^{lse-c} + n) (paper, Eqs. 5-9). It changes the function, not
/// only its numerics, except for `joint`, where the linear terms carry e^{-c} too.
enum class Normalizer { joint, row_max, lse };

enum class AttentionKind {
  softmax,         ///< the teacher
  rehyat,          ///< softmax over the chunk and its overlap, linear over the rest
  uniform_hybrid,  ///< softmax over every rate-th key, linear over the rest (Attention Surgery)
  linear           ///< all keys linear
};

/// Which attention one block runs, without its feature map.
struct AttentionSpec {
  AttentionKind kind = AttentionKind::rehyat;
  std::int64_t tc = 3;    ///< chunk size in latent slices (rehyat)
  std::int64_t to = 1;    ///< overlap in latent slices (rehyat); may exceed tc
  bool causal = true;     ///< linear keys only from the past (rehyat)
  std::int64_t rate = 2;  ///< R of uniform_hybrid
  Normalizer normalizer = Normalizer::joint;

  void fields(config::Fields& f);
  void validate() const;
  /// Both branches, shared by the normalizer.
  bool blends() const { return kind == AttentionKind::rehyat || kind == AttentionKind::uniform_hybrid; }
  bool recurrent() const { return kind == AttentionKind::rehyat && causal; }
  bool operator==(const AttentionSpec&) const = default;
};

std::string to_string(Normalizer normalizer);
std::string to_string(AttentionKind kind);
/// "rehyat(tc=3,to=1,causal,joint)".
std::string to_string(const AttentionSpec& spec);

/// Slices [begin, end).
struct SliceRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const SliceRange&) const = default;
};

/// One chunk of the rehyat pattern.
struct Chunk {
  SliceRange queries;  ///< tTc ... min((t+1)Tc, T)
  SliceRange window;   ///< softmax keys: max(tTc-To, 0) ... end of the chunk
  /// Linear keys: slices [0, window.begin), and for non-causal patterns also [window.end, T).
};

/// The chunks of `slices` latent slices; the last may be short.
std::vector<Chunk> chunks_of(std::int64_t slices, std::int64_t tc, std::int64_t to);

}  // namespace rehyat::ops
