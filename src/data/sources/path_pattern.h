#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rehyat::data {

/// Whether a path is a pattern: it holds one of { * ? [ and nothing has that very name.
bool is_pattern(const std::filesystem::path& path);

/// "a/{00..12}.tar" and "{train,more}-*.tar" without their braces, in order. A range counts up or down; its numbers are
/// as wide as its ends where one of them begins with 0. Throws UserError for braces that are open or within others, and
/// for more than a million results.
std::vector<std::string> expand_braces(const std::string& pattern);

/// The files that a pattern of braces, * ? and [] names, sorted, each once. Throws UserError where one of its
/// alternatives names nothing: a missing part would otherwise go unnoticed.
std::vector<std::filesystem::path> expand_pattern(const std::filesystem::path& pattern);

}  // namespace rehyat::data
