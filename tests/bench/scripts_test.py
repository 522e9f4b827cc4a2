#!/usr/bin/env python3
"""The scripts that measure: what they compute from given numbers, and a whole run of those that need no GPU, at tiny sizes.

Usage: scripts_test.py REHYAT"""
import argparse
import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
sys.dont_write_bytecode = True
import kernel_table
import precision_curves
import random_wan

REHYAT = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""
TITLES = ["ID", "Kernel Name", "Metric Name", "Metric Unit", "Metric Value"]
TIME = "gpu__time_duration.sum"


def ncu(folder, name, rows):
    path = pathlib.Path(folder) / name
    with open(path, "w", newline="") as file:
        file.write("==PROF== Connected to process 7\n")
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(TITLES)
        for i, (kernel, metric, unit, value) in enumerate(rows):
            writer.writerow([i, kernel, metric, unit, value])
    return str(path)


class RandomWan(unittest.TestCase):
    def test_names_and_shapes_are_those_of_the_published_model(self):
        sizes = argparse.Namespace(dim=1536, heads=12, ffn_dim=8960, layers=30, text_dim=4096)
        with open(ROOT / "tests/fixtures/wan_t2v_1_3B_tensors.tsv") as file:
            published = {row["diffusers"]: json.loads(row["shape"]) for row in csv.DictReader(file, delimiter="\t")}
        self.assertEqual(dict(random_wan.shapes_of(sizes)), published)

    def test_numbers_repeat_only_after_a_prime(self):
        numbers = random_wan.spread(random_wan.PERIOD + 2, 1.0, range(random_wan.PERIOD))
        self.assertEqual(len(numbers), 2 * (random_wan.PERIOD + 2))
        self.assertEqual(numbers[-4:], numbers[:4])


class KernelTable(unittest.TestCase):
    def test_kernels_go_to_their_groups(self):
        for kernel, group in [
                ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16", "softmax attention"),
                ("void cudnn::compute_dot_do_o_specialized<1, 128>(const void *)", "softmax attention"),
                ("rehyat::<unnamed>::sum_of_shares(rehyat::<unnamed>::WeightsWork)", "feature maps"),
                ("void rehyat::<unnamed>::query_gradients<256, 128>(QueryGradientArguments)", "linear branch and blend"),
                ("nvjet_tst_256x128_64x4_2x1_v_bz_TNT", "products"),
                ("void cutlass::Kernel2<cutlass_80_tensorop_bf16>", "products"),
                ("void rehyat::ops::(anonymous namespace)::forward<Softplus>(MapRows, const float *)", "feature maps"),
                ("void rehyat::ops::(anonymous namespace)::blend_rows(BlendArguments)", "linear branch and blend"),
                ("void rehyat::ops::(anonymous namespace)::norm_rope<float>(Rows)",
                 "norms, gates and activations of a block"),
                ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimizer, loss and norms"),
                ("void at::native::elementwise_kernel<128, direct_copy_kernel_cuda>", "copies and casts"),
                ("void at::native::reduce_kernel<512, 1>", "other elementwise work and sums")]:
            self.assertEqual(kernel_table.group_of(kernel), group, kernel)

    def test_names_without_their_types(self):
        self.assertEqual(kernel_table.short_name("void rehyat::<unnamed>::backward<__nv_bfloat16, F>(rehyat::MapRows, int)"),
                         "backward")
        self.assertEqual(kernel_table.short_name("rehyat::<unnamed>::fold_keys(rehyat::FoldArguments)"), "fold_keys")

    def test_units_passes_and_other_metrics(self):
        with tempfile.TemporaryDirectory() as folder:
            path = ncu(folder, "a.csv", [("nvjet_a", TIME, "us", "1,500.5"), ("nvjet_a", "dram__bytes.sum", "byte", "9"),
                                         ("nvjet_b", TIME, "ms", "2"), ("blend_rows", TIME, "ns", "1000")])
            groups = kernel_table.sums_of(path, 2)
            self.assertAlmostEqual(groups["products"][0], (1.5005 + 2) / 2)
            self.assertEqual(groups["products"][1], 1)
            self.assertAlmostEqual(groups["linear branch and blend"][0], 0.0005)
            sys.argv = ["kernel_table.py", path, "--before", path, "--passes", "2"]
            with redirect_stdout(io.StringIO()) as said:
                kernel_table.main()
            self.assertIn("| products | 1.75 | 100 % | 1 | 1.75 | `nvjet_b` 1, `nvjet_a` 0.75 |", said.getvalue())

    def test_what_is_not_of_ncu_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "x").write_text("no kernels were profiled\n")
            with self.assertRaisesRegex(SystemExit, "no line of titles"):
                kernel_table.kernels_of(pathlib.Path(folder) / "x")
            with self.assertRaisesRegex(SystemExit, "no gpu__time"):
                kernel_table.kernels_of(ncu(folder, "b.csv", [("nvjet", "dram__bytes.sum", "byte", "9")]))


