"""What a printed command is, and which of them cannot be run by the suite."""
import re

PROGRAMS = re.compile(r"(rehyat|mpirun|srun|sbatch|torchrun|cmake|ctest|python3?|git|bash|apt-get|tar|ln|"
                      r"\./scripts/\S+|scripts/\S+|\.ci/run|build/\S+/bin/\S+)\s+\S")
# These build, install, submit or call this test again: they need an entry in exceptions.txt before anything happens.
NEVER = re.compile(r"(^|[\s/])(cmake|ctest|sbatch|srun|torchrun|apt-get|sudo|\.ci/run|"
                   r"scripts/(?!setup\.sh --list)\S+)(\s|$)")


def lines_of(block):
    """Its commands: lines, joined where one ends in a backslash."""
    lines = [line.strip() for line in block.replace("\\\n", " ").split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


class Exceptions:
    """A line an entry: "DO COMMAND -- REASON". DO is `skip`, `code N|M` (exit codes that count as good), `dry` (with
    --dry-run behind it) or `small ARGUMENTS` (with these behind it). COMMAND ends in * where any ending is meant."""

    def __init__(self, path):
        self.entries = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.fullmatch(r"(skip|code [\d|]+|dry|small \[[^\]]+\]) (.+?) -- (.{10,})", line)
            if not match:
                raise SystemExit(f"{path}:{number}: found \"{line}\", expected DO COMMAND -- REASON")
            self.entries.append([f"{path.name}:{number}", match.group(1), match.group(2), match.group(3), 0])

    def of(self, command):
        for entry in self.entries:
            name = entry[2]
            if command == name or name.endswith("*") and command.startswith(name[:-1]):
                entry[4] += 1
                return entry[1], entry[3]
        return "run", ""

    def needless(self):
        """A sentence for each entry that no command has asked for."""
        return [f"{where}: no printed command is \"{name}\"; remove the entry"
                for where, _, name, _, used in self.entries if not used]
