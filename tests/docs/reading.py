"""The tests of the documents read what is written: blocks, spans, links, anchors, and the list of exceptions."""
import pathlib
import tempfile
import unittest

import commands
import markdown

PAGE = """# The `first` page

Run `rehyat prepare -c
FILE.yaml` or see [the *other* one](other.md#a-b), not `[a](b)`.

```sh
rehyat run -c FILE.yaml \\
  --dry-run   # says what it takes
# a remark
[no](link)
```

- a list

    that goes on

    rehyat indented

text

    a block without a fence

## A heading: with (signs), twice
## A heading: with (signs), twice
<img src="picture.png">
"""


def written(text, name="page.md"):
    path = pathlib.Path(tempfile.mkdtemp()) / name
    path.write_text(text)
    return path


class Reading(unittest.TestCase):
    def test_a_page(self):
        page = markdown.Page(written(PAGE))
        self.assertEqual([(line, language) for line, language, _ in page.blocks], [(6, "sh")])
        self.assertEqual([text for _, text in page.spans], ["first", "rehyat prepare -c FILE.yaml", "[a](b)"])
        self.assertEqual([(line, target) for line, _, target in page.links], [(4, "other.md#a-b"), (25, "picture.png")])
        twice = "a-heading-with-signs-twice"
        self.assertEqual(page.anchors(), ["the-first-page", twice, twice + "-1"])
        self.assertEqual(page.indented, [21])

    def test_a_fence_that_is_never_closed(self):
        with self.assertRaises(SystemExit):
            markdown.Page(written("```sh\nrehyat\n"))

    def test_the_lines_of_a_block(self):
        block = markdown.Page(written(PAGE)).blocks[0][2]
        first = "rehyat run -c FILE.yaml    --dry-run   # says what it takes"
        self.assertEqual(commands.lines_of(block), [first, "[no](link)"])

    def test_what_a_command_is(self):
        for text in ("rehyat run -c x.yaml", "./scripts/demo.sh configs/a.yaml", "cmake --preset release",
                     "build/gpu/bin/rehyat -h"):
            self.assertTrue(commands.PROGRAMS.match(text), text)
        for text in ("rehyat", "scripts/demo.sh", "src/app/main.cpp", "data.size"):
            self.assertFalse(commands.PROGRAMS.match(text), text)

    def test_what_is_never_run_by_itself(self):
        for text in ("cmake --build x", "sudo rm x", "scripts/setup.sh", "./scripts/test.sh --filter x",
                     "a && ctest -N"):
            self.assertTrue(commands.NEVER.search(text), text)
        for text in ("rehyat run -c cmake.yaml", "scripts/setup.sh --list", "mpirun -n 2 rehyat cache -c x"):
            self.assertFalse(commands.NEVER.search(text), text)

    def test_exceptions(self):
        path = written("# remark\nskip a b -- takes all day long\ncode 1|2 c* -- is meant to be refused\n"
                       "small [--x 1] d -- takes too much memory\ndry e -- needs a hundred GPUs\n", "list.txt")
        entries = commands.Exceptions(path)
        self.assertEqual(entries.of("a b")[0], "skip")
        self.assertEqual(entries.of("a b c")[0], "run")
        self.assertEqual(entries.of("cd e")[0], "code 1|2")
        self.assertEqual(entries.of("d")[0], "small [--x 1]")
        self.assertEqual(entries.needless(), ['list.txt:5: no printed command is "e"; remove the entry'])
        for wrong in ("skip a b", "skip a -- short", "often a -- for no good reason"):
            with self.assertRaises(SystemExit):
                commands.Exceptions(written(wrong + "\n"))


if __name__ == "__main__":
    unittest.main()
