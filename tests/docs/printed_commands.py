"""Every command that the documents, the helps and the shipped configs print is run as it is printed.

Usage: printed_commands.py ROOT WORK REHYAT MAKE_CLIPS MPIRUN...

Read are the `sh` blocks and the code spans of README, CONTRIBUTING and docs/ (without the dated pages of
measurements, whose commands are of that day), the examples of every command's --help, and the code spans in the
comments of configs/. The commands run in a folder where the printed names lead to something tiny: configs/demo.yaml and
FILE.yaml are a run of seconds, weights/ is a stub with the published sizes. Those that cannot run here are in
exceptions.txt, each with its reason; an entry there that no command needs is a failure too.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time

import commands
import markdown

root, work = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
rehyat, make_clips, launcher, *launcher_words = sys.argv[3:]
mpirun = [shutil.which(launcher), *launcher_words]  # by its whole path: bin/mpirun below calls it
MOST_SECONDS = 200  # of one command; it takes a few, under sanitizers many
failures = []


def fail(message):
    failures.append(message)
    print("FAILED:", message, flush=True)


def of_pages():
    for path in markdown.pages(root):
        if markdown.is_dated(path):
            continue
        page, name = markdown.Page(path), path.relative_to(root)
        for line in page.indented:
            fail(f"{name}:{line}: a block that is only indented: fence it, so that its language is said")
        for line, language, text in page.blocks:
            if language not in ("sh", "yaml", "json", "text"):
                fail(f"{name}:{line}: a block of the language '{language}', expected sh, yaml, json or text")
            if language == "sh":
                yield from ((f"{name}:{line}", command) for command in commands.lines_of(text))
        yield from ((f"{name}:{line}", text) for line, text in page.spans if commands.PROGRAMS.match(text))


def of_helps():
    def help_of(*words):
        shown = subprocess.run([rehyat, *words, "--help"], capture_output=True, text=True, cwd=work)
        if shown.returncode != 0:
            fail(f"rehyat {' '.join(words)} --help: exit code {shown.returncode}")
        return shown.stdout

    names = re.findall(r"^  (\w+)  ", help_of().split("Subcommands:")[-1], re.M)
    for name in names:
        text = help_of(name)
        examples = text.split("Example:\n")[1:]
        if not examples:
            fail(f"rehyat {name} --help has no example")
        for command in commands.lines_of("\n".join(examples)):
            yield f"rehyat {name} --help", command
        spans = re.findall(r"`([^`]+)`", text)
        yield from ((f"rehyat {name} --help", span) for span in spans if commands.PROGRAMS.match(span))
    if len(names) < 10:
        fail(f"rehyat --help: found only the commands {names}")


def of_configs():
    for path in sorted((root / "configs").glob("*.yaml")):
        comments = "\n".join(line.split("#", 1)[1] if "#" in line else "" for line in path.read_text().splitlines())
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", comments)]
        yield from ((f"configs/{path.name}", span) for span in spans if commands.PROGRAMS.match(span))
        if commands.PROGRAMS.search(re.sub(r"`[^`]+`", "", comments)):
            fail(f"configs/{path.name}: a command in a comment without `backquotes`")


def check_skipped(where, command):
    """Of a command that is not run: its program is there, and knows the options."""
    for part in re.split(r"&&|\|\||[|;&]", command):
        words = shlex.split(part, comments=True)
        script = next((word for word in words if word.lstrip("./").startswith(("scripts/", "tests/", ".ci/"))), None)
        if script is None:
            continue
        if not (root / script).is_file():
            fail(f"{where}: `{command}`: found no {script}")
        elif script.endswith((".sh", ".py")):
            text = (root / script).read_text()
            for option in words[words.index(script) + 1:]:
                if option.startswith("--") and option.split("=")[0] not in text:
                    fail(f"{where}: `{command}`: {script} knows no {option}")
    for preset in re.findall(r"--preset (\w+)", command):
        presets = json.loads((root / "CMakePresets.json").read_text())
        if preset not in [item["name"] for item in presets["configurePresets"]]:
            fail(f"{where}: `{command}`: found no preset {preset}")


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)


def captioned(folder, count):
    subprocess.run([make_clips, folder, str(count)], check=True)
    clips = sorted(folder.glob("*.mp4"))
    rows = [{"file": clip.name, "caption": clip.with_suffix(".txt").read_text().strip()} for clip in clips]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return clips


def shards(folder, count, clips):
    """Tars as WebDataset packs them: one clip and its caption each."""
    folder.mkdir()
    for index in range(count):
        with tarfile.open(folder / f"{index:03}.tar", "w") as tar:
            clip = clips[index % len(clips)]
            tar.add(clip, f"{index:05}.mp4")
            tar.add(clip.with_suffix(".txt"), f"{index:05}.txt")


def published_stub(folder):
    """A pipeline whose transformer says the sizes of Wan2.1 1.3B; a dry run reads no weight."""
    shutil.copytree(root / "tests/fixtures/pipeline/model", folder)
    path = folder / "transformer/config.json"
    config = json.loads(path.read_text())
    config.update(num_layers=30, num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, freq_dim=256,
                  text_dim=4096)
    path.write_text(json.dumps(config))


def prepare_folder():
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    os.chdir(work)
    executable(work / "bin/rehyat", f'exec {shlex.quote(rehyat)} "$@"\n')
    # At most two ranks: more would only take longer here.
    executable(work / "bin/mpirun", 'if [ "$1" = -n ] && [ "$2" -gt 2 ]; then set -- -n 2 "${@:3}"; fi\n'
               f'exec {shlex.join(mpirun)} "$@"\n')
    (work / "build/release").mkdir(parents=True)
    (work / "build/release/bin").symlink_to(pathlib.Path(rehyat).resolve().parent)
    shutil.copytree(root / "scripts", work / "scripts")
    clips = captioned(work / ".data/clips", 4)
    shutil.copytree(work / ".data/clips", work / "clips")
    shutil.copytree(work / ".data/clips", work / "data/clips")
    shards(work / "shards", 128, clips)
    (work / "prompts.txt").write_text("a bright square moves to the right\na dark square\n")
    published_stub(work / "weights/Wan2.1-T2V-1.3B-Diffusers")
    shutil.copytree(root / "tests/fixtures/transformer/gradients", work / "weights/wan/transformer")
    shutil.copy(root / "tests/fixtures/transformer/gradients.safetensors", work / "transformer.safetensors")
    shutil.copy(root / "tests/fixtures/attention/rehyat_joint.safetensors", work / "attention.safetensors")
    shutil.copytree(root / "configs", work / "configs")
    tiny = (root / "tests/docs/tiny.yaml").read_text()
    for name in ("FILE.yaml", "configs/demo.yaml", "configs/demo-long.yaml"):
        (work / name).write_text(tiny)


def environment():
    words = dict(os.environ)
    words.update(PATH=f"{work}/bin:{words['PATH']}", OMP_NUM_THREADS="1")
    return words


def run(command):
    """Exit code, output and seconds of a line of the shell."""
    started = time.monotonic()
    try:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", env=environment(), cwd=work,
                              timeout=MOST_SECONDS)
        return done.returncode, done.stdout, time.monotonic() - started
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode(errors="replace"), MOST_SECONDS


def check_configs():
    """Each `yaml` block is a part of a config that the program reads."""
    count = 0
    for path in markdown.pages(root):
        for line, language, text in markdown.Page(path).blocks:
            if language != "yaml":
                continue
            count += 1
            pathlib.Path(f"block-{count}.yaml").write_text(text + "\n")
            sizes = "" if "weights:" in text else "model.architecture.layers=30"
            code, output, _ = run(f"rehyat analyze -c block-{count}.yaml {sizes}")
            if code != 0:
                fail(f"{path.relative_to(root)}:{line}: a yaml block that is no config: {output[-500:]}")
    return count


def main():
    prepare_folder()
    code, output, _ = run("rehyat run -c configs/demo.yaml export.dtype=f32")
    if code != 0:
        print(output)
        raise SystemExit("the run that the printed commands are about does not run itself")
    exceptions = commands.Exceptions(root / "tests/docs/exceptions.txt")
    ran, skipped, seen = 0, 0, set()
    for where, command in [*of_helps(), *of_pages(), *of_configs()]:
        bare = re.sub(r"\s+#.*$", "", command)
        if bare in seen:
            continue
        seen.add(bare)
        do, reason = exceptions.of(bare)
        if do == "skip":
            print(f"not run: {command} ({reason})")
            check_skipped(where, command)
            skipped += 1
            continue
        if do == "run" and commands.NEVER.search(command):
            fail(f"{where}: `{command}`: found nothing in exceptions.txt that says why it is not run")
            continue
        words = " --dry-run" if do == "dry" else f" {do[7:-1]}" if do.startswith("small") else ""
        code, output, seconds = run(bare + words if words else command)
        ran += 1
        if str(code) not in (do[5:].split("|") if do.startswith("code") else ["0"]):
            print(output[-3000:])
            fail(f"{where}: `{command}`: exit code {code}")
        else:
            print(f"{seconds:5.1f} s  {command}{words}", flush=True)
    for sentence in exceptions.needless():
        fail(sentence)
    blocks = check_configs()
    print(f"{ran} commands ran, {skipped} are excepted, {blocks} yaml blocks are configs, {len(failures)} failures")
    if ran < 20:
        fail("found hardly any commands: the documents are not read as they are written")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
