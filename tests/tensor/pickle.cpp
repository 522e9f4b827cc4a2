#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "tensor/crafted_pth.h"
#include "tensor/pth/pickle_source.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::make_zip;
using testing::pickled;
using testing::pickled_dict;
using testing::pickled_tensor;
using testing::pth_files;
using testing::TempFolder;
using testing::write_bytes;

const std::filesystem::path kFixtures = testing::fixtures() / "text" / "pth";

void expect_same_tensors(const TensorSource& found, const TensorSource& expected) {
  EXPECT_EQ(found.names(), expected.names());
  for (const std::string& name : expected.names()) {
    EXPECT_EQ(found.shape(name), expected.shape(name)) << name;
    EXPECT_EQ(found.type(name), expected.type(name)) << name;
    EXPECT_TRUE(at::equal(found.read(name), expected.read(name))) << name;
  }
}

TEST(Pth, ReadsEveryTypeAndViewThatTorchSaves) {
  const auto expected = open_safetensors({kFixtures / "expected.safetensors"}, "expected");
  for (const char* file : {"plain.pth", "protocol4.pth", "nested.pth"})
    expect_same_tensors(*open_pth(kFixtures / file), *expected);
  // A view keeps the strides of the file.
  EXPECT_EQ(open_pth(kFixtures / "plain.pth")->read("transposed").strides(), at::IntArrayRef({1, 8}));
}

TEST(Pth, ReadsStateDictsOfModulesAndParameters) {
  const auto module = open_pth(kFixtures / "module.pth"), parameters = open_pth(kFixtures / "parameters.pth");
  EXPECT_EQ(module->type("1.num_batches_tracked"), at::kLong);
  EXPECT_EQ(module->names().size(), 7U);
  EXPECT_EQ(parameters->names().size(), 4U);
  for (const std::string& name : parameters->names())
    EXPECT_TRUE(at::equal(parameters->read(name), module->read(name))) << name;
}

TEST(Pth, ATensorOutlivesSourceAndFile) {
  const TempFolder folder;
  std::filesystem::copy(kFixtures / "plain.pth", folder / "a.pth");
  const at::Tensor expected = open_safetensors({kFixtures / "expected.safetensors"}, "expected")->read("plain");
  const at::Tensor found = open_pth(folder / "a.pth")->read("plain");
  std::filesystem::remove(folder / "a.pth");
  EXPECT_TRUE(at::equal(found, expected));
}

TEST(Pth, AMissingTensorIsASentenceWithTheNearestName) {
  const auto source = open_pth(kFixtures / "plain.pth");
  expect_error<UserError>([&] { source->read("plan"); }, {"plain.pth", "'plan'", "'plain'"});
}

