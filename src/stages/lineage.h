#pragma once

#include <map>
#include <string>
#include <vector>

#include "files/marked_folder.h"
#include "stages/run_listing.h"

/// Why two folders of one stage are not the same: by every setting that decided them, those of the stages before too.
namespace rehyat::stages {

/// Every setting that decided a stage's result, its own and those of the stages that it was made from.
struct Lineage {
  struct Value {
    std::string text;   ///< as people read it
    std::string stage;  ///< whose identity names it
  };
  std::map<std::string, Value> settings;      ///< "pretrain.lr"
  std::map<std::string, std::string> stages;  ///< names of their folders, where they are in the run's folder
};

/// `identity` is of the stage `name`; the folders of `run` say what the fingerprints in it stand for.
Lineage lineage_of(const std::string& name, const Identity& identity, const RunListing& run);

/// What one setting is here and there.
struct Difference {
  std::string setting, found, expected;  ///< "nothing" where it is not named
};
/// Settings of stages that only one of the two was made from are told by those stages' names.
std::vector<Difference> differences_of(const Lineage& found, const Lineage& expected);
/// "pretrain.lr: found 0.1, expected 0.2; ...", so many at most.
std::string to_string(const std::vector<Difference>& differences, std::size_t most = 6);

/// What tells each folder of a stage from the others, in the order of `folders`: "hybrid none, finetune.lr 0.1"; ""
/// for the only one.
std::vector<std::string> told_apart(const std::vector<StageOnDisk>& folders, const RunListing& run);

}  // namespace rehyat::stages
