#include "data/dataset/manifest.h"

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

class Manifest : public VideoTest {};

TEST_F(Manifest, RoundTrip) {
  const Identity identity = {{"format", 2}, {"seed", 7}};
  write_manifest(folder_, identity, {{"numbers", {1, 2}}, {"text", "caf\xC3\xA9"}});
  const json read = read_manifest(folder_);
  EXPECT_EQ(read["identity"], identity);
  EXPECT_EQ(read["content"]["numbers"][1], 2);
  EXPECT_EQ(read["content"]["text"], "caf\xC3\xA9");
}

TEST_F(Manifest, RefusesWhatIsMissingOrAltered) {
  expect_refused([&] { read_manifest(folder_); }, {"manifest.json", "not complete"});
  write_manifest(folder_, {{"seed", 7}}, {{"samples", 100}});
  const std::string good = read_file(folder_ / "manifest.json");
  for (const std::size_t share : {1U, 2U, 3U}) {
    file("manifest.json", good.substr(0, good.size() * share / 4));
    expect_refused([&] { read_manifest(folder_); }, {"manifest.json"});
  }
  std::string altered = good;
  altered.replace(altered.find("100"), 3, "101");
  file("manifest.json", altered);
  expect_refused([&] { read_manifest(folder_); }, {"manifest.json", "altered"});
  for (const char* text : {"[]", "3", "{}", "{\"format\": 1}", "{\"format\": 2, \"identity\": {}}", ""}) {
    file("manifest.json", text);
    expect_refused([&] { read_manifest(folder_); }, {"manifest.json"});
  }
}

TEST_F(Manifest, NamesEveryDifference) {
  const Identity a = {{"seed", 1}, {"codec", "x"}, {"only", 3}}, b = {{"seed", 2}, {"codec", "x"}, {"other", 4}};
  EXPECT_NO_THROW(require_same_identity(a, a, "here"));
  expect_refused(
      [&] { require_same_identity(a, b, "here"); },
      {"here", "seed: found 1, expected 2", "other: found nothing, expected 4", "only: found 3, expected nothing"});
}

TEST_F(Manifest, OpensAFolderForOneIdentity) {
  const auto folder = folder_ / "new" / "deep";
  open_folder(folder, {{"seed", 1}});
  EXPECT_NO_THROW(open_folder(folder, {{"seed", 1}}));
  expect_refused([&] { open_folder(folder, {{"seed", 2}}); }, {folder.string(), "seed"});
}

}  // namespace
}  // namespace rehyat::data
