#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "data/dataset/latent_dataset.h"
#include "data/dataset/manifest.h"
#include "finetune/flow_points.h"
#include "tensor/hdf5_file.h"
#include "tensor/random.h"

namespace rehyat::testing {

/// A dataset as `prepare` writes it: held-out clips a, b, c with 5, 1 and 2 windows in file order; 3 windows to train
/// on.
class SmallDataset : public ::testing::Test {
 protected:
  SmallDataset() {
    const std::vector<std::pair<std::string, bool>> windows = {{"t", false}, {"a", true},  {"a", true}, {"a", true},
                                                               {"a", true},  {"a", true},  {"b", true}, {"c", true},
                                                               {"c", true},  {"t", false}, {"u", false}};
    Hdf5Writer shard(folder_ / "shard.h5"), text(folder_ / "text.h5");
    nlohmann::ordered_json samples = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < windows.size(); ++i) {
      Rng rng(1, "test.latents", {i});
      shard.write(cat("latents/", i), randn(rng, {4, 3, 4, 4}));
      samples.push_back(
          {{"shard", 0}, {"index", i}, {"clip", windows[i].first}, {"caption", 1}, {"validation", windows[i].second}});
    }
    for (std::uint64_t i = 0; i < 2; ++i) {
      Rng rng(1, "test.text", {i});
      text.write(cat("text/", i), randn(rng, {5, 20}));
    }
    shard.commit();
    text.commit();
    data::dataset_folder(folder_.path(), {{"test", 1}})
        .finish({{"shards", {file_entry(folder_.path(), "shard.h5")}},
                 {"captions", {"", "words"}},
                 {"text", file_entry(folder_.path(), "text.h5")},
                 {"samples", samples}});
    dataset_ = std::make_unique<data::LatentDataset>(folder_.path(), data::Identity{{"test", 1}});
  }

  /// The number of the held-out window that a point was made of.
  std::int64_t window_of(const finetune::FlowSample& point) const {
    for (std::int64_t i = 0; i < dataset_->size(data::Split::validation); ++i) {
      if (at::equal(dataset_->get(data::Split::validation, i).latents, point.x0)) return i;
    }
    return -1;
  }

  testing::TempFolder folder_;
  std::unique_ptr<data::LatentDataset> dataset_;
};

}  // namespace rehyat::testing
