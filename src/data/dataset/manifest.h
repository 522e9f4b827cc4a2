#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rehyat::data {

/// Identity of what a folder of files was made from: names and values of everything that decides its content.
using Identity = nlohmann::ordered_json;

/// {"file", "bytes", "checksum"} of a file in `folder`.
nlohmann::ordered_json file_entry(const std::filesystem::path& folder, const std::string& file);

/// Writes manifest.json, the last file of a folder: its presence says that the folder is complete.
void write_manifest(const std::filesystem::path& folder, const Identity& identity,
                    const nlohmann::ordered_json& content);

/// Reads it back: {"identity", "content"}. Throws UserError when it is missing or damaged.
nlohmann::ordered_json read_manifest(const std::filesystem::path& folder);

/// "data.size: found [64,64], expected [80,80]" for each value that differs; settings are named as in the config.
std::vector<std::string> identity_differences(const Identity& found, const Identity& expected);

/// Throws UserError that names each value that differs.
void require_same_identity(const Identity& found, const Identity& expected, const std::string& where);

/// Saves the identity beside unfinished work, or compares with the one that is there.
void open_folder(const std::filesystem::path& folder, const Identity& identity);

}  // namespace rehyat::data
