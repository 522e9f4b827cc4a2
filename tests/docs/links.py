"""Every link, anchor, picture, path and test that the documents name is there, and the map names every folder of src/.

Usage: links.py ROOT BUILD CTEST
"""
import pathlib
import re
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree

import markdown

MOST_PICTURE_BYTES = 150_000
FOLDERS = "src tests scripts configs docs cmake third_party".split()

root = pathlib.Path(sys.argv[1]).resolve()
listed = subprocess.run([sys.argv[3], "--test-dir", sys.argv[2], "-N"], capture_output=True, text=True, check=True)
tests = re.findall(r"Test +#\d+: (\S+)", listed.stdout)
failures, counts = [], {"links": 0, "paths": 0, "tests": 0}
in_src = [path.name for path in (root / "src").iterdir() if path.is_dir()]
parsed = {path: markdown.Page(path) for path in markdown.pages(root)}


def fail(path, line, message):
    failures.append(f"{path.relative_to(root)}:{line}: {message}")


def check_link(page, line, target):
    counts["links"] += 1
    if re.match(r"[a-z]+:", target):
        if not target.startswith("https://"):
            fail(page.path, line, f"found the address {target}, expected https")
        return
    name, _, anchor = target.partition("#")
    path = (page.path.parent / urllib.parse.unquote(name)).resolve() if name else page.path
    if not path.exists():
        return fail(page.path, line, f"the link {target} leads to nothing")
    if root not in path.parents and path != root:
        return fail(page.path, line, f"the link {target} leads out of the repository")
    if anchor:
        other = parsed.get(path) or markdown.Page(path)
        if anchor not in other.anchors():
            known = ", ".join(other.anchors())
            fail(page.path, line, f"the link {target}: found no such heading, expected one of {known}")
    if path.suffix in (".png", ".jpg") and path.stat().st_size > MOST_PICTURE_BYTES:
        fail(page.path, line, f"{target} has {path.stat().st_size} bytes, expected at most {MOST_PICTURE_BYTES}")
    if path.suffix == ".svg":
        xml.etree.ElementTree.parse(path)


def is_there(base, path):
    """As it is, or without the endings of a source and its header."""
    return any(base.glob(path)) or any(base.glob(path + ".*"))


def check_span(page, line, text):
    """A code span that is a path of the repository, or of src/, or the name of a test."""
    if re.fullmatch(r"[\w./{},*-]+", text) and "/" in text and not re.search(r"\b(FILE|DIR)\b|runs/|weights/", text):
        first = text.split("/")[0]
        base = root if first in FOLDERS else root / "src" if first in in_src else None
        if base is None:
            return
        counts["paths"] += 1
        if not is_there(base, text.rstrip("/").replace("NAME", "*")):
            fail(page.path, line, f"`{text}`: found no such file or folder")
    elif re.fullmatch(r"(app|docs|train|distill|data|parity|second|build|finetune)_\w+", text) and "(" not in text:
        counts["tests"] += 1
        if not any(re.fullmatch(re.escape(text) + r"(\..*)?", test) for test in tests):
            fail(page.path, line, f"`{text}`: found no test of this name")


for page in parsed.values():
    for line, _, target in page.links:
        check_link(page, line, target)
    if markdown.is_dated(page.path):
        continue  # names of that day
    for line, text in page.spans:
        check_span(page, line, text)

mapped = {text for line, text in parsed[root / "CONTRIBUTING.md"].spans}
for name in in_src:
    if f"src/{name}" not in mapped:
        failures.append(f"CONTRIBUTING.md: the map says nothing of src/{name}")

for message in failures:
    print(message)
print("checked:", ", ".join(f"{count} {name}" for name, count in counts.items()), f"in {len(parsed)} pages")
if min(counts.values()) < 5:
    failures.append("too little")
    print("found hardly anything to check: the documents are not read as they are written")
sys.exit(1 if failures else 0)
