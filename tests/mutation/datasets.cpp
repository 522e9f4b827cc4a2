#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/fixtures.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "data/cache/activation_cache.h"
#include "data/dataset/identity.h"
#include "data/dataset/latent_dataset.h"
#include "data/dataset/shards.h"
#include "data/sources/clip_list.h"
#include "files/tar_maker.h"
#include "mutation/crafted.h"
#include "mutation/runner.h"
#include "mutation/seeds.h"
#include "stages/config.h"
#include "stages/dataset_notes.h"
#include "stages/environment.h"
#include "stages/lineage.h"
#include "stages/prompt_file.h"
#include "stages/report_parts.h"
#include "stages/run_listing.h"
#include "tensor/hdf5_file.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

TEST(Mutation, cache) {
  ReaderCase reader;
  reader.name = "cache";
  reader.seeds = {small_cache()};
  reader.words = {"\"trajectories\"", "\"bytes\"", "\"points\"", "TREE", "HEAP"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_marker(tree, "manifest.json", m); }};
  reader.read = [](const fs::path& folder) {
    const data::ActivationCache cache(folder, seed_identity());
    for (const data::Split split : {data::Split::train, data::Split::validation}) {
      for (std::int64_t i = 0; i < std::min<std::int64_t>(cache.size(split), 4); ++i) {
        for (const std::int64_t block : cache.blocks()) {
          cache.input(split, i, block);
          if (cache.has_targets()) cache.target(split, i, block);
        }
      }
    }
  };
  expect_no_faults(reader);
}

TEST(Mutation, dataset) {
  ReaderCase reader;
  reader.name = "dataset";
  reader.seeds = {small_prepared()};
  reader.words = {"\"samples\"", "\"shards\"", "\"bytes\"", "\"length\"", "TREE", "HEAP"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_marker(tree, "manifest.json", m); }};
  reader.read = [](const fs::path& folder) {
    const data::LatentDataset dataset(folder, seed_identity());
    for (const data::Split split : {data::Split::train, data::Split::validation}) {
      for (std::int64_t i = 0; i < std::min<std::int64_t>(dataset.size(split), 4); ++i) dataset.get(split, i);
      dataset.captions(split);
    }
  };
  expect_no_faults(reader);
}

/// A damaged checkpoint is passed over; what is refused is one of another training.
TEST(Mutation, checkpoint) {
  ReaderCase reader;
  reader.name = "checkpoint";
  reader.refuses = false;
  reader.inputs = 500;
  reader.seeds = {small_checkpoints()};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    change_marker(tree, m.chance(50) ? "step-00000004/state.json" : "step-00000008/state.json", m);
  }};
  reader.read = [](const fs::path& at) {
    const auto found = train::CheckpointFolder(at, "a fingerprint").newest();
    if (!found) return;
    for (const char* name : {"weights", "optimizer"})
      for (const auto& item : found->part(name)) rehyat::hash_tensor(item.second);
  };
  expect_no_faults(reader);
}

/// Metrics go on behind whatever an earlier start has left.
TEST(Mutation, metrics) {
  ReaderCase reader;
  reader.name = "metrics";
  reader.refuses = false;
  reader.inputs = 300;
  reader.seeds = {{{"metrics.jsonl", small_metrics().at("metrics.jsonl")}}};
  reader.words = {"\"step\":", "NaN", "1e999", "\n", "{\"step\":3}\n"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_json_line(tree, "metrics.jsonl", m); }};
  reader.read = [](const fs::path& at) {
    const report::Series series = stages::metrics_series(at, "loss", "loss");
    train::Metrics metrics(at, 3);
    metrics.write({{"step", 4}, {"loss", 0.5}}, "train");
    if (!read_file(at / "metrics.jsonl").ends_with("{\"step\":4,\"loss\":0.5}\n"))
      throw std::logic_error("the line that was written is not the last");
  };
  expect_no_faults(reader);
}

data::DataConfig clips_of(const fs::path& folder, const std::string& list) {
  data::DataConfig config;
  config.videos = folder / "clips";
  if (!list.empty()) config.captions = folder / list;
  config.allow_missing_captions = true;
  return config;
}

TEST(Mutation, captions) {
  ReaderCase reader;
  reader.name = "captions";
  const FileTree clips = {{"clips/a.mp4", "not read"}, {"clips/more/b c.mkv", "not read"}};
  const auto with = [&](const std::string& name, const std::string& text) {
    FileTree tree = clips;
    tree[name] = text;
    return tree;
  };
  reader.seeds = {
      with("list.jsonl",
           "{\"file\": \"a.mp4\", \"caption\": \"a caf\xC3\xA9\"}\n\n"
           "{\"file\": \"more/b c.mkv\", \"caption\": \"two\", \"group\": \"g\"}\n"),
      with("list.csv",
           "\xEF\xBB\xBF"
           "file,caption,group\r\na.mp4,\"a \"\"red\"\"\ncat, two\",\r\nmore/b c.mkv,two,g\r\n"),
      with("list.json",
           R"([{"path": "a.mp4", "cap": ["one", "two"], "fps": 16.0, "resolution": {"width": 8, "height": 8}},
        {"path": "more/b c.mkv", "cap": "two", "num_frames": 9, "duration": 0.5, "cut": null}])"),
      with("clips/a.txt", "a caption\r\n")};
  reader.spared = {"clips/a.mp4", "clips/more"};
  reader.words = {"\"",  ",",       "\n",          "\r",      ";", "\"file\"", "\"group\": null",
                  "NaN", "\\ud83d", "\"cap\": []", "\xFF\xFE"};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    if (tree.contains("list.jsonl")) return change_json_line(tree, "list.jsonl", m);
    if (tree.contains("list.json")) return change_json_file(tree, "list.json", m);
    const std::string name = tree.contains("list.csv") ? "list.csv" : "clips/a.txt";
    tree[name] = m.bytes(tree[name]);
  }};
  reader.read = [](const fs::path& folder) {
    for (const char* list : {"list.jsonl", "list.csv", "list.json"})
      if (fs::exists(folder / list)) return static_cast<void>(data::list_clips(clips_of(folder, list)));
    data::list_clips(clips_of(folder, ""));
  };
  expect_no_faults(reader);
}