TEST(Pth, NothingThatAFileNamesIsRun) {
  const TempFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const char* file : {"evil.pth", "evil4.pth"}) {
    expect_error<UserError>([&] { open_pth(kFixtures / file); },
                            {file, "data.pkl", "system", "nothing of the file was run"});
  }
  expect_error<UserError>([&] { open_pth(kFixtures / "whole_module.pth"); },
                          {"torch.nn.modules.container.Sequential", "nothing of the file was run"});
  expect_error<UserError>([&] { open_pth(kFixtures / "evil.pkl"); }, {"evil.pkl", "torch before 1.6"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  std::filesystem::current_path(before);
}

TEST(Pth, OtherContainersAreRefusedWithAHint) {
  expect_error<UserError>([&] { open_pth(kFixtures / "legacy.pth"); },
                          {"legacy.pth", "torch before 1.6", "weights_only=True"});
  expect_error<UserError>([&] { open_pth(kFixtures / "compressed.pth"); },
                          {"compressed.pth", "compressed (method 8", "torch.save"});
  expect_error<UserError>([&] { open_pth(kFixtures / "expected.safetensors"); },
                          {"a safetensors file", "the extension .safetensors"});
  expect_error<UserError>([&] { open_pth(kFixtures / "missing.pth"); }, {"missing.pth", "check the path"});
  const TempFolder folder;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\n";
  write_bytes(folder / "lfs.pth", pointer);
  expect_error<UserError>([&] { open_pth(folder / "lfs.pth"); }, {"lfs.pth: found a Git LFS pointer", "git lfs pull"});
  write_bytes(folder / "cut.pth", make_zip({{"a/data.pkl", std::string(100, 'x')}}).substr(0, 80));
  expect_error<UserError>([&] { open_pth(folder / "cut.pth"); }, {"no end of a zip archive", "cut off"});
  write_bytes(folder / "a", make_zip({{"a/other", "x"}}));
  expect_error<UserError>([&] { open_pth(folder / "a"); }, {"no entry data.pkl"});
}

/// Opens a crafted program over four floats and reads its tensor.
at::Tensor read_crafted(const TempFolder& folder, const std::string& program, bool zip64 = false) {
  const float data[4] = {1, 2, 3, 4};
  const std::string bytes(reinterpret_cast<const char*>(data), sizeof data);
  write_bytes(folder / "a.pth", make_zip(pth_files(program, bytes), zip64));
  return open_pth(folder / "a.pth")->read("t");
}

TEST(Pth, CraftedArchivesReadAsTheySay) {
  const TempFolder folder;
  for (const bool zip64 : {false, true}) {
    const at::Tensor found = read_crafted(folder, pickled_dict(pickled_tensor(4, 1, {3, 1}, {1, 1})), zip64);
    EXPECT_TRUE(at::equal(found, at::tensor({2.F, 3.F, 4.F}).unsqueeze(1)));
  }
}

TEST(Pth, ATensorBeyondItsStorageIsRefused) {
  const TempFolder folder;
  constexpr std::int64_t big = std::numeric_limits<std::int64_t>::max();
  using Sizes = std::vector<std::int64_t>;
  const std::vector<std::tuple<std::int64_t, Sizes, Sizes>> wrong = {
      {0, {5}, {1}},           {1, {4}, {1}},   {4, {}, {}},        {0, {2, 2}, {3, 1}},
      {0, {2}, {4}},           {big, {1}, {1}}, {0, {2}, {big}},    {0, {big, 2}, {1, 1}},
      {0, {big, big}, {0, 0}}, {5, {0}, {1}},   {0, {3, 3}, {1, 1}}};
  for (const auto& [offset, shape, strides] : wrong) {
    expect_error<UserError>([&] { read_crafted(folder, pickled_dict(pickled_tensor(4, offset, shape, strides))); },
                            {"tensor 't'", shape_string(shape), "within the 4 numbers"});
  }
  for (const auto& [offset, shape, strides] : std::vector<std::tuple<std::int64_t, Sizes, Sizes>>{
           {3, {}, {}}, {4, {0}, {1}}, {0, {2, 2}, {1, 2}}, {1, {3, 7}, {1, 0}}})
    EXPECT_NO_THROW(read_crafted(folder, pickled_dict(pickled_tensor(4, offset, shape, strides))));
  expect_error<UserError>([&] { read_crafted(folder, pickled_dict(pickled_tensor(5, 0, {4}, {1}))); },
                          {"found 16 bytes", "expected 5 numbers of 4 bytes"});
  expect_error<UserError>([&] { read_crafted(folder, pickled_dict(pickled_tensor(4, 0, {4}, {-1}))); },
                          {"no whole number >= 0"});
  expect_error<UserError>(
      [&] {
        read_crafted(folder, pickled_dict(pickled_tensor(4, 0, {4, 1}, {1})));
      },
      {"2 sizes and 1 strides"});
}

TEST(Pth, OtherProgramsAreRefused) {
  const TempFolder folder;
  const std::string tensor = pickled_tensor(4, 0, {4}, {1});
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {pickled_dict("cbuiltins\neval\n(" + pickled("1") + "tR"), "builtins.eval"},
      {pickled_dict("ctorch._utils\n_rebuild_tensor_v2\nos.x\n"), "the instruction 111"},
      {pickled_dict("(ios\nsystem\n"), "the instruction 105"},  // INST
      {pickled_dict(tensor + ")\x81"), "the instruction 129"},  // NEWOBJ
      {pickled_dict("\x82\x01"), "the instruction 130"},        // EXT1
      {pickled_dict("P0\n"), "the instruction 80"},             // PERSID
      {pickled_dict("I1\n"), "the instruction 73"},             // numbers as text
      {pickled_dict("ctorch\nFloatStorage\n)R"), "makes no tensor"},
      {pickled_dict(tensor + "}b"), "sets the inside of an object"},
      {pickled_dict("K\x01)R"), "a call of something that is no function"},
      {pickled_dict("K\x01Q"), "no storage"},
      {pickled_dict("h\x07"), "a reference to value 7"},
      {pickled_dict("\x8a\x09" + std::string(9, '\x01')), "a whole number of 9 bytes"},
      {pickled_dict("K\x01"), "'t' that is no tensor"},
      {"\x80\x02K\x01.", "no dict at the top"},
      {"\x80\x02}.", "no tensors"},
      {std::string("\x80\x02}(") + pickled("a") + "u.", "no dict"},
      {"\x80\x01}.", "protocol 1"},
      {"\x80\x02}}.", "unfinished value"},
      {"\x80\x02t.", "lacks its mark"},
      {"\x80\x02s.", "lacks its operand"},
      {"\x80\x02}", "cut off"},
      {std::string("\x80\x02X\xFF\xFF\xFF\xFF."), "cut off"},
      {std::string("\x80\x02}K\x01") + tensor + "s.", "a key that is no text"},
      {"\x80\x02}" + pickled("state_dict") + "}" + pickled("t") + tensor + "ss" + pickled("x") + tensor + "s.",
       "beside"},
      {"\x80\x02}" + pickled("model") + "}s" + pickled("state_dict") + "}s.", "both 'state_dict' and 'model'"},
  };
  for (const auto& [program, message] : wrong)
    expect_error<UserError>([&, &run = program] { read_crafted(folder, run); }, {"a.pth", message});
}

