#include "files/marked_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using testing::expect_error;
using json = nlohmann::ordered_json;

class MarkedFolderTest : public ::testing::Test {
 protected:
  MarkedFolder folder(const Identity& identity = {{"format", 2}, {"seed", 7}}) const {
    return MarkedFolder(temp_ / "out", identity,
                        {"manifest.json",
                         "the dataset",
                         "run `rehyat prepare` first",
                         "remove it and prepare again",
                         {{"settings", "data"}}});
  }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    make_folder((temp_ / "out" / name).parent_path());
    std::ofstream(temp_ / "out" / name) << content;
    return temp_ / "out" / name;
  }
  static void refused(const std::function<void()>& call, const std::vector<std::string>& parts) {
    expect_error<UserError>(call, parts);
  }

  const testing::TempFolder temp_;
};

TEST_F(MarkedFolderTest, RoundTrip) {
  const MarkedFolder made = folder();
  EXPECT_FALSE(made.complete());
  const FolderLock lock = made.open();
  EXPECT_FALSE(made.complete());
  made.finish({{"numbers", {1, 2}}, {"text", "caf\xC3\xA9"}, {"loss", 0.1}, {"bad", std::nan("")}});
  EXPECT_TRUE(made.complete());
  const json read = folder().content();
  EXPECT_EQ(read["numbers"][1], 2);
  EXPECT_EQ(read["text"], "caf\xC3\xA9");
  EXPECT_EQ(read["loss"], 0.1);
  EXPECT_TRUE(read["bad"].is_null());
  EXPECT_EQ(saved_identity(made.path()), made.identity());
  EXPECT_NO_THROW(made.require_intact());
}

TEST_F(MarkedFolderTest, RefusesWhatIsMissingOrAltered) {
  refused([&] { folder().content(); }, {"manifest.json", "the dataset is not complete", "run `rehyat prepare` first"});
  refused([&] { folder().require_intact(); }, {"manifest.json", "not complete"});
  make_folder(folder().path());
  folder().finish({{"samples", 100}});
  const std::string good = read_file(folder().path() / "manifest.json");
  for (const std::size_t share : {1U, 2U, 3U}) {
    write("manifest.json", good.substr(0, good.size() * share / 4));
    refused([&] { folder().complete(); }, {"manifest.json", "prepare again"});
  }
  std::string altered = good;
  altered.replace(altered.find("100"), 3, "101");
  write("manifest.json", altered);
  refused([&] { folder().content(); }, {"manifest.json", "altered", "prepare again"});
  for (const char* text : {"[]", "3", "{}", "{\"format\": 2}", "{\"format\": 2, \"fingerprint\": 3}", "null", ""}) {
    write("manifest.json", text);
    refused([&] { folder().content(); }, {"manifest.json", "prepare again"});
  }
}

TEST_F(MarkedFolderTest, AMarkerOfAnEarlierVersionIsASentence) {
  for (const char* text :
       {R"({"stage": "prepare", "fingerprint": "0123456789abcdef", "files": [], "summary": {}})",
        R"({"format": 1, "identity": {"seed": 7}, "checksum": "0123", "content": {"samples": []}})"}) {
    write("manifest.json", text);
    refused([&] { folder().complete(); }, {"manifest.json", "of another version", "format 2", "prepare again"});
  }
}

TEST_F(MarkedFolderTest, ResultsAreCheckedByteForByte) {
  const FolderLock lock = folder().open();
  write("model/weights/a", std::string(1000, 'w'));
  write("phi-1", "phi");
  write("log.txt", "log");
  folder().finish(nullptr, {"phi-1", "model"});
  EXPECT_EQ(folder().results(), (std::vector<std::filesystem::path>{"model/weights/a", "phi-1"}));
  EXPECT_NO_THROW(folder().require_intact());
  for (const char* name : {"model/weights/a", "phi-1"}) {
    const std::string whole = read_file(folder().path() / name);
    std::string flipped = whole;
    flipped[flipped.size() / 2] ^= 1;
    const std::string path = write(name, flipped).string();
    refused([&] { folder().require_intact(); }, {path, "another checksum", "prepare again"});
    write(name, whole.substr(1));
    refused([&] { folder().require_intact(); }, {path, "bytes, expected", "manifest.json"});
    std::filesystem::remove(path);
    refused([&] { folder().require_intact(); }, {path, "no file"});
    write(name, whole);
  }
  write("log.txt", "what is no result may change");
  EXPECT_NO_THROW(folder().require_intact());
}

/// Found by tests/mutation: a marker that names files elsewhere, its checksum right.
TEST_F(MarkedFolderTest, ResultsLieInTheFolder) {
  const FolderLock lock = folder().open();
  std::ofstream(temp_ / "x") << "outside";
  for (const std::string& name : {(temp_ / "x").string(), std::string("../x")}) {
    folder().finish(nullptr, {name});
    refused([&] { folder().require_intact(); }, {"manifest.json", "names"});
    refused([&] { folder().results(); }, {"manifest.json", "names"});
  }
}

