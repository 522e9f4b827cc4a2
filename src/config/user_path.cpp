#include "config/user_path.h"

#include <cctype>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::config {
namespace {

std::string home_folder(const std::string& text, const std::string& where) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    throw UsageError({where, cat('"', excerpt(text), "\" without a HOME in the environment"), "the path in full",
                      "set HOME, or write ./~ for a folder of that name"});
  return home;
}

/// Whether a shell would put the value of a variable or the output of a command in place of a part of this name.
bool has_variable(std::string_view name) {
  for (std::size_t at = name.find('$'); at != name.npos && at + 1 < name.size(); at = name.find('$', at + 1)) {
    const auto next = static_cast<unsigned char>(name[at + 1]);
    if (std::isalpha(next) != 0 || next == '_' || next == '{' || next == '(') return true;
  }
  return false;
}

}  // namespace

std::filesystem::path user_path(const std::string& text, const std::string& where) {
  const std::vector<std::string> names = split(text, '/');
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!has_variable(names[i]) || (i > 0 && names[i - 1] == ".")) continue;
    throw UsageError({where, cat('"', excerpt(text), "\", in which nothing replaces the variable"), "the path in full",
                      cat("let the shell replace it, or write ./", excerpt(names[i]), " for a file of that name")});
  }
  if (!text.starts_with('~')) return text;
  if (names.front() == "~") return home_folder(text, where) + text.substr(1);
  throw UsageError({where, cat('"', excerpt(text), "\", another user's home"), "the path in full",
                    cat("write ./", excerpt(names.front()), " for a file of that name")});
}

}  // namespace rehyat::config
