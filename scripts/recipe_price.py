#!/usr/bin/env python3
"""What the recipe of a config costs in hours of one GPU, from short runs of its stages at full shape with weights that mean
nothing: the teacher's walks and the cache, distillation of all converted blocks, finetuning steps; sampling in both forms and
preparing the clips are counted beside it.

    python scripts/recipe_price.py --rehyat build/release/bin/rehyat [--config configs/wan-1.3b.yaml] [--out PAGE.md]

Steps, prompts, points, blocks and batch are the config's. Takes under four minutes on an H100 and 20 GB of disk in --work,
which are removed again. Needs nothing but Python and the program; bench_vae beside the program measures preparing."""
import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import random_wan

PAPER_HOURS = 160  # GPU-hours of the paper's recipe
PAPER_CLIPS = 22000  # clips that it was finetuned on
KEPT = 2  # points of each short walk
PROMPTS = ["A red ball rolls down a hill.", "Rain falls on the sea.", "A cat sleeps in the sun."]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehyat", required=True, help="the program")
    parser.add_argument("--config", default=str(pathlib.Path(__file__).resolve().parents[1] / "configs/wan-1.3b.yaml"))
    parser.add_argument("--work", default="recipe-price", help="a folder that is made and removed again")
    parser.add_argument("--out", help="the table, Markdown")
    parser.add_argument("--json", help="all numbers")
    parser.add_argument("--lengths", default="81,161,321,641", help="frames of the sampled videos")
    parser.add_argument("--walk-steps", type=int, default=3, help="denoising steps that are walked")
    parser.add_argument("--blocks", type=int, default=4, help="that are cached and distilled, of the config's")
    parser.add_argument("--iterations", type=int, default=30, help="of each block that are distilled")
    parser.add_argument("--passes", type=int, default=2, help="of the finetuning step's batch that are run")
    parser.add_argument("--memory", default="75GB", help="of the GPU, within which the finetuning step runs little again")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    for name, value in (("dim", 1536), ("heads", 12), ("ffn_dim", 8960), ("layers", 30), ("text_dim", 4096)):
        parser.add_argument("--" + name.replace("_", "-"), dest=name, type=int, default=value, help="of the weights")
    parser.add_argument("--frames", type=int, help="default: the config's")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: the config's")
    return parser.parse_args()


class Recipe:
    """The numbers of a config that its price depends on."""

    def __init__(self, path):
        self.path, self.text = path, pathlib.Path(path).read_text()
        self.prompts, self.seeds = self.number("cache", "max_prompts"), self.number("cache", "seeds")
        self.steps, self.points = self.number("cache", "steps"), self.number("cache", "keep_per_trajectory")
        self.blocks, self.iterations = self.number("hybrid", "count"), self.number("distill", "iterations")
        self.batch, self.updates = self.number("finetune", "global_batch"), self.number("finetune", "iterations")
        self.sampling_steps, self.guidance = self.number("sample", "steps"), self.number("sample", "guidance")
        self.frames = self.number("data", "frames")
        size = re.search(r"\bsize:\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]", self.section("data"))
        self.size = [int(size.group(1)), int(size.group(2))]

    def section(self, name):
        found = re.search(rf"^{name}:(.*?)(?=^\w|\Z)", self.text, re.MULTILINE | re.DOTALL)
        if not found:
            sys.exit(f"recipe_price: {self.path}: found no section {name}, expected one")
        return re.sub(r"#.*", "", found.group(1))

    def number(self, section, key):
        found = re.search(rf"\b{key}:\s*([\d.]+)", self.section(section))
        if not found:
            sys.exit(f"recipe_price: {self.path}: found no {section}.{key}, expected a number")
        value = float(found.group(1))
        return int(value) if value == int(value) else value