TEST(Mutation, webdataset) {
  ReaderCase reader;
  reader.name = "webdataset";
  reader.seeds = {{{"clips/00.tar", TarMaker()
                                        .add("a.mp4", "not read")
                                        .add("a.txt", "a caption")
                                        .add("b.mp4", "not read")
                                        .add("b.json", R"({"caption": "b", "group": "g", "text": "t"})")
                                        .add("c.webm", "not read")
                                        .add("c.json", R"({"text": "c"})")
                                        .end()
                                        .bytes()}}};
  reader.words = {"\"caption\"", ".mp4", ".txt", ".json", "../", "null"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_tar_header(tree, "clips/00.tar", m); },
                    [](FileTree& tree, Mutator& m) {
                      json object = {{"caption", "b"}, {"group", "g"}, {"text", "t"}};
                      const std::string text =
                          m.structured(object).dump(-1, ' ', false, json::error_handler_t::replace);
                      tree["clips/00.tar"] = TarMaker().add("b.mp4", "x").add("b.json", text).end().bytes();
                    }};
  reader.read = [](const fs::path& folder) { data::list_clips(clips_of(folder, "")); };
  expect_no_faults(reader);
}

TEST(Mutation, prompts) {
  ReaderCase reader;
  reader.name = "prompts";
  reader.seeds = {{{"prompts.txt", "a red cat\n\n  a caf\xC3\xA9 at night \r\n\xE7\x8C\xAB\n"}}};
  reader.words = {"\xEF\xBB\xBF", "\xFF\xFE", "\xC0\x80", "\r", "\xE2\x80\xA8", std::string(1, '\0')};
  reader.read = [](const fs::path& folder) { stages::read_prompts(folder / "prompts.txt"); };
  expect_no_faults(reader);
}

/// What the program notes for itself in a run's folder: most of it is only remembered.
TEST(Mutation, notes) {
  ReaderCase reader;
  reader.name = "notes";
  reader.inputs = 300;
  const TempFolder folder;
  stages::remember_dataset(folder.path(), "1a2b3c4d", seed_identity());
  stages::record_environment(folder.path(), {{"ranks", 2}, {"host", "a"}});
  data::shard_size(folder.path(), 4);
  const data::ClipMarks marks = {{"a.mp4", {"0123", "4567"}}, {"b.mp4", {"89ab", "cdef"}}};
  data::save_clip_marks(folder / "clips.json", marks);
  for (const char* name : {"pretrain-1a2b3c4d", "pretrain-2a2b3c4d", "finetune-3a2b3c4d"}) {
    make_folder(folder / name);
    write_file_atomic(folder.path() / name / "identity.json", json({{"settings", {{"lr", 0.1}, {"name", name}}},
                                                                    {"teacher", "1a2b3c4d1a2b3c4d"},
                                                                    {"hybrid", {{"blocks", {0, 1}}}},
                                                                    {"seed", 1}})
                                                                  .dump(2));
  }
  reader.seeds = {read_tree(folder.path())};
  reader.words = {"null", "[]", "{}", "\"settings\"", "1a2b3c4d1a2b3c4d"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_json_file(tree, m.file_of(tree), m); }};
  reader.read = [marks](const fs::path& at) {
    stages::record_environment(at, {{"ranks", 4}});
    data::clip_changes(at / "clips.json", {{"a.mp4", {"0123", "0"}}, {"c.mp4", {"1", "2"}}});
    const stages::RunListing listing(at);
    for (const stages::StageOnDisk& each : listing.all()) stages::told_apart(listing.of_stage(each.stage), listing);
    stages::recall_dataset(at, "1a2b3c4d");
    data::shard_size(at, 4);
  };
  expect_no_faults(reader);
}

/// A config and overrides of the command line, one a line.
TEST(Mutation, config) {
  ReaderCase reader;
  reader.name = "config";
  reader.names_file = false;
  const std::string overrides =
      "sample.negative_prompt=blurry, take #2\nhybrid.blocks=[0, 2]\ndata.size=[32,48]\nrun.seed=7\nmodel.vae=a b";
  const fs::path configs = fixtures().parent_path().parent_path() / "configs";
  reader.seeds = {{{"a.yaml", read_file(fixtures().parent_path() / "app" / "tiny.yaml")}, {"overrides", overrides}},
                  {{"a.yaml", read_file(configs / "demo.yaml")}, {"overrides", overrides}}};
  reader.words = {"&a ",  "*a",          "<<: ",    "!!binary ", "!t ", "%YAML 1.2\n", "---\n", "...\n", "? ",
                  "| \n", ">-\n",        "#",       "\t",        "~",   ".nan",        ".inf",  "0x1f",  "1_000",
                  "null", "\"\\u0000\"", "\"\\x\"", "{",         "]",   ": ",          "- "};
  reader.read = [](const fs::path& folder) {
    const std::string lines = fs::exists(folder / "overrides") ? read_file(folder / "overrides") : "";
    const auto document = config::Document::from_file(folder / "a.yaml", split(lines, '\n'));
    auto config = config::load<stages::ExperimentConfig>(document);
    config.resolve();
    config::yaml(config::to_json(config));
  };
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
