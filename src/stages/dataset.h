#pragma once

#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "data/dataset/identity.h"
#include "data/dataset/latent_dataset.h"
#include "data/dataset/prepare.h"
#include "stages/config.h"
#include "stages/encoders.h"
#include "stages/stage_folder.h"

namespace rehyat::stages {

/// The videos of a run and the dataset that `prepare` makes of them.
class RunDataset {
 public:
  RunDataset(const ExperimentConfig& config, RunEncoders& encoders, const comm::Communicator& world);

  /// Lists the clips on one rank and reads them on all, a share each. Does nothing where the videos are gone but are
  /// known to have been prepared. Collective.
  void read_clips();
  /// What decides the dataset. Where the clips were read, it is made of them; else it is the one that was last prepared
  /// of this `data` section, for which no video need be there; where there is none, the clips are read now. Call on
  /// rank 0.
  const data::Identity& identity();
  /// How the clips differ from those that the dataset in this folder was made from, one by one; "" where that is not
  /// known. On rank 0.
  std::string clip_changes(const std::filesystem::path& folder);
  /// Makes the dataset. Collective.
  data::PrepareResult prepare(const StageFolder& folder);
  /// Notes that this dataset is complete. On rank 0.
  void remember();
  /// The finished dataset of that folder; throws UserError where it is damaged.
  const data::LatentDataset& open(const StageFolder& folder);

 private:
  std::string section() const;
  nlohmann::ordered_json settings() const;
  void identify();
  data::DatasetInputs inputs();

  const ExperimentConfig& config_;
  RunEncoders& encoders_;
  const comm::Communicator& world_;
  std::optional<data::Identity> identity_;
  std::optional<data::ClipList> clips_;
  std::unique_ptr<ChecksumMemory> checksums_;  ///< of the videos
  data::ClipMarks marks_;                      ///< of the clips that identity_ is of
  std::unique_ptr<data::LatentDataset> dataset_;
};

}  // namespace rehyat::stages
