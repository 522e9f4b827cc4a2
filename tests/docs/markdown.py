"""What the tests of the documents need of Markdown: fenced blocks, code spans, links, headings, each with its line."""
import pathlib
import re

# Pages that tell what was measured on a day, with the commands and the file names of that day.
DATED = re.compile(r"\d{4}-\d{2}-\d{2}-")


def pages(root):
    """README, CONTRIBUTING and everything below docs/."""
    return [root / "README.md", root / "CONTRIBUTING.md"] + sorted((root / "docs").rglob("*.md"))


def is_dated(path):
    return DATED.match(path.name) is not None


class Page:
    """blocks: (line, language, text); spans: (line, text); links: (line, text, target); headings: (line, text);
    indented: lines of blocks that are told by their indentation alone."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.blocks, self.headings, self.indented = [], [], []
        prose, fence, in_list, blank = [], None, False, True
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            opened = re.match(r"( *)(```+)\s*(\S*)\s*$", line)
            if fence is not None:
                if opened and opened.group(2) == fence[3] and not opened.group(3):
                    self.blocks.append((fence[0], fence[1], "\n".join(fence[2])))
                    fence = None
                else:
                    fence[2].append(line[fence[4]:] if line[:fence[4]].isspace() else line)
                prose.append("")
                continue
            if opened:
                fence = (number, opened.group(3), [], opened.group(2), len(opened.group(1)))
                prose.append("")
                continue
            if re.match(r"\s*([-*]|\d+\.)\s", line) and not line.startswith("    "):
                in_list = True
            elif line and not line[0].isspace():
                in_list = False
            if line.startswith("    ") and blank and not in_list:
                self.indented.append(number)
            heading = re.match(r"(#+)\s+(.*?)\s*$", line)
            if heading:
                self.headings.append((number, heading.group(2)))
            blank = not line.strip()
            prose.append(line)
        if fence is not None:
            raise SystemExit(f"{self.path}:{fence[0]}: a fenced block that is never closed")
        text = "\n".join(prose)

        def line_of(at):
            return text.count("\n", 0, at) + 1

        self.spans, bare = [], list(text)
        for match in re.finditer(r"(`+)((?:(?!\n\s*\n).)+?)\1(?!`)", text, re.S):
            self.spans.append((line_of(match.start()), " ".join(match.group(2).split())))
            for at in range(*match.span()):
                if bare[at] != "\n":
                    bare[at] = "x"
        bare = "".join(bare)
        self.links = []
        for match in re.finditer(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)", bare):
            self.links.append((line_of(match.start()), match.group(1), match.group(2)))
        for match in re.finditer(r"\b(?:src|srcset|href)=\"([^\"]+)\"", bare):
            self.links.append((line_of(match.start()), "", match.group(1)))

    def anchors(self):
        """Names that GitHub gives the headings."""
        names = []
        for _, heading in self.headings:
            heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
            name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            count = sum(1 for other in names if re.fullmatch(re.escape(name) + r"(-\d+)?", other))
            names.append(name if count == 0 else f"{name}-{count}")
        return names
