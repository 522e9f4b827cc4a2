#!/usr/bin/env python3
"""Every mode of `rehyat bench` beside what other programs do for the same work, in one run on one device, and a page of it.

    python tests/bench/peers.py --rehyat build/release/bin/rehyat [--quick] [--only attention,forward] [--out PAGE.md]

The peers are PyTorch's own kernels, FlexAttention under torch.compile, and diffusers 0.42 (pure Python: PYTHONPATH may name
the unpacked wheel); each runs in a process of its own (peer_work.py, vae_peers.py). A peer that is missing is a row that says
why. `--before FILE` shows the seconds of an earlier --json beside these; `--append FILE` puts other tables behind them."""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PEER_SECONDS = 240  # of one piece of work of all peers, compiling included
HYBRID = ["--attention", "rehyat", "--tc", "3", "--to", "1"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehyat", required=True, help="the program")
    parser.add_argument("--quick", action="store_true", help="one pattern of each, and nothing that compiles for a minute")
    parser.add_argument("--only", default="", help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--no-peers", action="store_true", help="only the program's own rows")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--folder", default=".", help="where the cache is written and removed again")
    parser.add_argument("--out", help="the page, Markdown (default: only the table on the terminal)")
    parser.add_argument("--json", help="also write all rows to this file")
    parser.add_argument("--before", help="an earlier --json, whose seconds stand beside these")
    parser.add_argument("--goals", help="a JSON of seconds by row, which stand beside these")
    parser.add_argument("--append", nargs="*", default=[], help="files that are put behind the tables")
    args = parser.parse_args()
    unknown = [name for name in args.only.split(",") if name and name not in SECTIONS]
    if unknown:
        parser.error(f"--only: found {unknown[0]}, expected some of {','.join(SECTIONS)}")
    return args


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


class Run:
    """One run: the rows of all sections, as they are found."""

    def __init__(self, args):
        self.args, self.rows, self.device, self.versions = args, [], "", []
        self.ceilings, self.section = {}, ""
        self.size = ["--frames", str(args.frames), "--height", str(args.height), "--width", str(args.width)]

    def add(self, name, found, peer=None, own=True):
        """`peer`: the name of the row that this one is compared with."""
        row = {"section": self.section, "name": name, "own": own, "peer": peer, **found}
        self.rows.append(row)
        base = self.seconds_of(peer)
        if "error" in row:
            print(f"{name:<48} {row['error']}", flush=True)
            return
        ratio = f"{row['seconds'] / base:8.2f}" if base else f"{'':>8}"
        floor = f"{row['to_floor']:8.2f}" if row.get("to_floor") else f"{'':>8}"
        peak = f"{row['peak_bytes'] / 1e9:8.1f}" if row.get("peak_bytes") else f"{'':>8}"
        print(f"{name:<48} {time_text(row['seconds']):>10} {ratio} {floor} {peak}", flush=True)

    def seconds_of(self, name):
        for row in self.rows:
            if row["name"] == name and row["section"] == self.section and "error" not in row:
                return row["seconds"]
        return None

    def peers(self, work):
        if self.args.no_peers:
            return
        command = [sys.executable, str(HERE / "peer_work.py"), work, *self.size, "--layers", str(self.args.layers)]
        if self.args.quick:
            command.append("--quick")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        limit = threading.Timer(PEER_SECONDS, process.kill)
        limit.start()
        for line in process.stdout:  # each row as soon as it is there
            if not line.startswith("{"):
                continue
            found = json.loads(line)
            name = found.pop("name")
            if name == "torch":
                self.device = self.device or found["device"]
                self.versions = [f"torch {found['version']}"]
            else:
                self.add(name, found, own=False)
        process.wait()
        limit.cancel()
        reader.join()
        if process.returncode != 0:
            why = f"it took over {PEER_SECONDS} s" if process.returncode < 0 else last_line(said[0])
            self.add(f"peers of {work}", {"error": why}, own=False)

    def bench(self, mode, options, names, size=True):
        """Runs a mode; `names` gives each of its rows a name and the row of a peer, or none where it is left out."""
        command = [self.args.rehyat, "bench", mode, "--json", *(self.size if size else []), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            self.add(f"bench {mode} {' '.join(options)}", {"error": last_line(done.stderr)})
            return
        result = json.loads(done.stdout)
        self.ceilings = result["ceilings"]
        for row in result["rows"]:
            named = names(row)
            if named is None:
                continue
            name, peer = named
            self.add(name, {"seconds": row["seconds_median"], "least": row["seconds_min"], "most": row["seconds_max"],
                            "command": "rehyat bench " + " ".join([mode, *options]),
                            **{key: row.get(key) for key in ("peak_bytes", "share_of_matmul", "share_of_copy", "mfu",
                                                             "to_floor", "share_of_disk", "video_seconds")}}, peer)


def attention(run):
    run.peers("attention")
    full = not run.args.quick

    def names(label, peer):
        def name(row):
            kind = "forward + backward" if row["pass"] == "forward_backward" else "forward"
            if row["attention"] == "softmax":
                return (f"rehyat, softmax, {kind}", f"full softmax, cuDNN, {kind}") if label == "(3, 1)" else None
            return f"rehyat {label}, {kind}", peer and f"{peer}, {kind}"

        return name

    for chunk, overlap in [(3, 1), (1, 1), (5, 1)] if full else [(3, 1)]:
        label = f"({chunk}, {overlap})"
        run.bench("attention", ["--tc", str(chunk), "--to", str(overlap)],
                  names(label, f"FlexAttention {label}, compiled"))
    if full:
        for label, options in [("(3, 1), row_max", ["--normalizer", "row_max"]), ("linear", ["--attention", "linear"]),
                               ("uniform R8", ["--attention", "uniform_hybrid", "--rate", "8"]),
                               ("uniform R2", ["--attention", "uniform_hybrid", "--rate", "2"])]:
            run.bench("attention", [*options, "--repeats", "3"], names(label, None))


def grid(run):
    def name(row):
        if row["pass"] != "forward_backward" or row["attention"] == "softmax":
            return None
        return f"{row['attention'].split(',causal')[0]}), forward + backward", None

    run.bench("attention", ["--grid", "--repeats", "3", "--warmup", "1"], name)


def phi(run):
    run.peers("phi")
    kinds = {"forward": "forward", "forward_backward": "forward + backward"}
    run.bench("phi", [], lambda row: (row["name"], f"torch.compile, {kinds[row['pass']]}"))


def distill(run):
    run.bench("distill", HYBRID, lambda row: ("distillation step, a block", None))


def forward(run):
    run.peers("forward")
    layers = ["--layers", str(run.args.layers)]
    peer = "diffusers, eager" if run.args.quick else "diffusers, compiled"
    count = run.args.layers
    run.bench("forward", layers, lambda row: ("forward, softmax", peer))
    run.bench("forward", [*layers, *HYBRID], lambda row: (f"forward, {count} x (3, 1)", peer))
    if not run.args.quick:
        run.bench("forward", [*layers, *HYBRID, "--form", "recurrent"],
                  lambda row: (f"forward, {count} x (3, 1), recurrent", peer))


def step(run):
    run.peers("step")
    layers, half = ["--layers", str(run.args.layers)], str((run.args.layers + 1) // 2)
    peer = "diffusers, step with AdamW"
    cases = [(f"step, {half} x (3, 1), within 75 GB", ["--converted", half, "--memory", "75GB"])]
    if not run.args.quick:
        cases += [(f"step, {half} x (3, 1), within 45 GB", ["--converted", half, "--memory", "45GB"]),
                  (f"step, {half} x (3, 1), within 23 GB", ["--converted", half, "--memory", "23GB", "--offload"]),
                  (f"step, {run.args.layers} x (3, 1), within 75 GB", ["--memory", "75GB"])]
    for label, options in cases:
        run.bench("step", [*layers, *HYBRID, *options, "--repeats", "1" if run.args.quick else "2"],
                  lambda row, label=label: (label if row["name"] == "step" else f"{label}: {row['name']}",
                                            peer if row["name"] == "step" else None))


def recurrent(run):
    lengths = "81,161" if run.args.quick else "81,161,321,641"
    for form in ("recurrent",) if run.args.quick else ("recurrent", "parallel"):
        run.bench("recurrent", ["--layers", str(run.args.layers), *HYBRID, "--form", form, "--lengths", lengths,
                                "--steps", "1"],
                  lambda row, form=form: (f"{form}, {row['name']}", None))


def cache(run):
    run.bench("cache", ["--layers", "4", "--points", "2", "--precision", "bf16", "--folder", run.args.folder,
                        "--repeats", "1" if run.args.quick else "3"],
              lambda row: (f"cache, {row['name']}", None))


def vae(run):
    program = pathlib.Path(run.args.rehyat).resolve().parent / "bench_vae"
    if not program.exists():
        run.add("bench_vae", {"error": f"found no {program}, expected the benchmark; build the target benchmarks"})
        return
    found = HERE / "vae_peers.py"
    file = pathlib.Path(run.args.json or run.args.out or "peers.json").with_suffix(".vae.json")
    command = [sys.executable, str(found), "--bench", str(program), *run.size, "--passes", "1" if run.args.quick else "3",
               "--rows", "bf16", *([] if run.args.quick else ["tf32"]), "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not file.exists():
        run.add("vae_peers.py", {"error": last_line(done.stderr)})
        return
    for name, row in json.loads(file.read_text())["rows"].items():
        own = name.startswith("rehyat")
        run.add(name, row, name.replace("rehyat", "diffusers") if own else None, own)
    file.unlink()


SECTIONS = {"attention": attention, "grid": grid, "phi": phi, "distill": distill, "forward": forward, "step": step,
            "recurrent": recurrent, "cache": cache, "vae": vae}
NOT_QUICK = ("grid",)
TITLES = {"attention": "The attention of one block, both feature maps included",
          "grid": "Twenty pairs of chunk and overlap", "phi": "One feature map of one block",
          "distill": "Distillation", "forward": "A forward pass", "step": "A finetuning step, batch 1",
          "recurrent": "Sampling, one denoising step with two branches of guidance, by the number of frames",
          "cache": "The cache of activations and the disk", "vae": "The video VAE, 81 frames"}


def time_text(seconds):
    if seconds is None:
        return "–"
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.1 else f"{seconds:.3g} s"


def share_text(value):
    return f"{100 * value:.0f} %" if value else ""


def card():
    """The GPU's name where the driver's tool tells it."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


def command_of(args):
    """The command without the places of this machine."""
    words = ["python3 tests/bench/peers.py --rehyat build/release/bin/rehyat"]
    words += [f"--{name.replace('_', '-')}" for name in ("quick", "no_peers") if getattr(args, name)]
    words += [f"--{name} {value}" for name, value, usual in (
        ("only", args.only, ""), ("frames", args.frames, 81), ("height", args.height, 480), ("width", args.width, 832),
        ("layers", args.layers, 30)) if value != usual]
    return " ".join(words)


def git_revision():
    try:
        done = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def table(rows, before, goals):
    columns = ["", "time", "least to most", "to the peer", "to floor", "of matmul", "of copy", "MFU", "peak"]
    extra = [name for name, there in (("before", before), ("goal", goals)) if there]
    lines = ["| " + " | ".join([*columns, *extra]) + " |", "|" + "---|" * (len(columns) + len(extra))]
    base = {row["name"]: row["seconds"] for row in rows if "error" not in row}
    for row in rows:
        name = row["name"] if row["own"] else f"*{row['name']}*"
        if "error" in row:
            lines.append(f"| {name} | {row['error']} |" + " |" * (len(columns) + len(extra) - 2))
            continue
        ratio = f"{row['seconds'] / base[row['peer']]:.2f}" if row.get("peer") in base else ""
        floor = f"{row['to_floor']:.2f}" if row.get("to_floor") else ""
        peak = f"{row['peak_bytes'] / 1e9:.1f} GB" if row.get("peak_bytes") else ""
        cells = [name, time_text(row["seconds"]), f"{time_text(row['least'])} to {time_text(row['most'])}", ratio, floor,
                 share_text(row.get("share_of_matmul")), share_text(row.get("share_of_copy")), share_text(row.get("mfu")),
                 peak]
        if before:
            cells.append(time_text(before.get((row["section"], row["name"]))))
        if goals:
            goal = goals.get(row["name"])
            cells.append(f"{time_text(goal)}{', met' if row['seconds'] <= goal else ''}" if goal else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page(run, seconds, command):
    args = run.args
    before = {}
    if args.before:
        for row in json.loads(pathlib.Path(args.before).read_text())["rows"]:
            before[row["section"], row["name"]] = row.get("seconds")
    goals = json.loads(pathlib.Path(args.goals).read_text()) if args.goals else {}
    date = datetime.date.today().isoformat()
    revision = git_revision()
    lines = [f"# Speed beside other programs, {run.device or 'this machine'}, {date}", "",
             f"{', '.join([run.device or 'CPU', *run.versions])}{f'; program of commit {revision}' if revision else ''}. "
             f"Wan2.1 1.3B's sizes with arbitrary weights: {args.frames} frames of {args.height} × {args.width}, "
             f"{args.layers} blocks. Rows in italics are peers; a ratio below 1 is faster than the peer, and "
             f"docs/benchmarks.md says how each number is made. The run took {seconds:.0f} s:", "",
             f"    {command}", ""]
    if run.ceilings:
        lines += [f"Ceilings of the last row's run: {run.ceilings['tflop_per_s']:.0f} TFLOP/s of products, "
                  f"{run.ceilings['bytes_per_s'] / 1e12:.2f} TB/s copied.", ""]
    for section in dict.fromkeys(row["section"] for row in run.rows):
        rows = [row for row in run.rows if row["section"] == section]
        lines += [f"## {TITLES[section]}", "", *table(rows, before, goals), ""]
    for file in args.append:
        lines += [pathlib.Path(file).read_text().strip(), ""]
    return "\n".join(lines)


def main():
    args = arguments()
    run = Run(args)
    wanted = [name for name in args.only.split(",") if name] or [
        name for name in SECTIONS if not (args.quick and name in NOT_QUICK)]
    start = time.time()
    print(f"{'':<48} {'time':>10} {'to peer':>8} {'to floor':>8} {'peak GB':>8}")
    for name in SECTIONS:
        if name in wanted:
            run.section = name
            began = time.time()
            SECTIONS[name](run)
            print(f"-- {name}: {time.time() - began:.0f} s", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(
            {"device": run.device, "versions": run.versions, "ceilings": run.ceilings, "rows": run.rows}, indent=1) + "\n")
    if args.out:
        run.device = run.device or card()
        pathlib.Path(args.out).write_text(page(run, time.time() - start, command_of(args)))
    if not any(row["own"] and "error" not in row for row in run.rows):
        sys.exit("peers: not one row of the program itself was measured")


if __name__ == "__main__":
    main()
