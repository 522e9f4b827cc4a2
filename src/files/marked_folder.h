#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "files/folder_lock.h"

namespace rehyat {

/// Names and values of everything that decides what a folder's files hold.
using Identity = nlohmann::ordered_json;

/// "data.size: found [64,64], expected [80,80]" for each value that differs. `names` says how a key is called where the
/// user sets it: {"settings", "data"}.
std::vector<std::string> identity_differences(const Identity& found, const Identity& expected,
                                              const std::map<std::string, std::string>& names = {});

/// {"file", "bytes", "checksum"} of a file in `folder`.
nlohmann::ordered_json file_entry(const std::filesystem::path& folder, const std::string& file);

/// A folder of files that were made from one identity. They count once the marker is there, which is written last.
/// identity.json beside it says from the start what the folder is made from.
///
/// The marker is JSON: the identity's fingerprint, name, size and checksum of each result, the maker's own content, and
/// a checksum over all that. A marker of another identity, of another version of the format or with altered content is
/// refused.
class MarkedFolder {
 public:
  /// What messages call one kind of marked folder.
  struct Words {
    std::string marker;                        ///< the marker's file name
    std::string what;                          ///< "the stage 'prepare'"
    std::string first;                         ///< how to complete the folder: "run `rehyat prepare` first"
    std::string again;                         ///< how to replace what is damaged
    std::map<std::string, std::string> names;  ///< of the identity's keys, for people
    bool beside = false;                       ///< whether results may also lie beside the folder, as "../x"
  };

  /// `fingerprint` names the identity; empty: its checksum does. The identity may be null where only its fingerprint is
  /// known: then none is saved.
  MarkedFolder(std::filesystem::path folder, Identity identity, Words words, std::string fingerprint = "");

  const std::filesystem::path& path() const { return folder_; }
  const Identity& identity() const { return identity_; }
  const std::string& fingerprint() const { return fingerprint_; }

  /// Makes the folder, claims it for as long as the lock lives, removes what a killed run left half written and saves
  /// the identity. Throws UserError while another run is at work there, and where the folder was begun from something
  /// else.
  [[nodiscard]] FolderLock open() const;
  /// Writes the marker, after everything else. `results` are files, or folders with all their files, relative to the
  /// folder: those that others load and `require_intact` checks.
  void finish(const nlohmann::ordered_json& content, const std::vector<std::filesystem::path>& results = {}) const;

  /// Removes the marker, so that the folder has to be completed once more.
  void unmark() const;

  /// Whether the marker is there. Throws UserError where it is damaged or of another identity.
  bool complete() const;
  /// The content that `finish` was given. Throws UserError where the folder is not complete.
  nlohmann::ordered_json content() const;
  /// The results by name, relative to the folder, sorted. Throws UserError where the folder is not complete.
  std::vector<std::filesystem::path> results() const;
  /// Throws UserError with Words::first unless the folder is complete.
  void require_complete() const;
  /// Also throws unless the results are those that `finish` saw, byte for byte.
  void require_intact() const;

 private:
  struct Marker;
  Marker read() const;
  std::string differences() const;

  std::filesystem::path folder_;
  Identity identity_;
  Words words_;
  std::string fingerprint_;
};

/// The fingerprint in a marker, whatever its identity; nothing where no marker can be read.
std::optional<std::string> marked_fingerprint(const std::filesystem::path& marker);

/// The identity in the identity.json of a folder. Throws UserError where there is none.
Identity saved_identity(const std::filesystem::path& folder);

}  // namespace rehyat
