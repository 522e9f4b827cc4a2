#include "mutation/seeds.h"

#include <ATen/ATen.h>

#include "core/strings.h"
#include "core/temp_folder.h"
#include "data/cache/activation_cache.h"
#include "data/dataset/latent_dataset.h"
#include "models/small_wan.h"
#include "models/wan/weights.h"
#include "mutation/runner.h"
#include "tensor/hdf5_file.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

namespace rehyat::testing {

using json = nlohmann::ordered_json;

Identity seed_identity() {
  return {{"settings", {{"size", {64, 64}}}}, {"seed", 3}};
}

FileTree small_cache() {
  const TempFolder folder;
  const MarkedFolder marked = data::cache_folder(folder.path(), seed_identity());
  {
    const FolderLock lock = marked.open();
    for (int i = 0; i < 2; ++i) {
      data::TrajectoryWriter writer(folder.path(), i);
      for (int block : {1, 4}) writer.add(0, block, at::full({5, 4}, block, at::kFloat), at::ones({5, 4}));
      writer.commit({{0, true}});
    }
    data::finish_cache(marked, {false, true}, {1, 4}, {2, 4, 4});
  }
  return read_tree(folder.path());
}

FileTree small_prepared() {
  const TempFolder folder;
  json samples = json::array();
  {
    Hdf5Writer shard(folder / "shard-00000.h5"), text(folder / "text.h5");
    for (int i = 0; i < 3; ++i) {
      shard.write(cat("latents/", i), at::full({4, 3, 4, 4}, i, at::kFloat));
      samples.push_back({{"shard", 0},
                         {"index", i},
                         {"clip", cat(i, ".mp4")},
                         {"caption", 1},
                         {"bucket", 0},
                         {"validation", i == 2}});
    }
    for (int i = 0; i < 2; ++i) text.write(cat("text/", i), at::full({2, 8}, i, at::kFloat));
    shard.attribute("entries", "[]");
    shard.commit();
    text.commit();
  }
  json words = file_entry(folder.path(), "text.h5");
  words["length"] = 5;
  const MarkedFolder marked = data::dataset_folder(folder.path(), seed_identity());
  const FolderLock lock = marked.open();
  marked.finish({{"shards", {file_entry(folder.path(), "shard-00000.h5")}},
                 {"captions", {"", "words"}},
                 {"text", words},
                 {"table", {{"buckets", {{{"size", {64, 64}}, {"frames", 9}}}}}},
                 {"samples", samples}});
  return read_tree(folder.path());
}

FileTree small_checkpoints() {
  const TempFolder folder;
  const train::CheckpointFolder checkpoints(folder.path(), "a fingerprint");
  for (const std::int64_t step : {4, 8})
    checkpoints.save(
        {step,
         {{"loss", 0.5}},
         {{"weights", {{"w", at::full({3, 2}, step, at::kFloat)}}}, {"optimizer", {{"m", at::ones({9})}}}}},
        2);
  return read_tree(folder.path());
}

FileTree small_metrics() {
  const TempFolder folder;
  {
    train::Metrics metrics(folder.path(), 0);
    for (int step = 1; step < 6; ++step)
      metrics.write({{"step", step}, {"loss", 1.0 / step}, {"lr", 1e-3}, {"note", "a"}}, "train");
  }
  return read_tree(folder.path());
}

FileTree small_transformer() {
  const TempFolder folder;
  models::WanTransformer model = small_wan();
  models::convert(model, {{0, every_attention()[1]}, {2, every_attention()[8]}}, 3, kLatent);
  models::save_model(folder.path(), model);
  return read_tree(folder.path());
}

}  // namespace rehyat::testing
