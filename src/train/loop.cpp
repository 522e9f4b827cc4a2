#include "train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/units.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "tensor/error_text.h"
#include "tensor/peak_memory.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/reduce.h"

namespace rehyat::train {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFirstSteps = 3;  // of which the log has a line each: whether all goes well is seen at once

/// Everything that lives from the first step to the last.
class Loop {
 public:
  Loop(Task& task, const TrainConfig& config, const Training& training, const comm::Communicator& world)
      : task_(task),
        config_(config),
        training_(training),
        world_(world),
        parameters_(task.parameters()),
        checkpoints_(training.folder / "checkpoints", training.fingerprint) {
    require(!parameters_.empty(),
            [&] { return cat(training.title, ": found no parameter to train, expected at least one"); });
    if (config_.offload == Offload::optimizer) hosted_ = std::make_unique<HostedWeights>(parameters_);
    optimizer_ = std::make_unique<AdamW>(parameters_, config_, hosted_.get());
    if (config_.ema_decay) ema_ = std::make_unique<Ema>(parameters_, *config_.ema_decay, hosted_.get());
  }

  json run() {
    world_.all_or_none([&] { make_folder(training_.folder); });
    resume();
    world_.all_or_none([&] {
      if (world_.rank() == 0) metrics_ = std::make_unique<Metrics>(training_.folder, step_);
    });
    if (!training_.quiet) progress_.emplace(training_.title, config_.iterations, "steps", step_);
    started_at_ = step_;
    const std::int64_t end = std::min(training_.pause_after.value_or(config_.iterations), config_.iterations);
    while (step_ < end) {
      line_ = one_step();
      say_step();
      if (training_.on_step) training_.on_step(step_);
      const bool last = step_ == config_.iterations;
      if (config_.validate_every > 0 && step_ % config_.validate_every == 0 && !last) validate();
      const bool stop = world_.any(stop_requested());
      if (step_ == end || stop || (config_.checkpoint_every > 0 && step_ % config_.checkpoint_every == 0)) save();
      if (stop && !last)
        throw Stopped(cat(training_.title, " stopped after step ", step_, " of ", config_.iterations,
                          "; start the same command again to go on"));
    }
    if (step_ < config_.iterations) return {{"loss", last_loss_}};
    validate();
    if (ema_) ema_->swap();  // the averaged weights are the result
    if (progress_) progress_->finish(note_);
    last_validation_["loss"] = last_loss_;
    return last_validation_;
  }

 private:
  json one_step() {
    const auto start = Clock::now();
    const double waited_before = task_.seconds_of_waiting();
    // 1. Gradients of this rank's share, where every rank can make its own.
    at::Tensor loss = gradients();
    write_line();  // of the step before, while a GPU still works on this one
    // 2. The sum over ranks.
    reduce_gradients(parameters_, loss, world_);
    // 3. All ranks hold the same numbers now, so that all stop together, before the update.
    const at::Tensor both = at::stack({loss, gradient_norm(parameters_)}).cpu();  // waits for the device, once a step
    last_loss_ = both[0].item<double>();
    const double size = both[1].item<double>();
    require(std::isfinite(last_loss_) && std::isfinite(size), [&] {
      return cat(training_.title, ", step ", step_ + 1, ": found loss ", last_loss_, " and gradient norm ", size,
                 ", expected finite numbers; the weights were left as they were, and the same settings would come here "
                 "again; try a smaller lr or clip_norm, or a longer warmup");
    });
    // 4. Clip and update.
    if (config_.clip_norm > 0 && size > config_.clip_norm) scale_gradients(parameters_, config_.clip_norm / size);
    const double lr = config_.lr_at(step_);
    optimizer_->step(lr);
    if (ema_) ema_->update();
    ++step_;
    // 5. Report the step.
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    const double data_ms = (task_.seconds_of_waiting() - waited_before) * 1000;
    const double speed = static_cast<double>(task_.samples_per_step()) / ms * 1000;
    std::ostringstream note;
    note << "loss " << std::setprecision(5) << last_loss_ << ", norm " << std::setprecision(3) << size << ", lr " << lr
         << ", " << static_cast<int>(ms) << " ms, " << static_cast<int>(data_ms) << " ms of them for data ("
         << std::lround(100 * data_ms / ms) << " %), " << speed << " samples/s";
    json line = {{"step", step_}, {"loss", last_loss_}, {"grad_norm", size},     {"lr", lr},
                 {"ms", ms},      {"data_ms", data_ms}, {"samples_per_s", speed}};
    if (training_.tflops > 0) {
      line["tflops_per_s"] = training_.tflops / ms * 1000;
      note << ", " << training_.tflops / ms * 1000 << " TFLOP/s a GPU";
    }
    note_ = note.str();
    return line;
  }

  /// Makes the gradients of this rank's share and returns their loss. Where one rank fails, all ranks learn it here,
  /// before they wait for each other's gradients; no rank takes the step.
  at::Tensor gradients() {
    at::Tensor loss;
    try {
      world_.all_or_none([&] { loss = own_gradients(); });
    } catch (...) {
      save_before_failing();
      throw;
    }
    return loss;
  }

  at::Tensor own_gradients() {
    try {
      for (const NamedParameter& p : parameters_) p.tensor.mutable_grad().reset();
      at::Tensor loss = at::zeros({}, parameters_.front().tensor.options().dtype(at::kDouble));
      for (std::int64_t micro = 0; micro < task_.micro_batches(); ++micro) {
        const at::Tensor part = task_.loss(step_, micro);
        part.backward();
        loss += part.detach();
      }
      return loss;
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      throw UserError(cat(training_.title, ", step ", step_ + 1, ": ", message_of(error),
                          "; the step was not taken; start the same command again to go on after step ", step_));
    }
  }

