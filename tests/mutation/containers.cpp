#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/temp_folder.h"
#include "files/checksum_memory.h"
#include "files/elapsed.h"
#include "files/json.h"
#include "files/marked_folder.h"
#include "files/protobuf.h"
#include "files/safetensors.h"
#include "files/tar.h"
#include "files/tar_maker.h"
#include "files/zip_archive.h"
#include "mutation/crafted.h"
#include "mutation/runner.h"
#include "tensor/crafted_pth.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

FileTree small_safetensors() {
  const TempFolder folder;
  std::string data(64, '\1');
  const auto bytes = [&](std::size_t count) { return std::as_bytes(std::span(data.data(), count)); };
  safetensors::write(folder / "a.safetensors",
                     {{"x", safetensors::DType::f32, {2, 3}, bytes(24)},
                      {"group.y", safetensors::DType::bf16, {4}, bytes(8)},
                      {"empty", safetensors::DType::i64, {0, 7}, bytes(0)},
                      {"scalar", safetensors::DType::u8, {}, bytes(1)}},
                     {{"format", "pt"}, {"note", "of a test"}});
  return read_tree(folder.path());
}

TEST(Mutation, safetensors) {
  ReaderCase reader;
  reader.name = "safetensors";
  reader.seeds = {small_safetensors()};
  reader.words = {"\"F32\"", "\"dtype\"", "\"shape\":[", "\"data_offsets\":[0,24]", "__metadata__", "F8_E4M3", "\"x\""};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_safetensors_header(tree, "a.safetensors", m); }};
  reader.read = [](const fs::path& folder) {
    const safetensors::Reader file(folder / "a.safetensors");
    Hasher all;
    for (const auto& info : file.tensors()) {
      const auto bytes = file.bytes(info);
      all.update(bytes.data(), bytes.size());
    }
  };
  expect_no_faults(reader);
}

TEST(Mutation, json) {
  ReaderCase reader;
  reader.name = "json";
  const std::string text = R"({"a": [1, -2.5e3, true, null, "t\u00e9\ud83d\ude00xt"], "b": {"c": {}, "d": [[], [0]]}})";
  reader.seeds = {{{"a.json", text}}};
  reader.words = {"NaN", "Infinity", "\\ud800", "\\u0000", "\"a\":", "1e999", "-", "//", "\xEF\xBB\xBF", "\"a\":1,"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_json_file(tree, "a.json", m); }};
  reader.read = [](const fs::path& folder) {
    const json value = read_json(folder / "a.json");
    if (parse_json(value.dump(), (folder / "again").string()) != value)
      throw std::logic_error("another value came back");
  };
  expect_no_faults(reader);
}

TEST(Mutation, tar) {
  ReaderCase reader;
  reader.name = "tar";
  const std::string members = TarMaker()
                                  .add("a.txt", "a caption")
                                  .add("folder/", "", '5')
                                  .gnu_long(std::string(150, 'n') + ".txt")
                                  .add("short.txt", "another")
                                  .pax({{"path", "folder/caf\xC3\xA9.json"}, {"mtime", "1.5"}})
                                  .add("b.json", R"({"caption": "c"})")
                                  .end()
                                  .bytes();
  reader.seeds = {{{"a.tar", members}}};
  reader.words = {"ustar", "../", "/", "27 path=a\n", "9 size=1\n", "GNU.sparse.major=1", std::string("\x80\0\0\0", 4)};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_tar_header(tree, "a.tar", m); }};
  reader.read = [](const fs::path& folder) {
    const FileBytes file(folder / "a.tar");
    for (const TarMember& member : list_tar(folder / "a.tar")) read_member(file, member, 1 << 20);
  };
  expect_no_faults(reader);
}

TEST(Mutation, zip) {
  ReaderCase reader;
  reader.name = "zip";
  const Files files = {{"a/data.pkl", "\x80\x02}."}, {"a/data/0", std::string(32, 'x')}, {"a/version", "3\n"}};
  reader.seeds = {{{"a.zip", make_zip(files)}}, {{"a.zip", make_zip(files, true)}}};
  reader.words = {"PK\x03\x04", "PK\x01\x02", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07", "a/data/0"};
  reader.read = [](const fs::path& folder) {
    const ZipArchive archive(folder / "a.zip");
    for (const auto& [name, entry] : archive.entries()) archive.check(name, entry);
  };
  expect_no_faults(reader);
}

TEST(Mutation, protobuf) {
  ReaderCase reader;
  reader.name = "protobuf";
  const protobuf::Writer inner = protobuf::Writer().integer(1, 300).bytes(2, "text").real32(3, 1.5F);
  const protobuf::Writer outer = protobuf::Writer().bytes(1, inner.data()).real64(2, 2.5).integer(3, ~0ULL);
  reader.seeds = {{{"a.pb", outer.data()}}};
  reader.read = [](const fs::path& folder) {
    const std::string data = read_file(folder / "a.pb");
    protobuf::Reader message(data, {(folder / "a.pb").string(), "a message", ""});
    while (const auto field = message.next()) {
      protobuf::Reader inside = message.inside(*field);
      while (field->number == 1 && inside.next()) {
      }
    }
  };
  expect_no_faults(reader);
}

/// A folder that is marked, whatever its marker says its identity is.
TEST(Mutation, marker) {
  const Identity identity = {{"settings", {{"size", {64, 64}}, {"name", "a"}}}, {"seed", 1}};
  const MarkedFolder::Words words = {"stage.json", "the stage", "run it first", "run it again", {{"seed", "run.seed"}}};
  ReaderCase reader;
  reader.name = "marker";
  reader.inputs = 300;
  {
    const TempFolder folder;
    write_file_atomic(folder / "result.bin", "0123456789");
    const MarkedFolder marked(folder.path(), identity, words);
    const FolderLock lock = marked.open();
    marked.finish({{"seconds", 1.5}, {"losses", {0.5, 0.25}}}, {"result.bin"});
    write_file_atomic(folder / "time.json", "{\"seconds\": 12.5}\n");
    ChecksumMemory memory(folder / "checksums.json");
    memory.at(folder / "result.bin");
    memory.save();
    reader.seeds = {read_tree(folder.path())};
  }
  reader.words = {"\"format\": 2", "\"bytes\"", "\"checksum\"", "\"content\"", "\"files\"", "null"};
  reader.crafted = {
      [](FileTree& tree, Mutator& m) { change_marker(tree, "stage.json", m); },
      [](FileTree& tree, Mutator& m) {
        const std::vector<std::string> names = {"stage.json", "identity.json", "time.json", "checksums.json"};
        change_json_file(tree, names[m.below(names.size())], m);
      }};
  reader.read = [=](const fs::path& folder) {
    marked_fingerprint(folder / "stage.json");
    ChecksumMemory(folder / "checksums.json").at(folder / "result.bin", {}, [] { return "0"; });
    if (ElapsedTime(folder / "time.json").seconds() < 0) throw std::logic_error("a negative time");
    const MarkedFolder marked(folder, identity, words);
    const FolderLock lock = marked.open();
    marked.complete();
    marked.require_intact();
    marked.results();
    saved_identity(folder);
  };
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
