#include "train/metrics.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::train {
namespace {

using testing::TempFolder;

/// CRC-32C bit by bit, without a table.
std::uint32_t slow_crc32c(const std::string& data) {
  std::uint32_t crc = ~0U;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
  }
  return ~crc;
}

TEST(Crc32c, GivesThePublishedAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(""), 0U);
  const std::uint32_t crc = slow_crc32c("abc\xfe");
  EXPECT_EQ(crc32c("abc\xfe"), crc);
  EXPECT_EQ(masked_crc32c("abc\xfe"), static_cast<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xA282EAD8U));
}

/// One protobuf message: field number -> raw values (varints as 8 bytes).
using Message = std::multimap<int, std::string>;

Message parse_message(const std::string& data) {
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(data.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
  };
  Message out;
  while (at < data.size()) {
    const std::uint64_t key = varint();
    std::string value;
    switch (key & 7) {
      case 0: {
        const std::uint64_t number = varint();
        value.assign(reinterpret_cast<const char*>(&number), sizeof number);
        break;
      }
      case 1:
        value = data.substr(at, 8);
        at += 8;
        break;
      case 2: {
        const std::uint64_t length = varint();
        value = data.substr(at, length);
        at += length;
        break;
      }
      case 5:
        value = data.substr(at, 4);
        at += 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return out;
    }
    out.emplace(static_cast<int>(key >> 3), value);
  }
  EXPECT_EQ(at, data.size());
  return out;
}

template <typename T>
T raw(const std::string& bytes) {
  T value{};
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

/// The records of an event file; every length and checksum must hold.
std::vector<Message> events_of(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  std::vector<Message> out;
  for (std::size_t at = 0; at < content.size();) {
    const auto length = raw<std::uint64_t>(content.substr(at, 8));
    const auto masked = [](const std::string& data) {
      const std::uint32_t crc = slow_crc32c(data);
      return static_cast<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xA282EAD8U);
    };
    EXPECT_EQ(raw<std::uint32_t>(content.substr(at + 8, 4)), masked(content.substr(at, 8)));
    const std::string data = content.substr(at + 12, length);
    EXPECT_EQ(raw<std::uint32_t>(content.substr(at + 12 + length, 4)), masked(data));
    out.push_back(parse_message(data));
    at += 16 + length;
  }
  return out;
}

std::vector<std::filesystem::path> event_files(const TempFolder& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) out.push_back(entry.path());
  }
  return out;
}

TEST(EventFile, ScalarsAreReadBackWithTheirChecksums) {
  const TempFolder folder;
  {
    EventFile file(folder.path(), 0);
    file.scalar("train/loss", 0.25, 0);
    file.scalar("train/" + std::string(300, 'x'), -1e-3, 1'234'567);
    file.scalar("train/bad", std::nan(""), 3);
  }
  ASSERT_EQ(event_files(folder).size(), 1U);
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].find(3)->second, "brain.Event:2");
  const auto scalar = [](const Message& event) {
    const Message value = parse_message(parse_message(event.find(5)->second).find(1)->second);
    return std::pair(value.find(1)->second, raw<float>(value.find(2)->second));
  };
  EXPECT_EQ(scalar(events[1]), std::pair(std::string("train/loss"), 0.25F));
  EXPECT_EQ(raw<std::uint64_t>(events[1].find(2)->second), 0U);
  EXPECT_EQ(scalar(events[2]), std::pair("train/" + std::string(300, 'x'), -1e-3F));
  EXPECT_EQ(raw<std::uint64_t>(events[2].find(2)->second), 1'234'567U);
  EXPECT_TRUE(std::isnan(scalar(events[3]).second));
  EXPECT_GT(raw<double>(events[1].find(1)->second), 1.7e9);  // wall time in seconds since 1970
}

TEST(EventFile, AResumedRunTellsTensorBoardWhatToDrop) {
  const TempFolder folder;
  { EventFile file(folder.path(), 40); }
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(raw<std::uint64_t>(events[1].find(2)->second), 40U);
  EXPECT_EQ(raw<std::uint64_t>(parse_message(events[1].find(7)->second).find(1)->second), 1U);  // SessionLog.START
}