class PrecisionCurves(unittest.TestCase):
    def test_smoothing_and_held_out_losses(self):
        self.assertEqual(precision_curves.smoothed([1, 3, 5, 7, 100], 2), [2, 6])
        self.assertEqual(precision_curves.line_of([0, 1, 2]), "▁▄█")
        self.assertEqual(precision_curves.held_out({"folder": "x", "validation_loss": 0.5}), ("validation_loss", 0.5))


class Runs(unittest.TestCase):
    def python(self, script, *words):
        done = subprocess.run([sys.executable, "-B", str(script), *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_the_rows_without_their_peers(self):
        with tempfile.TemporaryDirectory() as folder:
            rows, page = folder + "/rows.json", folder + "/page.md"
            small = ["--frames", "5", "--height", "32", "--width", "32", "--layers", "1", "--folder", folder]
            self.python(HERE / "peers.py", "--rehyat", REHYAT, "--quick", "--no-peers", "--only", "phi,cache", "--json", rows,
                        *small)
            found = {row["name"]: row for row in json.loads(pathlib.Path(rows).read_text())["rows"]}
            self.assertIn("the map, forward + backward", found)
            self.assertGreater(found["cache, write"]["share_of_disk"], 0)
            self.python(HERE / "peers.py", "--rehyat", REHYAT, "--quick", "--no-peers", "--only", "phi", "--before", rows,
                        "--goals", str(HERE / "goals.json"), "--out", page, *small)
            text = pathlib.Path(page).read_text()
            self.assertIn("## One feature map of one block", text)
            self.assertIn("| before | goal |", text)
            self.assertRegex(text, r"\| the map, forward \|.* \| 0.35 ms(, met)? \|")

    def test_the_price_of_a_recipe(self):
        with tempfile.TemporaryDirectory() as folder:
            out = folder + "/price.json"
            said = self.python(ROOT / "scripts/recipe_price.py", "--rehyat", REHYAT, "--device", "cpu", "--dim", "24",
                               "--heads", "2", "--ffn-dim", "48", "--layers", "4", "--text-dim", "64", "--frames", "17",
                               "--size", "32", "32", "--lengths", "9,17", "--iterations", "4", "--work", folder + "/work",
                               "--json", out)
            found = json.loads(pathlib.Path(out).read_text())
            self.assertEqual([stage["stage"] for stage in found["stages"]],
                             ["teacher walks, cache written", "distillation", "finetuning"])
            self.assertAlmostEqual(found["gpu_hours"], sum(stage["gpu_hours"] for stage in found["stages"]))
            self.assertEqual({(each["form"], each["frames"]) for each in found["sampling"]},
                             {(form, frames) for form in ("recurrent", "parallel") for frames in (9, 17)})
            self.assertIn("the paper: 160 GPU-hours", said)
            self.assertFalse(pathlib.Path(folder, "work").exists())


if __name__ == "__main__":
    unittest.main()