class Price:
    def __init__(self, args):
        self.args, self.recipe, self.rows, self.beside, self.skipped = args, Recipe(args.config), [], [], []
        self.work = pathlib.Path(args.work).resolve()
        self.frames, self.size = args.frames or self.recipe.frames, args.size or self.recipe.size
        self.blocks = min(args.blocks, self.recipe.blocks, args.layers)
        self.found = {}

    def program(self, *words):
        """The JSON that the program prints. A failure ends the script with the program's own sentence."""
        done = subprocess.run([self.args.rehyat, *map(str, words), "--json"], capture_output=True, text=True, cwd=self.work)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise SystemExit(f"recipe_price: rehyat {words[0]}: {lines[-1] if lines else 'it said nothing'}")
        return json.loads(done.stdout)

    def stage(self, name):
        common = [f"model.weights={self.work / 'weights'}", "data.videos=none", "cache.prompts=prompts.txt",
                  f"run.dir={self.work / 'run'}", f"run.device={self.args.device}", f"cache.max_prompts={len(PROMPTS)}",
                  f"data.frames={self.frames}", f"data.size=[{self.size[0]},{self.size[1]}]",
                  f"hybrid.blocks.count={self.blocks}",
                  f"cache.sampler.steps={self.args.walk_steps}", f"cache.keep_per_trajectory={KEPT}",
                  "cache.validation_share=0.34", f"distill.iterations={self.args.iterations}",
                  "distill.validation_samples=1", "distill.log_every=1", f"distill.checkpoint_every={10**6}"]
        return self.program(name, "-c", pathlib.Path(self.args.config).resolve(), *common)

    def bench(self, mode, *options):
        size = ["--frames", self.frames, "--height", self.size[0], "--width", self.size[1]]
        shape = ["--layers", self.args.layers, *[word for key, value in (
            ("dim", self.args.dim), ("heads", self.args.heads), ("ffn_dim", self.args.ffn_dim),
            ("text_dim", self.args.text_dim)) for word in ("--architecture", f"{key}={value}")]]
        hybrid = ["--attention", "rehyat", "--tc", 3, "--to", 1]
        return self.program("bench", mode, "--device", self.args.device, *size, *shape, *hybrid, *options)

    def walk(self):
        recipe = self.recipe
        result = self.stage("cache")
        log = (pathlib.Path(result["folder"]) / "log.txt").read_text()
        steps, rate = re.findall(r"info +cache \([^)]*\): (\d+)/\d+ steps, ([\d.]+) steps/s", log)[-1]
        waited = re.findall(r"cache: ([\d.]+) s of [\d.]+ s waited for the disk", log)
        whole = float(steps) / float(rate)
        second = (whole - (float(waited[-1]) if waited else 0)) / float(steps)
        walks = recipe.prompts * recipe.seeds
        # The short walks keep points far more often than those of the recipe: the disk is counted by its own rate.
        stored = walks * recipe.points * recipe.blocks * result["bytes"] / (len(PROMPTS) * KEPT * self.blocks)
        disk = stored * whole / result["bytes"]
        self.add("teacher walks, cache written", f"a step of both branches {second:.3g} s, {walks} walks of {recipe.steps} steps; "
                 f"{stored / 1e9:.3g} GB written beside them at {result['bytes'] / whole / 1e9:.2g} GB/s take {disk / 3600:.2g} h",
                 max(walks * recipe.steps * second, disk))
        self.found["walk_step_seconds"], self.found["disk_seconds"] = second, disk

    def distill(self):
        recipe = self.recipe
        result = self.stage("distill")
        own, waited, around = [], [], []
        for block in result["blocks"]:
            lines = [json.loads(line) for line in
                     (pathlib.Path(result["folder"]) / f"phi-{block['block']:05d}" / "metrics.jsonl").read_text().splitlines()]
            steps = [line for line in lines if "ms" in line]
            own += [line["ms"] / 1e3 for line in steps[len(steps) // 2 :]]
            waited += [line.get("data_ms", 0) / 1e3 for line in steps[len(steps) // 2 :]]
            around.append(block["seconds"] - sum(line["ms"] for line in steps) / 1e3)
        step = statistics.median(own)
        self.add("distillation", f"{len(result['blocks'])} blocks were run: a step {step * 1e3:.3g} ms, of it waiting "
                 f"{statistics.median(waited) * 1e3:.2g} ms, {recipe.blocks} × {recipe.iterations} steps; starting and measuring "
                 f"a block {statistics.mean(around):.2g} s; what was written read once at that rate counts where it is more",
                 max(recipe.blocks * recipe.iterations * step, self.found["disk_seconds"])
                 + recipe.blocks * statistics.mean(around))
        self.found["distill_step_seconds"] = step

    def finetune(self):
        recipe = self.recipe
        result = self.bench("step", "--converted", min(recipe.blocks, self.args.layers), "--accumulate", self.args.passes,
                            "--warmup", 1, "--repeats", 1, "--memory", self.args.memory)
        rows = {row["name"]: row for row in result["rows"]}
        one = (rows["forward"]["seconds_median"] + rows["backward"]["seconds_median"]) / self.args.passes
        step = recipe.batch * one + rows["update"]["seconds_median"]
        self.add("finetuning", f"a pass of one clip {one:.3g} s, an update {rows['update']['seconds_median']:.2g} s, "
                 f"{recipe.updates} steps of {recipe.batch}; {rows['step']['peak_bytes'] / 1e9:.1f} GB at most",
                 recipe.updates * step)
        self.found["finetune_step_seconds"] = step

    def sampling(self):
        recipe, found = self.recipe, {}
        for form in ("recurrent", "parallel"):
            result = self.bench("recurrent", "--form", form, "--lengths", self.args.lengths, "--steps", 1, "--guidance",
                                recipe.guidance, "--warmup", 0)
            states = result["state_bytes_per_step"] * recipe.sampling_steps if form == "recurrent" else 0
            for row in result["rows"]:
                seconds = row["video_seconds_per_step"] * recipe.sampling_steps
                # One step's states are in the peak already.
                peak = row["peak_bytes"] + states - (result["state_bytes"] if states else 0)
                found[form, row["frames"]] = (seconds, peak, row["peak_bytes"])
        for (form, frames), (seconds, peak, measured) in found.items():
            self.beside.append((f"a video of {frames} frames, {self.args.layers} blocks, {form}",
                                f"{recipe.sampling_steps} steps {seconds:.3g} s; peak {measured / 1e9:.1f} GB of one step"
                                + (f", {peak / 1e9:.1f} GB with the states of all" if form == "recurrent" else "")))
        self.found["sampling"] = [{"form": form, "frames": frames, "seconds": value[0], "peak_bytes": value[1]}
                                  for (form, frames), value in found.items()]

    def prepare(self):
        program = pathlib.Path(self.args.rehyat).resolve().parent / "bench_vae"
        if not program.exists():
            self.skipped.append(f"preparing: found no {program.name} beside the program; build the target benchmarks")
            return
        command = [str(program), f"--frames={self.frames}", f"--height={self.size[0]}", f"--width={self.size[1]}",
                   "--passes=2", "--benchmark_filter=encode/bf16/", "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True)
        rows = json.loads(done.stdout)["benchmarks"] if done.returncode == 0 and done.stdout else []
        if not rows or rows[0].get("error_occurred"):
            self.skipped.append("preparing: bench_vae measured nothing here")
            return
        second = rows[0]["real_time"] / 1e3
        self.beside.append((f"preparing {PAPER_CLIPS} clips", f"the VAE encodes a clip in {second:.3g} s: "
                            f"{PAPER_CLIPS * second / 3600:.2g} GPU-hours"))
        self.found["encode_seconds"] = second

    def add(self, name, how, seconds):
        self.rows.append((name, how, seconds / 3600))
        print(f"{name}: {how}: {seconds / 3600:.3g} GPU-hours", flush=True)

    def table(self, took):
        hours = sum(row[2] for row in self.rows)
        device = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True,
                                text=True).stdout.splitlines() if shutil.which("nvidia-smi") else []
        lines = [f"## What the recipe of {pathlib.Path(self.args.config).name} costs", "",
                 f"{device[0] if device else self.args.device}, {self.frames} frames of {self.size[0]} × {self.size[1]}, weights "
                 f"that mean nothing, by `scripts/recipe_price.py` in {took:.0f} s.", "",
                 "| stage | measured | GPU-hours |", "|---|---|---|"]
        lines += [f"| {name} | {how} | {value:.3g} |" for name, how, value in self.rows]
        lines += [f"| **all** | the paper: {PAPER_HOURS} GPU-hours, {PAPER_HOURS / hours:.0f} times as much | **{hours:.3g}** |"]
        lines += [f"| beside it: {name} | {how} | |" for name, how in self.beside]
        return "\n".join([*lines, "", *[f"Not measured: {text}." for text in self.skipped]]).strip() + "\n"


def main():
    args = arguments()
    price = Price(args)
    if price.work.exists():
        sys.exit(f"recipe_price: {args.work}: found something, expected a folder that is not there yet")
    args.rehyat = str(pathlib.Path(args.rehyat).resolve())
    start = time.time()
    price.work.mkdir(parents=True)
    try:
        (price.work / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
        random_wan.write(price.work / "weights", args)
        for part in (price.walk, price.distill, price.finetune, price.sampling, price.prepare):
            began = time.time()
            part()
            print(f"-- {part.__name__}: {time.time() - began:.0f} s", flush=True)
    finally:
        shutil.rmtree(price.work)
    text = price.table(time.time() - start)
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(text)
    if args.json:
        price.found["gpu_hours"] = sum(row[2] for row in price.rows)
        price.found["stages"] = [{"stage": name, "gpu_hours": value} for name, _, value in price.rows]
        pathlib.Path(args.json).write_text(json.dumps(price.found, indent=1) + "\n")


if __name__ == "__main__":
    main()
