#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/error.h"
#include "stages/needs.h"
#include "stages/stage_folder.h"

/// What a run is made of. A stage says what decides its result, which stages it reads and what it costs, and makes its
/// result in a folder of its own; everything around that (finding, locking, logging, timing, marking) is the Runner's.
namespace rehyat::stages {

class Run;

/// What `rehyat COMMAND --help` says of a stage's command.
struct StageHelp {
  std::string summary, example;
  std::string settings = {};  ///< of the config's keys
  bool polls = false;         ///< stops by itself when it is asked to (core/signals.h); else a signal ends it
};

class Stage {
 public:
  virtual ~Stage() = default;

  virtual std::string name() const = 0;  ///< of its command and its folder
  virtual StageHelp help() const = 0;
  /// Everything that decides the result: the settings that count (setting_sides.h), each under its section, the
  /// fingerprints of what is read, the version of the format.
  virtual nlohmann::ordered_json identity(Run& run) const = 0;
  /// The stages that have to be complete before, by name.
  virtual std::vector<std::string> reads(Run& run) const = 0;
  /// What the stage would need; reads no video and no weights.
  virtual Needs needs(Run& run) const = 0;
  /// What `work` refuses before it begins, as far as it is known now: throws UserError with the same sentence. Reads no
  /// video and no weights.
  virtual void check(Run& /*run*/, const StageFolder& /*folder*/) const {}
  /// Makes the result in the folder, or what an earlier start has left of it. Collective.
  virtual nlohmann::ordered_json work(Run& run, const StageFolder& folder) const = 0;
  /// The files and folders that other stages load, relative to the stage's folder: their checksums are kept.
  virtual std::vector<std::filesystem::path> outputs(Run& /*run*/) const { return {}; }
  /// A result as people read it, in lines below one that names stage, folder and time; empty where the names and values
  /// of its JSON say it best.
  virtual std::string text(const nlohmann::ordered_json& result) const = 0;

  /// Whether `run` has to do this stage, for a config that names these sections; what it reads is done as well.
  virtual bool is_goal(const std::set<std::string>& /*sections*/) const { return false; }
  /// Reads what lies outside the run's folder and decides the identity, when the stage itself was asked for.
  /// Collective.
  virtual void look(Run& /*run*/) const {}
  /// Whether everything that a complete folder should hold is still there.
  virtual bool intact(Run& /*run*/, const StageFolder& /*folder*/) const { return true; }
  /// Made anew at every start: what an earlier one has left counts neither as complete nor in the time.
  virtual bool always_anew() const { return false; }
  /// How inputs differ from those that another folder of the stage was made from, where that can be told in more detail
  /// than by the identity.
  struct InputChanges {
    std::string text;
    std::vector<std::string> instead_of;  ///< the entries of the identity that it explains, as people call them
  };
  virtual InputChanges input_changes(Run& /*run*/, const std::filesystem::path& /*other*/) const { return {}; }
  /// The readable name of its folder (StageLinks), another for each role that the stage has in a run.
  virtual std::string link_name(Run& /*run*/) const { return name(); }
  /// Called on rank 0 whenever the stage is complete, now or before.
  virtual void completed(Run& /*run*/) const {}
};

/// A stage's result with the time that it took.
template <typename Result>
struct Timed {
  Result result;
  double seconds = 0;  ///< over all starts
  void fields(config::Fields& f) {
    result.fields(f);
    f.add("seconds", seconds, "over all starts");
  }
};

/// The result of a complete stage.
template <typename Result>
Timed<Result> read_result(const nlohmann::ordered_json& json, const std::string& where) {
  config::Limits limits;
  limits.nodes = 10'000'000;
  return config::load<Timed<Result>>(config::Document::from_json(json, where, limits));
}
template <typename Result>
Timed<Result> read_result(const StageFolder& folder) {
  return read_result<Result>(folder.result(), (folder.folder() / "stage.json").string());
}

/// A stage whose result is a struct with `fields()`, by which it is both written and read.
template <typename Result>
class StageOf : public Stage {
 public:
  nlohmann::ordered_json work(Run& run, const StageFolder& folder) const final {
    return config::to_json(make(run, folder));
  }
  std::string text(const nlohmann::ordered_json& result) const final {
    return told(read_result<Result>(result, name()));
  }

 protected:
  /// `work` with a typed result.
  virtual Result make(Run& run, const StageFolder& folder) const = 0;
  /// `text` of a typed result.
  virtual std::string told(const Timed<Result>& /*result*/) const { return ""; }
};

/// Thrown by a stage that has a result which must not pass: it is told, but the stage is not complete.
class FailedCheck : public UserError {
 public:
  FailedCheck(const std::string& sentence, nlohmann::ordered_json result)
      : UserError(sentence), result_(std::move(result)) {}
  const nlohmann::ordered_json& result() const { return result_; }

 private:
  nlohmann::ordered_json result_;
};

}  // namespace rehyat::stages
