#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "ops/attention/kind.h"

namespace rehyat::ops {

/// The c of the hybrid formula y = (e^{lse-c} o + a) / (e^{lse-c} + n) (paper, Eqs. 5-9). It changes the function, not
/// only its numerics, except for `joint`, where the linear terms carry e^{-c} too.
enum class Normalizer { joint, row_max, lse };

/// The attention that a block runs, without its feature map: a kind and its settings. A setting that the kind does not
/// have means nothing.
struct AttentionSpec {
  const AttentionKind* kind = AttentionKind::rehyat;  ///< never null
  std::int64_t tc = 3;                                ///< chunk size in latent slices (rehyat)
  std::int64_t to = 1;                                ///< overlap in latent slices (rehyat); may exceed tc
  bool causal = true;                                 ///< linear keys only from the past (rehyat)
  std::int64_t rate = 2;                              ///< R of uniform_hybrid
  Normalizer normalizer = Normalizer::joint;          ///< of kinds with a softmax and a linear branch
  std::map<std::string, std::int64_t> own = {};  ///< settings without a member, by name; without those at their default

  /// `kinds`: those that may be named, beside this one.
  void fields(config::Fields& f, const AttentionKinds& kinds = built_in_kinds());
  void validate() const;

  /// False for the teacher's own attention.
  bool converted() const { return kind != AttentionKind::softmax; }
  /// Whether there are a softmax and a linear branch, which the normalizer weighs.
  bool blends() const { return kind->has_softmax() && kind->has_linear(); }
  std::optional<Recurrence> recurrence() const { return kind->recurrence(*this); }
  bool recurrent() const { return recurrence().has_value(); }
  /// Softmax keys of a query in the middle of a video.
  std::int64_t window_tokens(const TokenGrid& grid) const { return kind->window_tokens(*this, grid); }
  /// The value of a setting, a flag as 0 or 1; none where the kind does not have it.
  std::optional<std::int64_t> value(std::string_view setting) const;
  std::int64_t value(const Setting& setting) const;

  bool operator==(const AttentionSpec&) const = default;
};

std::string to_string(Normalizer normalizer);
/// "rehyat(tc=3,to=1,causal,joint)".
std::string to_string(const AttentionSpec& spec);

/// Whether a video can go through the blocks of a model chunk by chunk: every block needs a recurrent form, and all of
/// them the same chunk size.
struct ChunkByChunk {
  std::int64_t chunk = 0;                 ///< slices of a chunk; 0 where it cannot
  std::optional<std::size_t> unable;      ///< the first block without a recurrent form
  std::optional<std::size_t> other_size;  ///< the first block whose chunk size is not that of block 0
  bool possible() const { return chunk > 0; }
};
ChunkByChunk chunk_by_chunk(const std::vector<AttentionSpec>& blocks);

/// Slices [begin, end).
struct SliceRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const SliceRange&) const = default;
};

/// A video cut into chunks.
struct Chunk {
  SliceRange queries;  ///< t size ... min((t+1) size, T)
  SliceRange window;   ///< the chunk and the overlap before it: max(t size - overlap, 0) ... end of the chunk
};

/// The chunks of `slices` latent slices; the last may be short.
std::vector<Chunk> chunks_of(std::int64_t slices, std::int64_t size, std::int64_t overlap);

}  // namespace rehyat::ops
