#pragma once

namespace rehyat {

/// Makes SIGINT, SIGTERM and SIGUSR1 a request to stop at the next good moment (a checkpoint, exit code 75); a second
/// SIGINT ends the program at once. Only for work that polls `stop_requested`: anything else would swallow the signal.
/// With `announce` the first signal is answered by a line on stderr.
void install_stop_signals(bool announce = true);
/// To be called when the work is over: a signal from now on, such as a launcher's after another rank has ended, is not
/// answered by a line.
void silence_stop_signals();
/// Makes a write beyond the limit on the size of files (ulimit -f) fail with an error number, as on a full disk, and
/// not with a signal.
void ignore_file_size_signal();
/// Whether one of these signals has come.
bool stop_requested();

}  // namespace rehyat
