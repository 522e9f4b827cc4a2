#include "models/encoder_family.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "models/embedded/family.h"
#include "models/wan/encoders.h"

namespace rehyat::models {

EncoderRegistry::EncoderRegistry(std::vector<std::shared_ptr<const EncoderFamily>> families)
    : families_(std::move(families)) {
  assert(!families_.empty());
}

const EncoderFamily& EncoderRegistry::named(const std::string& name) const {
  std::vector<std::string> names = {kAutomaticEncoders};
  for (const auto& family : families_) {
    if (family->name() == name) return *family;
    names.push_back(family->name());
  }
  throw UserError({"model.encoders", cat('"', excerpt(name), '"'), "one of " + join(names, ", "), ""});
}

const EncoderFamily& EncoderRegistry::choose(const std::string& name, const EncoderFiles& files) const {
  if (name != kAutomaticEncoders) return named(name);
  const auto found =
      std::find_if(families_.begin(), families_.end(), [&](const auto& family) { return family->has_files(files); });
  return found != families_.end() ? **found : *families_.back();
}

EncoderRegistry known_encoders() {
  return EncoderRegistry({
      std::make_shared<WanEncoders>(),
      std::make_shared<EmbeddedEncoders>(),
  });
}

}  // namespace rehyat::models
