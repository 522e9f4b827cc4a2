#include "stages/prompt_file.h"

#include <sstream>

#include "core/error.h"
#include "core/strings.h"
#include "files/text_file.h"

namespace rehyat::stages {

std::vector<std::string> read_prompts(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::istringstream in(read_text(path, 64 << 20));
  for (std::string line; std::getline(in, line);) {
    if (!trim(line).empty()) lines.emplace_back(trim(line));
  }
  require(!lines.empty(), [&] { return path.string() + ": found no prompt, expected one a line"; });
  return lines;
}

}  // namespace rehyat::stages
