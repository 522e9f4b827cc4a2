#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// What a kind of attention is. Each built-in kind is one file of this folder; the forms in ops/hybrid_attention.h and
/// the counts of src/analysis work from what is asked here and know no kind by name.
namespace rehyat::ops {

struct AttentionSpec;
struct Plan;

/// The tokens of a video as attention sees them: `slices` latent slices of `per_slice` tokens, slice by slice.
struct TokenGrid {
  std::int64_t slices = 1, per_slice = 1;
  std::int64_t tokens() const { return slices * per_slice; }
};

/// How one query sees one key.
enum class KeyUse { none, softmax, linear };

/// The recurrent form of an attention: the video is given chunk by chunk. Softmax sees the chunk and the `overlap`
/// slices before it; everything older is in S and z (ops::RecurrentState).
struct Recurrence {
  std::int64_t chunk = 1;    ///< most slices of a chunk
  std::int64_t overlap = 0;  ///< slices whose keys and values are kept
};

/// One setting of a kind: a member of AttentionSpec, or for what no member holds an entry of AttentionSpec::own. Kinds
/// that share a setting share its bound and its meaning.
struct Setting {
  const char* name;
  const char* doc;
  std::int64_t AttentionSpec::*number = nullptr;
  bool AttentionSpec::*flag = nullptr;
  std::int64_t at_least = 0;  ///< of a number
  std::int64_t fallback = 0;  ///< of an entry of AttentionSpec::own: its value where none is given
};

class AttentionKind {
 public:
  /// The built-in kinds: `softmax` is the teacher's, over all keys; `rehyat` has softmax over a chunk and its overlap
  /// and linear attention over the rest (the paper); `uniform_hybrid` softmax over every rate-th key and linear
  /// attention over the rest (Attention Surgery); `linear` linear attention over all keys.
  static const AttentionKind *const softmax, *const rehyat, *const uniform_hybrid, *const linear;

  explicit constexpr AttentionKind(const char* name) : name_(name) {}
  virtual ~AttentionKind() = default;
  AttentionKind(const AttentionKind&) = delete;
  AttentionKind& operator=(const AttentionKind&) = delete;

  /// As config files and saved models have it.
  std::string name() const { return name_; }
  /// Whether queries see any keys by softmax, or by phi. An attention with both has a normalizer.
  virtual bool has_softmax() const { return true; }
  virtual bool has_linear() const { return true; }
  /// Of constant storage.
  virtual std::span<const Setting> settings() const { return {}; }

  /// The pattern as the fast forms run it; `spec` is of this kind and valid.
  virtual Plan plan(const AttentionSpec& spec, const TokenGrid& grid) const = 0;
  /// The same pattern one query and one key at a time, stated apart from `plan`: the reference is computed from it.
  virtual KeyUse use(const AttentionSpec& spec, const TokenGrid& grid, std::int64_t query, std::int64_t key) const = 0;
  /// None where the attention has no recurrent form.
  virtual std::optional<Recurrence> recurrence(const AttentionSpec&) const { return std::nullopt; }
  /// What of this kind has a recurrent form, for messages: "causal rehyat". Empty: nothing.
  virtual std::string recurrent_name() const { return ""; }
  /// Softmax keys of a query in the middle of a video; by default the most that any query of the plan has.
  virtual std::int64_t window_tokens(const AttentionSpec& spec, const TokenGrid& grid) const;

  /// What a block does, for somebody who does not know the names: "attend exactly to ...".
  virtual std::string in_plain_words(const AttentionSpec& spec) const = 0;
  /// The settings that a table of costs shows.
  virtual std::vector<AttentionSpec> examples() const;

 private:
  const char* name_;
};

/// The kinds that a config or a saved model may name.
using AttentionKinds = std::vector<const AttentionKind*>;

/// A new kind is found by its name once it is in this list.
AttentionKinds built_in_kinds();

/// "causal rehyat": what has a recurrent form, for messages; more than one is separated by "or".
std::string recurrent_kinds(const AttentionKinds& kinds = built_in_kinds());

}  // namespace rehyat::ops
