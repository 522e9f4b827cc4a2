#include "data/dataset/latent_dataset.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::data {

using json = nlohmann::ordered_json;

LatentDataset::LatentDataset(std::filesystem::path folder, const Identity& identity) : folder_(std::move(folder)) {
  const json content = dataset_folder(folder_, identity).content();
  std::vector<Hdf5Pool::File> shards;
  try {
    for (const json& shard : content.at("shards")) shards.push_back({shard.at("file"), shard.at("bytes")});
    captions_ = content.at("captions").get<std::vector<std::string>>();
    text_ = TextTable(folder_, content.at("text"), "prepare");
    if (content.contains("table")) buckets_ = content.at("table").at("buckets").size();
    train_of_.resize(buckets_);
    validation_of_.resize(buckets_);
    for (const json& sample : content.at("samples")) {
      const std::size_t bucket = content.contains("table") ? sample.at("bucket").get<std::size_t>() : 0;
      Entry entry{sample.at("shard"), sample.at("index"), sample.at("clip"), sample.at("caption"), bucket};
      require(entry.shard < shards.size() && entry.caption < captions_.size() && bucket < buckets_, [&] {
        return (folder_ / "manifest.json").string() +
               ": found a sample of a shard, caption or bucket that is not listed; "
               "remove the folder and run `rehyat prepare` again";
      });
      const bool held_out = sample.at("validation").get<bool>();
      auto& list = held_out ? validation_ : train_;
      (held_out ? validation_of_ : train_of_)[bucket].push_back(static_cast<std::int64_t>(list.size()));
      list.push_back(std::move(entry));
    }
  } catch (const json::exception&) {
    throw UserError({(folder_ / "manifest.json").string(), "a manifest that lacks values", "one of a prepared dataset",
                     "remove the folder and run `rehyat prepare` again"});
  }
  shards_ = Hdf5Pool(folder_, std::move(shards), "prepare");
  empty_text_ = text_.at(0);
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
  const at::Tensor latents = [&] {
    const std::lock_guard lock(*reading_);
    return shards_.at(entry.shard).read(cat("latents/", entry.index));
  }();
  return {latents, text(entry.caption), captions_[entry.caption], entry.clip};
}

at::Tensor LatentDataset::text(std::size_t caption) const {
  if (caption == 0) return empty_text_;
  const std::lock_guard lock(*reading_);
  return text_.at(caption);
}

std::vector<std::size_t> LatentDataset::captions(Split split) const {
  std::vector<std::size_t> out;
  std::set<std::size_t> seen;
  for (const Entry& entry : entries(split))
    if (seen.insert(entry.caption).second) out.push_back(entry.caption);
  return out;
}

}  // namespace rehyat::data
