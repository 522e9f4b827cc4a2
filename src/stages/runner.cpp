#include "stages/runner.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "comm/root.h"
#include "core/error.h"
#include "core/log.h"
#include "core/readable.h"
#include "core/strings.h"
#include "core/units.h"
#include "files/atomic_file.h"
#include "files/elapsed.h"
#include "stages/environment.h"
#include "stages/nearest_other.h"
#include "tensor/error_text.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

/// Of every stage that this one reads, on rank 0, which alone looks.
void require_what_it_reads(Run& run, const Stage& stage) {
  for (const std::string& name : stage.reads(run)) {
    const StageFolder folder = run.folder(name);
    if (folder.complete()) continue;
    const std::string why = nearest_other(run, run.registry().at(name));
    throw UserError(cat(folder.folder().string(), ": the stage '", name, "' is not complete; run `rehyat ", name,
                        "` with this config first", why.empty() ? "" : "; ", why));
  }
}

/// Rank 0's lock on the folder, or the result of a stage that is complete.
struct Claim {
  std::optional<FolderLock> lock;
  json earlier;         ///< the result, the same on all ranks; null where there is work to do
  std::string nearest;  ///< on rank 0, of a folder that is new: the one of another config that is most like it
};

Claim claim(Run& run, const Stage& stage, const StageFolder& folder) {
  Claim out;
  out.earlier = comm::from_root<json>(run.world(), [&]() -> json {
    if (!is_done(run, stage, folder)) {
      require_what_it_reads(run, stage);
      stage.check(run, folder);  // before there is a folder
      if (!std::filesystem::exists(folder.folder() / "identity.json")) out.nearest = nearest_other(run, stage);
      out.lock.emplace(folder.open());
    }
    return is_done(run, stage, folder) ? folder.result() : json();  // perhaps by a run that ended just now
  });
  return out;
}

/// What the folder keeps besides the result: the time over all starts, settings, versions, and a log of each rank.
class Record {
 public:
  Record(Run& run, const Stage& stage, const StageFolder& folder) {
    const comm::Communicator& world = run.world();
    comm::on_root(world, [&] {
      folder.unmark();
      if (stage.always_anew()) std::filesystem::remove(folder.folder() / "elapsed.json");
      write_file_atomic(folder.folder() / "resolved.yaml", config::yaml(config::to_json(run.config())));
      record_environment(folder.folder(), environment(world, run.device().get()));
      time_ = std::make_unique<ElapsedTime>(folder.folder() / "elapsed.json");
    });
    // The folder exists now, and everybody has waited for it.
    world.all_or_none([&] {
      log_ = std::make_unique<log::FileScope>(
          folder.folder() / (world.rank() == 0 ? std::string("log.txt") : cat("log-rank", world.rank(), ".txt")));
    });
  }

  /// Ends the clock: nothing is written in the folder once it counts as complete. On rank 0.
  double stop() {
    const double seconds = time_->seconds();
    time_.reset();
    return seconds;
  }

 private:
  std::unique_ptr<ElapsedTime> time_;
  std::unique_ptr<log::FileScope> log_;
};

/// The work itself, marked as complete.
json do_work(Run& run, const Stage& stage, const StageFolder& folder, const std::string& nearest) {
  const comm::Communicator& world = run.world();
  Record record(run, stage, folder);
  log::info(stage.name(), ": working in ", folder.folder().string(),
            "; all settings are in its resolved.yaml (--log-level debug prints them)");
  if (!nearest.empty()) log::info(stage.name(), ": begins anew in a new folder, for ", nearest);
  if (world.rank() == 0) log::debug(stage.name(), ": resolved config:\n", config::yaml(config::to_json(run.config())));
  try {
    json result = stage.work(run, folder);
    return comm::from_root<json>(world, [&] {
      result["seconds"] = record.stop();
      folder.finish(result, stage.outputs(run));
      return result;
    });
  } catch (const std::exception& error) {
    // The command says it on the terminal once this file is closed.
    const bool stopped = dynamic_cast<const Stopped*>(&error) != nullptr;
    log::record(cat(stage.name(), stopped ? ": " : ": failed: ", message_of(error)),
                stopped ? log::Level::warn : log::Level::error);
    throw;
  }
}

/// Keeps what makes the folder easier to find: its readable name, and what the inputs were. The stage is complete, so
/// that a disk which may not be written to is no failure.
void keep_notes(Run& run, const Stage& stage, const StageFolder& folder) {
  try {
    run.links().point(stage.link_name(run), folder.folder());
    run.notes().save();
    stage.completed(run);
  } catch (const UserError& error) {
    log::warn(stage.name(), ": complete, but what helps to find it is not up to date: ", error.what());
  }
}

}  // namespace

bool is_done(Run& run, const Stage& stage, const StageFolder& folder) {
  return !stage.always_anew() && folder.complete() && stage.intact(run, folder);
}

json run_stage(Run& run, const Stage& stage) {
  stage.look(run);
  run.find(stage);
  const StageFolder folder = run.folder(stage.name());
  const Claim claimed = claim(run, stage, folder);
  json result;
  if (claimed.earlier.is_null()) {
    result = do_work(run, stage, folder, claimed.nearest);
  } else {
    log::info(stage.name(), ": already complete in ", folder.folder().string());
    result = claimed.earlier;
  }
  comm::on_root(run.world(), [&] { keep_notes(run, stage, folder); });
  return result;
}

std::string result_text(const Stage& stage, const json& result, const std::filesystem::path& folder) {
  // A check that failed has a result, but no time: it marks nothing as complete.
  const std::string time = result.contains("seconds") ? ", " + human_seconds(result["seconds"].get<double>()) : "";
  std::string text = stage.text(result);
  if (text.empty()) text = readable(result);
  while (text.ends_with('\n')) text.pop_back();
  std::string out = cat(stage.name(), time.empty() ? ": not passed, in " : ": complete in ", folder.string(), time);
  for (const std::string& line : split(text, '\n')) out.append(line.empty() ? "\n" : "\n  ").append(line);
  return out;
}

std::vector<const Stage*> described_stages(Run& run, const std::set<std::string>& sections) {
  std::vector<const Stage*> out;
  for (const auto& goal : run.registry().all()) {
    if (!goal->is_goal(sections)) continue;
    for (const Stage* stage : with_what_it_reads(run, *goal)) {
      if (std::find(out.begin(), out.end(), stage) == out.end()) out.push_back(stage);
    }
  }
  return out;
}

}  // namespace rehyat::stages
