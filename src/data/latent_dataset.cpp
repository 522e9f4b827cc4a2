#include "data/latent_dataset.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::data {

using json = nlohmann::ordered_json;

LatentDataset::LatentDataset(std::filesystem::path folder, const Identity& identity) : folder_(std::move(folder)) {
  const json manifest = read_manifest(folder_);
  require_same_identity(manifest["identity"], identity, folder_.string());
  const json& content = manifest["content"];
  try {
    for (const json& shard : content.at("shards"))
      shards_.emplace_back(folder_ / shard.at("file").get<std::string>(), shard.at("bytes").get<std::uint64_t>());
    captions_ = content.at("captions").get<std::vector<std::string>>();
    const Hdf5Reader text(folder_ / content.at("text").at("file").get<std::string>(),
                          content.at("text").at("bytes").get<std::uint64_t>());
    for (std::size_t i = 0; i < captions_.size(); ++i) text_.push_back(text.read(cat("text/", i)));
    for (const json& sample : content.at("samples")) {
      Entry entry{sample.at("shard"), sample.at("index"), sample.at("clip"), sample.at("caption")};
      require(entry.shard < shards_.size() && entry.caption < captions_.size(), [&] {
        return (folder_ / "manifest.json").string() + ": found a sample of a shard or caption that is not listed";
      });
      (sample.at("validation").get<bool>() ? validation_ : train_).push_back(std::move(entry));
    }
  } catch (const json::exception&) {
    throw UserError({(folder_ / "manifest.json").string(), "a manifest that lacks values", "one of a prepared dataset",
                     "remove the folder and run `rehyat prepare` again"});
  }
  require(!train_.empty(), [&] {
    return folder_.string() +
           ": found no training sample, expected at least one; add videos or lower data.validation_share";
  });
}

std::int64_t LatentDataset::size(Split split) const {
  return static_cast<std::int64_t>(entries(split).size());
}

LatentSample LatentDataset::get(Split split, std::int64_t i) const {
  const auto& list = entries(split);
  require(i >= 0 && i < static_cast<std::int64_t>(list.size()),
          [&] { return cat(folder_.string(), ": found a request for sample ", i, ", expected 0 to ", list.size()); });
  const Entry& entry = list[static_cast<std::size_t>(i)];
  return {shards_[entry.shard].read(cat("latents/", entry.index)), text_[entry.caption], captions_[entry.caption],
          entry.clip};
}

std::vector<std::string> LatentDataset::captions(Split split) const {
  std::vector<std::string> out;
  for (const Entry& entry : entries(split)) {
    const std::string& caption = captions_[entry.caption];
    if (std::find(out.begin(), out.end(), caption) == out.end()) out.push_back(caption);
  }
  return out;
}

}  // namespace rehyat::data
