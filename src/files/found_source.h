#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rehyat {

/// The names under which one thing may lie in a folder, and what settles which is meant where several are there.
struct SourceNames {
  std::string what;  ///< "the weights of the transformer"
  /// Files or folders, in ranks. A name of an earlier rank is taken before those of later ranks, which is said; two of
  /// the same rank are refused, because nothing says which of them is meant.
  std::vector<std::vector<std::string>> ranks;
  std::string rule;    ///< who puts the ranks in this order: "as diffusers does"
  std::string choose;  ///< how the user says which is meant
  /// Forms of the same thing that are never read, such as .bin beside .safetensors.
  std::vector<std::string> unread = {};
};

/// The one function by which things are found by name: the source in the folder, or nothing where none is there. The
/// log says what lies beside it and is not taken. Throws UserError that names all that could be meant.
std::optional<std::filesystem::path> find_source(const std::filesystem::path& folder, const SourceNames& names);

/// Whether a source is there, be it one or several.
bool has_source(const std::filesystem::path& folder, const SourceNames& names);

/// The names of `names.unread` that are there, for a message where nothing else is: "; found only a.bin"; else empty.
std::string only_unread(const std::filesystem::path& folder, const SourceNames& names);

}  // namespace rehyat
