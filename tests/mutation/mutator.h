#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"

namespace rehyat::testing {

/// Files by their paths relative to a folder.
using FileTree = std::map<std::string, std::string>;

/// Damages files in the ways that disks, downloads, editors and other programs do, and in the ways that readers trip
/// over. What it does follows from the random stream alone.
class Mutator {
 public:
  /// `words` are texts of the format, which are put where they do not belong.
  Mutator(Rng rng, std::vector<std::string> words) : rng_(std::move(rng)), words_(std::move(words)) {}

  /// One to four of: bits flipped, runs of bytes set, cuts, insertions, repetitions, stretches that change places, the
  /// head of the file with the tail of `other`, numbers of 1 to 8 bytes (either order) or of decimal digits at their
  /// limits, wrong starts, brackets nested deeply. At most 4 MiB come out.
  std::string bytes(std::string input, std::string_view other = {});
  /// A value of the JSON is replaced by one of another type or at a limit, left out, doubled, renamed or moved.
  nlohmann::ordered_json structured(nlohmann::ordered_json input);
  /// A number at the limits of one of the widths.
  std::uint64_t number();

  /// Uniform in [0, n); 0 for n = 0.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(rng_.below(n)); }
  bool chance(unsigned percent) { return below(100) < percent; }
  /// The name of one of the files.
  std::string file_of(const FileTree& tree);

 private:
  void one_step(std::string& data, std::string_view other);
  void change_bytes(std::string& data);
  void change_length(std::string& data, std::string_view other);
  void change_text(std::string& data);
  nlohmann::ordered_json odd_value(const nlohmann::ordered_json& root);

  Rng rng_;
  std::vector<std::string> words_;
};

}  // namespace rehyat::testing