  /// Whether the log gets a line of the step that is done, `taken` seconds after the start.
  bool has_line(double taken) {
    if (step_ == config_.iterations) return true;
    if (config_.log_every) return step_ % *config_.log_every == 0;
    const bool pause_is_over = pauses_.over(taken);
    return step_ - started_at_ <= kFirstSteps || pause_is_over;
  }

  /// A bar on a terminal, now and then a line in the log.
  void say_step() {
    const bool files_only = training_.quiet || log::interactive();
    if (progress_) progress_->show(1, note_);
    const double taken = std::chrono::duration<double>(Clock::now() - start_).count();
    if (!has_line(taken)) return;
    const double left =
        taken / static_cast<double>(step_ - started_at_) * static_cast<double>(config_.iterations - step_);
    const std::int64_t memory = peak_memory(parameters_.front().tensor.device());
    const std::string line = cat(training_.title, ", step ", step_, " of ", config_.iterations, ": ", note_,
                                 ", memory ", human_bytes(memory), ", ", human_seconds(left), " left");
    files_only ? log::record(line) : log::info(line);
  }

  /// Rank 0 writes; where it cannot, all ranks stop.
  void write(const json& line, const std::string& group) {
    world_.all_or_none([&] {
      if (metrics_) metrics_->write(line, group);
    });
  }

  /// What the metrics say of the last step, where it is not written yet.
  void write_line() {
    if (!line_.empty()) write(std::exchange(line_, json::object()), "train");
  }

  /// Of the weights that would be the result now.
  void validate() {
    write_line();
    if (ema_) ema_->swap();
    try {
      last_validation_ = task_.validate();
    } catch (...) {
      if (ema_) ema_->swap();
      save_before_failing();
      throw;
    }
    if (ema_) ema_->swap();
    if (last_validation_.empty()) return;
    json line = {{"step", step_}};
    line.update(last_validation_);
    if (step_ > 0) write(line, "validation");
    const std::string text = cat(training_.title, ", step ", step_, ": validation ", last_validation_.dump());
    training_.quiet ? log::record(text) : log::info(text);
  }

  NamedTensors weights() const {
    NamedTensors out;
    for (const NamedParameter& p : parameters_)
      out.emplace_back(p.name, hosted_ ? hosted_->numbers(p) : p.tensor.detach());
    return out;
  }

  void save() {
    write_line();
    world_.all_or_none([&] {
      if (world_.rank() != 0) return;
      Checkpoint checkpoint;
      checkpoint.step = step_;
      checkpoint.state = {{"loss", last_loss_}};
      checkpoint.parts = {{"weights", weights()}, {"optimizer", optimizer_->state()}};
      if (ema_) checkpoint.parts.emplace_back("ema", ema_->state());
      checkpoints_.save(checkpoint, config_.keep_checkpoints);
      log::debug(training_.title, ": saved the checkpoint of step ", step_);
    });
    saved_ = step_;
  }

  /// Saves what the whole steps have made, before an error that all ranks share ends the training. That error counts;
  /// where nothing can be saved either, the log says so.
  void save_before_failing() {
    if (step_ == saved_) return;
    try {
      save();
      log::record(cat(training_.title, ": saved the checkpoint of step ", step_, ", after which a rank failed"));
    } catch (const std::exception& error) {
      log::warn(training_.title, ": the checkpoint of step ", step_, " cannot be saved: ", message_of(error));
    }
  }

  void resume() {
    const std::string checkpoints = (training_.folder / "checkpoints").string();
    world_.all_or_none([&] {
      const auto found = checkpoints_.newest();
      if (!found) return;
      const std::string where = cat(training_.folder.string(), ", checkpoint of step ", found->step);
      copy_named(found->part("weights"), weights(), where);
      if (hosted_) hosted_->refresh();
      optimizer_->load(found->part("optimizer"), where);
      if (ema_) ema_->load(found->part("ema"), where);
      last_loss_ = value_or(found->state, "loss", 0.0);
      step_ = found->step;
      if (!training_.quiet) log::info(training_.title, ": resuming after step ", step_, " of ", config_.iterations);
    });
    saved_ = step_;
    for (const double step : world_.all_gather(static_cast<double>(step_))) {
      require(step == static_cast<double>(step_), [&] {
        return cat(checkpoints, ": found the checkpoint of step ", step_, " on one rank and of step ", step,
                   " on another, expected the same; put the run folder where all ranks see it");
      });
    }
  }

  Task& task_;
  const TrainConfig& config_;
  const Training& training_;
  const comm::Communicator& world_;
  std::vector<NamedParameter> parameters_;
  std::unique_ptr<HostedWeights> hosted_;  ///< outlives what holds it, and gives the weights back
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<Ema> ema_;
  CheckpointFolder checkpoints_;
  std::unique_ptr<Metrics> metrics_;
  std::optional<Progress> progress_;
  const Clock::time_point start_ = Clock::now();
  GrowingPauses pauses_{1};
  std::int64_t step_ = 0;        ///< steps that are done
  std::int64_t started_at_ = 0;  ///< of them, by earlier starts
  std::int64_t saved_ = 0;       ///< of them, in the newest checkpoint
  double last_loss_ = 0;
  std::string note_;
  json line_ = json::object();  ///< of the last step
  json last_validation_ = json::object();
};

}  // namespace

json train(Task& task, const TrainConfig& config, const Training& training, const comm::Communicator& world) {
  std::optional<Loop> loop;
  world.all_or_none([&] { loop.emplace(task, config, training, world); });
  return loop->run();
}

}  // namespace rehyat::train
