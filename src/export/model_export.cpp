#include "export/model_export.h"

#include "core/error.h"
#include "core/strings.h"
#include "models/hybrid.h"

namespace rehyat::exporter {
namespace {

/// Throws UserError unless the tensors of this part came back as they are once they are stored as `type`.
void compare(const models::VideoTransformer& model, const models::VideoTransformer& again, models::Weights part,
             at::ScalarType type, const std::filesystem::path& path) {
  const auto expected = model->tensors(part), found = again->tensors(part);
  require(expected.size() == found.size(), [&] {
    return cat(path.string(), ": found ", found.size(), " tensors after reading back, expected ", expected.size());
  });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor want = expected[i].second.detach().to(at::kCPU, type);
    require(expected[i].first == found[i].first && at::equal(want, found[i].second), [&] {
      return cat(path.string(), ": tensor '", expected[i].first,
                 "' differs after reading back; the disk may be failing");
    });
  }
}

}  // namespace

std::vector<std::string> format_names(const models::ModelFamily& family) {
  std::vector<std::string> names;
  for (const models::ModelFormat& known : family.formats()) names.push_back(known.name);
  return names;
}

std::filesystem::path place_of(const models::ModelFamily& family, const std::string& format,
                               const std::filesystem::path& folder) {
  for (const models::ModelFormat& known : family.formats()) {
    if (known.name == format) return folder / known.place;
  }
  throw UserError(
      Mistake{"export.formats", cat('"', format, '"'), cat("one of ", join(format_names(family), ", ")), ""});
}

void write_checked(const models::VideoTransformer& model, const models::ModelRegistry& families,
                   const std::string& format, const std::filesystem::path& path, const Options& options) {
  families.of(model).save(path, model,
                          {.format = format, .type = options.type, .max_shard_bytes = options.max_shard_bytes});
  const models::VideoTransformer again = families.load(path, {.type = std::nullopt});
  require(models::block_map_of(again) == models::block_map_of(model) && again->architecture() == model->architecture(),
          [&] {
            return cat(path.string(), ": found other sizes or other attention after reading back, expected those of ",
                       "the model; the disk may be failing");
          });
  compare(model, again, models::Weights::teacher, options.type, path);
  compare(model, again, models::Weights::feature_maps, at::kFloat, path);
}

}  // namespace rehyat::exporter
