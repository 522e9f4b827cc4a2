#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/fixtures.h"
#include "core/readable.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "files/marked_folder.h"
#include "inspect/files.h"
#include "mutation/crafted.h"
#include "mutation/runner.h"
#include "mutation/seeds.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;

/// The only file of the folder, else the folder.
fs::path thing_in(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  return entries.size() == 1 ? entries.front() : folder;
}

void look_at(const fs::path& folder) {
  const nlohmann::ordered_json report = inspect::inspect_path(thing_in(folder));
  readable(report);
  report.dump(2);
}

/// Of the tree the files whose names begin so.
FileTree only(const FileTree& tree, const std::string& start) {
  FileTree out;
  for (const auto& [name, bytes] : tree)
    if (name.starts_with(start)) out[name.substr(start.ends_with('/') ? start.size() : 0)] = bytes;
  return out;
}

TEST(Mutation, events) {
  ReaderCase reader;
  reader.name = "events";
  reader.seeds = {only(small_metrics(), "events")};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_event(tree, tree.begin()->first, m); }};
  reader.read = look_at;
  expect_no_faults(reader);
}

/// Found by the next test: the JSON of the report could not be written.
TEST(Inspection, TextsOfALogArePrintable) {
  const TempFolder folder;
  write_file_atomic(folder / "run.log", "[warning] \xFF \x1b[31mred\n");
  const nlohmann::ordered_json report = inspect::inspect_path(folder / "run.log");
  EXPECT_NE(report.dump().find("\\\\xFF \\\\x1B[31mred"), std::string::npos) << report.dump();
}

TEST(Mutation, inspect_files) {
  ReaderCase reader;
  reader.name = "inspect_files";
  const FileTree cache = small_cache();
  reader.seeds = {only(small_transformer(), "hybrid.safetensors"),
                  only(cache, "trajectory-000000.h5"),
                  only(cache, "manifest.json"),
                  only(small_metrics(), "metrics"),
                  {{"tiny.yaml", read_file(fixtures().parent_path() / "app" / "tiny.yaml")}},
                  {{"run.log", "[info] step 1\n[warning] slow\n[error] a\xFF \x1b[31m\n"}}};
  reader.words = {"\"step\":", "NaN", "error", "\x1b[31m", "null", "- ", "&a ", "*a"};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    const std::string name = tree.begin()->first;
    if (name.ends_with(".safetensors")) return change_safetensors_header(tree, name, m);
    if (name.ends_with(".json")) return change_json_file(tree, name, m);
    if (name.ends_with(".jsonl")) return change_json_line(tree, name, m);
    tree[name] = m.bytes(tree[name]);
  }};
  reader.read = look_at;
  expect_no_faults(reader);
}

TEST(Mutation, inspect_folders) {
  ReaderCase reader;
  reader.name = "inspect_folders";
  FileTree run;
  for (const auto& [name, bytes] : small_prepared()) run["prepare-1a2b3c4d/" + name] = bytes;
  run["prepare-1a2b3c4d/stage.json"] = run.at("prepare-1a2b3c4d/manifest.json");
  run["resolved.yaml"] = "run: {seed: 1}\n";
  const FileTree stage = only(run, "prepare-1a2b3c4d/");
  reader.seeds = {small_transformer(), only(small_checkpoints(), "step-00000008/"), stage, run};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    std::vector<std::string> names;
    for (const auto& item : tree)
      if (item.first.ends_with(".json")) names.push_back(item.first);
    const std::string& name = names[m.below(names.size())];
    const bool marker = name.ends_with("state.json") || name.ends_with("stage.json");
    if (marker && m.chance(60))
      change_marker(tree, name, m);
    else
      change_json_file(tree, name, m);
  }};
  reader.read = look_at;
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
