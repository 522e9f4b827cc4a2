#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "train/config.h"
#include "train/task.h"

namespace rehyat::train {

struct Training {
  std::string title;             ///< of log lines and progress
  std::filesystem::path folder;  ///< checkpoints/, metrics.jsonl, TensorBoard events
  std::string fingerprint;       ///< of everything that decides the result; a foreign checkpoint is refused
  bool quiet = false;            ///< lines to the log file alone (many small trainings under one bar)
  std::function<void(std::int64_t)> on_step = {};  ///< after each step, with the number of steps done
  double tflops = 0;                               ///< of one step on one rank, where it is known and worth saying
  /// Return once so many steps are done, after a checkpoint and without the last validation; a later call goes on.
  std::optional<std::int64_t> pause_after = {};
};

/// Trains `task`, resuming from the newest checkpoint. Returns the last validation with "loss" of the last step.
/// Collective over `world`. Throws UserError on all ranks, before the update, on a non-finite loss or gradient, and
/// where the loss of one rank throws; in that case the last whole step is saved first, so that the same call goes on
/// from there. Throws Stopped after a checkpoint when a stop was asked for.
nlohmann::ordered_json train(Task& task, const TrainConfig& config, const Training& training,
                             const comm::Communicator& world);

}  // namespace rehyat::train