/// As the folder of a block's distillation does, whose maps lie beside it.
TEST_F(MarkedFolderTest, ResultsMayLieBesideWhereThatIsMeant) {
  const auto beside = [&] {
    return MarkedFolder(temp_ / "out", Identity{{"seed", 7}},
                        {.marker = "block.json", .what = "the block", .beside = true});
  };
  const FolderLock lock = beside().open();
  std::ofstream(temp_ / "x") << "beside";
  beside().finish(nullptr, {"../x"});
  EXPECT_NO_THROW(beside().require_intact());
  EXPECT_EQ(beside().results(), std::vector<std::filesystem::path>{"../x"});
  make_folder(temp_ / "y");
  std::ofstream(temp_ / "y" / "z") << "elsewhere";
  for (const std::string& name : {(temp_ / "x").string(), std::string("../y/../x")}) {
    beside().finish(nullptr, {name});
    refused([&] { beside().results(); }, {"block.json", "names"});
  }
}

TEST_F(MarkedFolderTest, IsOfOneIdentity) {
  static_cast<void>(folder({{"settings", {{"size", 64}}}, {"seed", 1}}).open());
  EXPECT_NO_THROW(static_cast<void>(folder({{"settings", {{"size", 64}}}, {"seed", 1}}).open()));
  const MarkedFolder other = folder({{"settings", {{"size", 80}}}, {"seed", 1}});
  refused([&] { static_cast<void>(other.open()); },
          {other.path().string(), "made from something else (data.size: found 64, expected 80)"});
  folder({{"settings", {{"size", 64}}}, {"seed", 1}}).finish({{"samples", 1}});
  refused([&] { other.complete(); }, {"manifest.json: found fingerprint", "data.size: found 64, expected 80"});
  // Without what was saved, the fingerprints alone say it.
  std::filesystem::remove(other.path() / "identity.json");
  refused([&] { other.content(); }, {"manifest.json: found fingerprint", ", expected " + other.fingerprint()});
}

TEST_F(MarkedFolderTest, AFolderOfAKnownFingerprintNeedsNoIdentity) {
  const auto of = [&](const std::string& fingerprint) {
    return MarkedFolder(temp_ / "out", nullptr, {"state.json", "the checkpoint", "train first", "take another"},
                        fingerprint);
  };
  EXPECT_FALSE(marked_fingerprint(temp_ / "out/state.json"));
  static_cast<void>(of("mine").open());
  EXPECT_FALSE(std::filesystem::exists(temp_ / "out/identity.json"));
  of("mine").finish({{"step", 3}});
  EXPECT_EQ(of("mine").content()["step"], 3);
  EXPECT_EQ(marked_fingerprint(temp_ / "out/state.json"), "mine");
  refused([&] { of("theirs").content(); }, {"state.json: found fingerprint mine, expected theirs; take another"});
  for (const char* text : {"{", "[]", "{\"fingerprint\": 3}"}) {
    write("state.json", text);
    EXPECT_FALSE(marked_fingerprint(temp_ / "out/state.json")) << text;
  }
}

TEST_F(MarkedFolderTest, IsCompletedOnceMoreAfterItsMarkIsTaken) {
  const FolderLock lock = folder().open();
  folder().finish({{"samples", 1}});
  folder().unmark();
  EXPECT_FALSE(folder().complete());
  EXPECT_NO_THROW(folder().unmark());
  folder().finish({{"samples", 2}});
  EXPECT_EQ(folder().content()["samples"], 2);
}

TEST_F(MarkedFolderTest, OneRunAtATimeAndLeftoversGoWhenItIsOpened) {
  make_folder(temp_ / "out" / "checkpoints/.rehyat-part-5");
  write(".shard.h5.rehyat-part-1-0", "half");
  {
    const FolderLock lock = folder().open();
    EXPECT_TRUE(std::filesystem::is_empty(folder().path() / "checkpoints"));
    EXPECT_FALSE(std::filesystem::exists(folder().path() / ".shard.h5.rehyat-part-1-0"));
    write(".live.rehyat-part-1-0", "of this run");
    refused([&] { static_cast<void>(folder().open()); }, {"another run", "process"});
    EXPECT_TRUE(std::filesystem::exists(folder().path() / ".live.rehyat-part-1-0"));
  }
  EXPECT_NO_THROW(static_cast<void>(folder().open()));
}

TEST_F(MarkedFolderTest, ADamagedIdentityIsASentence) {
  write("identity.json", "{\"seed\":");
  refused([&] { static_cast<void>(folder().open()); }, {"identity.json", "remove the folder"});
}

TEST(IdentityDifferences, NamesEveryOne) {
  const Identity a = {{"seed", 1}, {"codec", "x"}, {"only", 3}}, b = {{"seed", 2}, {"codec", "x"}, {"other", 4}};
  EXPECT_TRUE(identity_differences(a, a).empty());
  EXPECT_EQ(identity_differences(a, b, {{"seed", "run.seed"}}),
            (std::vector<std::string>{"run.seed: found 1, expected 2", "other: found nothing, expected 4",
                                      "only: found 3, expected nothing"}));
}

}  // namespace
}  // namespace rehyat