TEST(EventFile, AFolderThatIsMissingIsNamed) {
  const TempFolder folder;
  testing::expect_error<UserError>([&] { EventFile file(folder / "none", 0); }, {"none/events.out.tfevents"});
}

std::vector<std::string> lines_of(const TempFolder& folder) {
  std::istringstream in(read_file(folder / "metrics.jsonl"));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(Metrics, AResumedRunDropsWhatItTakesAgain) {
  const TempFolder folder;
  {
    Metrics metrics(folder.path(), 0);
    for (int step = 0; step < 6; ++step) metrics.write({{"step", step}, {"loss", 1.0 / (step + 1)}}, "train");
    metrics.write({{"step", 3}, {"held_out", 0.5}}, "validation");
  }
  std::ofstream(folder / "metrics.jsonl", std::ios::app) << "{\"step\": 2, \"lo";  // killed while writing
  {
    Metrics metrics(folder.path(), 3);
    metrics.write({{"step", 4}, {"loss", 7.0}}, "train");
  }
  EXPECT_EQ(lines_of(folder),
            (std::vector<std::string>{R"({"step":0,"loss":1.0})", R"({"step":1,"loss":0.5})",
                                      R"({"step":2,"loss":0.3333333333333333})", R"({"step":3,"loss":0.25})",
                                      R"({"step":3,"held_out":0.5})", R"({"step":4,"loss":7.0})"}));
}

TEST(Metrics, AMeasurementOfTheLastStepIsNotRepeated) {
  const TempFolder folder;
  for (int run = 0; run < 3; ++run) {
    Metrics metrics(folder.path(), run == 0 ? 0 : 1);
    if (run == 0) metrics.write({{"step", 1}, {"loss", 1.0}}, "train");
    metrics.write({{"step", 1}, {"held_out", 0.5}}, "validation");
  }
  EXPECT_EQ(lines_of(folder), (std::vector<std::string>{R"({"step":1,"loss":1.0})", R"({"step":1,"held_out":0.5})"}));
}

TEST(Metrics, TensorBoardDropsWhatARunLeftThatWasKilledBeforeItsFirstCheckpoint) {
  const TempFolder folder;
  { Metrics metrics(folder.path(), 0); }
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(raw<std::uint64_t>(events[1].find(2)->second), 1U);  // from the first step on
  EXPECT_EQ(raw<std::uint64_t>(parse_message(events[1].find(7)->second).find(1)->second), 1U);
}

/// While it lives no file of this process may grow beyond `bytes`, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(EventFile, AFailedWriteIsNamed) {
  const TempFolder folder;
  EventFile file(folder.path(), 0);
  const FileLimit limit(200);
  testing::expect_error<UserError>(
      [&] {
        for (int step = 1; step < 100; ++step) file.scalar("train/loss", 0.5, step);
      },
      {"events.out.tfevents", "cannot be written"});
}

TEST(Metrics, AFailedWriteIsNamed) {
  const TempFolder folder;
  Metrics metrics(folder.path(), 0);
  const FileLimit limit(200);
  testing::expect_error<UserError>(
      [&] {
        for (int step = 1; step < 100; ++step) metrics.write({{"step", step}, {"text", "no scalar"}}, "train");
      },
      {"metrics.jsonl", "cannot be written"});
}

TEST(Metrics, ANewTrainingStartsAnEmptyFile) {
  const TempFolder folder;
  { Metrics(folder.path(), 0).write({{"step", 0}, {"loss", 1.0}}, "train"); }
  { Metrics(folder.path(), 0).write({{"step", 0}, {"loss", 2.0}}, "train"); }
  EXPECT_EQ(lines_of(folder), std::vector<std::string>{R"({"step":0,"loss":2.0})"});
}

TEST(Metrics, LinesThatAreNoMetricsAreDroppedOnResume) {
  const TempFolder folder;
  write_file_atomic(folder / "metrics.jsonl",
                    "3\n[]\n{}\n\n{\"step\":\"x\"}\n{\"step\":1.5}\n{\"step\":0}\nnull\n\xff\n");
  { Metrics metrics(folder.path(), 9); }
  EXPECT_EQ(lines_of(folder), std::vector<std::string>{R"({"step":0})"});
}

}  // namespace
}  // namespace rehyat::train
