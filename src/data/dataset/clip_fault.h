#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <new>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/strings.h"
#include "data/sources/clip_file.h"
#include "data/video/video.h"

namespace rehyat::data {

/// Why a clip cannot be used.
struct ClipFault {
  std::string reason;
  bool retry = false;                    ///< the system may be at fault: the next start tries the clip again
  std::optional<std::int64_t> pictures;  ///< how many a clip has that is too short
};

/// The clip is too short for a window.
class ShortClip : public UserError {
 public:
  ShortClip(const Mistake& mistake, std::int64_t count) : UserError(mistake), pictures(count) {}
  std::int64_t pictures;  ///< number of the clip's pictures at data.fps
};

/// Runs the work on one clip and returns what it throws that does not end the run.
template <typename Work>
std::optional<ClipFault> attempt(const ClipFile& clip, Work&& work) {
  try {
    work();
    return {};
  } catch (const PassingFailure& error) {
    return ClipFault{error.what(), true, {}};
  } catch (const ShortClip& error) {
    return ClipFault{error.what(), false, error.pictures};
  } catch (const UserError& error) {
    return ClipFault{error.what(), false, {}};
  } catch (const std::bad_alloc&) {
    return ClipFault{cat(clip.shown(), ": found too little memory for a window, expected enough"), true, {}};
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return ClipFault{cat(clip.shown(), ": ", text.substr(0, text.find('\n'))), true, {}};
  }
}

}  // namespace rehyat::data
