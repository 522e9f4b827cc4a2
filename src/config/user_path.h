#pragma once

#include <filesystem>
#include <string>

namespace rehyat::config {

/// A path as a user writes it in a config, an override or an option. `~` and `~/x` are the user's home, $HOME, as in a
/// shell. What else a shell would have replaced is refused, since it would become a folder of that name: `~user`, and
/// `$` before a name, `{` or `(` (a file that has such a name is meant by `./` before it: `./~x`, `/data/./$x`).
/// Throws UsageError that begins with `where`.
std::filesystem::path user_path(const std::string& text, const std::string& where);

}  // namespace rehyat::config