TEST(Pth, DeepAndCircularPicklesDoNoHarm) {
  const TempFolder folder;
  expect_error<UserError>(
      [&] { read_crafted(folder, pickled_dict(std::string(1'000'000, ']') + std::string(999'999, 'a'))); },
      {"'t' that is no tensor"});
  expect_error<UserError>(
      [&] {
        read_crafted(folder, pickled_dict("]q\x01h\x01"
                                          "a"));
      },
      {"'t' that is no tensor"});
  expect_error<UserError>([&] { read_crafted(folder, "\x80\x02" + std::string(5'000'000, 'N') + "."); }, {"more than"});
}

TEST(Pth, DamagedArchivesAreRefused) {
  const TempFolder folder;
  const std::string data(16, 'x');
  const auto files = pth_files(pickled_dict(pickled_tensor(4, 0, {4}, {1})), data);
  const std::string good = make_zip(files);
  const auto refuse = [&](std::string bytes, const std::vector<std::string>& parts) {
    write_bytes(folder / "a.pth", bytes);
    expect_error<UserError>([&] { open_pth(folder / "a.pth")->read("t"); }, parts);
  };
  std::string bytes = good;
  bytes[good.find(data) + 3] ^= 1;
  refuse(bytes, {"a/data/0", "checksum", "damaged"});
  bytes = good;
  bytes[good.find("_rebuild")] ^= 1;
  refuse(bytes, {"a/data.pkl", "checksum"});
  refuse(make_zip({files[0], {"a/byteorder", "big"}, files[2]}), {"another byte order"});
  refuse(make_zip({files[0], files[0], files[2]}), {"found it twice"});
  refuse(make_zip({files[0], files[2], {"b/data.pkl", files[0].second}}), {"expected one data.pkl"});
  refuse(make_zip({files[0], files[1]}), {"no entry 'a/data/0'"});
  bytes = good;
  bytes[good.rfind("a/data/0") - 46 + 42] ^= 4;  // the offset of the last entry
  refuse(bytes, {"a/data/0", "no header"});
  bytes = good;
  bytes[good.find("a/data/0")] = 'b';  // in front of the data only
  refuse(bytes, {"'b/data/0' before its data"});
  bytes = good;
  bytes[good.rfind("a/data/0") - 46 + 24] += 100;  // its size
  bytes[good.rfind("a/data/0") - 46 + 20] += 100;
  refuse(bytes, {"a/data/0", "116 bytes"});
}

TEST(Pth, EveryTruncationAndManyFlipsEndInASentence) {
  const TempFolder folder;
  std::ifstream in(kFixtures / "nested.pth", std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  const auto attempt = [&](const std::string& bytes) {
    write_bytes(folder / "a.pth", bytes);
    try {
      const auto source = open_pth(folder / "a.pth");
      for (const std::string& name : source->names()) (void)source->read(name).sum();
      return true;
    } catch (const UserError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return false;
    }
  };
  EXPECT_TRUE(attempt(good));
  for (std::size_t size = 0; size < good.size(); size += 7) EXPECT_FALSE(attempt(good.substr(0, size))) << size;
  // A flip may hit padding between the entries, but never do harm.
  for (std::size_t at = 0; at < good.size(); at += 3) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    attempt(bytes);
  }
}

TEST(Pth, FlippedProgramsWithRightChecksumsDoNoHarm) {
  const TempFolder folder;
  const std::string good = pickled_dict(pickled_tensor(4, 1, {3, 1}, {1, 1})), data(16, '\0');
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string program = good;
      program[at] = static_cast<char>(program[at] ^ (1 << bit));
      write_bytes(folder / "a.pth", make_zip(pth_files(program, data)));
      try {
        const auto source = open_pth(folder / "a.pth");
        for (const std::string& name : source->names()) (void)source->read(name).sum();
      } catch (const UserError&) {
      }
    }
  }
}

TEST(Crc32, KnownValues) {
  const auto of = [](const std::string& text) { return crc32(std::as_bytes(std::span(text.data(), text.size()))); };
  EXPECT_EQ(of(""), 0U);
  EXPECT_EQ(of("123456789"), 0xCBF43926U);
  EXPECT_EQ(of("The quick brown fox jumps over the lazy dog"), 0x414FA339U);
}

}  // namespace
}  // namespace rehyat
