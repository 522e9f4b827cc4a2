#include "models/architecture.h"

#include <utility>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {

std::array<std::int64_t, 3> Architecture::grid(const std::array<std::int64_t, 3>& latent) const {
  return {latent[0] / patch[0], latent[1] / patch[1], latent[2] / patch[2]};
}

std::int64_t Architecture::tokens_per_slice(std::int64_t height, std::int64_t width) const {
  return (height / patch[1]) * (width / patch[2]);
}

void Architecture::validate() const {
  for (const auto& [name, value] : {std::pair{"dim", dim},
                                    {"layers", layers},
                                    {"heads", heads},
                                    {"text_width", text_width},
                                    {"text_tokens", text_tokens},
                                    {"channels", channels},
                                    {"out_channels", out_channels},
                                    {"patch[0]", patch[0]},
                                    {"patch[1]", patch[1]},
                                    {"patch[2]", patch[2]}})
    if (value < 1) throw UserError(Mistake{cat("model ", name), cat(value), "at least 1", ""});
  if (dim % heads != 0) throw UserError(Mistake{"model dim", cat(dim), cat("a multiple of the ", heads, " heads"), ""});
}

}  // namespace rehyat::models
