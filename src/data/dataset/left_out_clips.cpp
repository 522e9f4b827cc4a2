#include "data/dataset/left_out_clips.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"

namespace rehyat::data {

void LeftOutClips::save(const std::filesystem::path& path) const {
  std::string text;
  for (const auto& [clip, reason] : reasons_) {
    const nlohmann::ordered_json line{{"file", clip}, {"reason", reason}};
    // File names need not be UTF-8.
    text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  write_file_atomic(path, text);
}

void LeftOutClips::require_at_most(double share, std::size_t total, const std::filesystem::path& path) const {
  const auto limit = static_cast<std::size_t>(std::floor(share * static_cast<double>(total) + 1e-9));
  if (reasons_.empty() || (reasons_.size() <= limit && reasons_.size() < total)) return;
  const auto& [clip, reason] = *reasons_.begin();
  throw UserError(Mistake{
      path.string(), cat(reasons_.size(), " of ", total, " clips that cannot be used"),
      cat("at most ", std::min(limit, total - std::min<std::size_t>(total, 1)), " (data.max_bad_share=", share, ")"),
      cat("the first is ", clip, " (", reason,
          "); the file lists all with their reasons: mend or remove them, or "
          "raise data.max_bad_share and start again, which keeps what is done")});
}

}  // namespace rehyat::data
