#!/usr/bin/env python3
"""Writes tests/fixtures/attention/*.safetensors: hybrid attention evaluated literally (Eqs. 5-9 of the paper), one query
and one key at a time in Python's double precision, with gradients by complex steps: f'(x) = Im f(x + ih) / h, where
nothing is subtracted, so that they are as exact as f. Needs nothing but Python, and shares nothing with the C++ code that
it judges."""
import cmath
import json
import math
import random
import struct
import sys
from pathlib import Path

HEADS, WIDTH, FEATURES, TOKENS_PER_SLICE = 2, 3, 4, 2
STEP = 1e-30

CASES = {
    "rehyat_joint": dict(slices=7, kind="rehyat", tc=3, to=1, causal="true", normalizer="joint", rate=2),
    "rehyat_joint_long_overlap": dict(slices=7, kind="rehyat", tc=2, to=3, causal="true", normalizer="joint", rate=2),
    "rehyat_row_max": dict(slices=5, kind="rehyat", tc=2, to=0, causal="true", normalizer="row_max", rate=2),
    "rehyat_lse_noncausal": dict(slices=5, kind="rehyat", tc=2, to=1, causal="false", normalizer="lse", rate=2),
    "uniform_hybrid": dict(slices=5, kind="uniform_hybrid", tc=3, to=1, causal="true", normalizer="joint", rate=3),
    "linear": dict(slices=4, kind="linear", tc=3, to=1, causal="true", normalizer="joint", rate=2),
    "softmax": dict(slices=3, kind="softmax"),
    "rehyat_lse_negative": dict(slices=7, kind="rehyat", tc=2, to=1, causal="true", normalizer="lse", rate=2),
    "rehyat_row_max_negative": dict(slices=7, kind="rehyat", tc=3, to=1, causal="true", normalizer="row_max", rate=2),
    "rehyat_joint_extreme": dict(slices=7, kind="rehyat", tc=3, to=1, causal="true", normalizer="joint", rate=2),
    "rehyat_row_max_extreme": dict(slices=5, kind="rehyat", tc=2, to=1, causal="true", normalizer="row_max", rate=2),
    "rehyat_joint_float32": dict(slices=7, kind="rehyat", tc=3, to=1, causal="true", normalizer="joint", rate=2),
    "rehyat_lse_extreme_float32": dict(slices=5, kind="rehyat", tc=2, to=1, causal="true", normalizer="lse", rate=2),
}


def key_sets(i, case):
    """Softmax keys and linear keys of query i."""
    tokens = range(case["slices"] * TOKENS_PER_SLICE)
    if case["kind"] == "linear":
        return [], list(tokens)
    if case["kind"] == "softmax":
        return list(tokens), []
    if case["kind"] == "uniform_hybrid":
        return [j for j in tokens if j % case["rate"] == 0], [j for j in tokens if j % case["rate"] != 0]
    chunk = i // TOKENS_PER_SLICE // case["tc"]
    first = max(chunk * case["tc"] - case["to"], 0) * TOKENS_PER_SLICE
    last = min((chunk + 1) * case["tc"], case["slices"]) * TOKENS_PER_SLICE
    near = [j for j in tokens if first <= j < last]
    far = [j for j in tokens if j < first or (case["causal"] == "false" and j >= last)]
    return near, far


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def attention(x, case, frozen):
    """y as nested lists [head][token][width]; `frozen` keeps the c of row_max between calls."""
    out = []
    for head in range(HEADS):
        q, k, v, phi_q, phi_k = (x[name][head] for name in ("q", "k", "v", "phi_q", "phi_k"))
        rows = []
        for i in range(len(q)):
            near, far = key_sets(i, case)
            scores = [dot(q[i], k[j]) / math.sqrt(WIDTH) for j in near]
            linear = [dot(phi_q[i], phi_k[j]) for j in far]
            c = 0.0
            if near and case.get("normalizer") == "lse":
                c = cmath.log(sum(cmath.exp(s) for s in scores))
            elif near and case.get("normalizer") == "row_max":
                c = frozen.setdefault((head, i), max(s.real for s in scores))
            weights = [cmath.exp(s - c) for s in scores] + linear
            total = sum(weights)
            rows.append([sum(w * v[j][d] for w, j in zip(weights, near + far)) / total for d in range(WIDTH)])
        out.append(rows)
    return out


def loss(x, case, frozen):
    y = attention(x, case, frozen)
    return sum(dot(y[h][i], x["dy"][h][i]) for h in range(HEADS) for i in range(len(y[h])))


def gradients(x, case, frozen):
    out = {}
    for name in ("q", "k", "v", "phi_q", "phi_k"):
        out["d" + name] = [[[0.0] * len(row) for row in head] for head in x[name]]
        for h, head in enumerate(x[name]):
            for row in range(len(head)):
                for d in range(len(head[row])):
                    kept = head[row][d]
                    head[row][d] = complex(kept, STEP)
                    out["d" + name][h][row][d] = loss(x, case, frozen).imag / STEP
                    head[row][d] = kept
    return out


def to_logits_of(x, size):
    """Scales q so that the largest score is `size`."""
    largest = max(abs(dot(q, k)) / math.sqrt(WIDTH) for h in range(HEADS) for q in x["q"][h] for k in x["k"][h])
    x["q"] = [[[value * size / largest for value in row] for row in head] for head in x["q"]]


def in_float32(value):
    return [[[struct.unpack("<f", struct.pack("<f", number))[0] for number in row] for row in head] for head in value]


def write(path, tensors, metadata, code):
    header, data = {"__metadata__": metadata}, b""
    for name, value in tensors.items():
        flat = [number for head in value for row in head for number in row]
        raw = struct.pack(f"<{len(flat)}{code}", *flat)
        shape = [1, len(value), len(value[0]), len(value[0][0])]
        header[name] = {"dtype": {"d": "F64", "f": "F32"}[code], "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/fixtures/attention")
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        draw = random.Random(name)
        tokens = case["slices"] * TOKENS_PER_SLICE

        def normal(width):
            return [[[draw.gauss(0, 1) for _ in range(width)] for _ in range(tokens)] for _ in range(HEADS)]

        def positive(width):
            return [[[draw.uniform(0.05, 1) for _ in range(width)] for _ in range(tokens)] for _ in range(HEADS)]

        x = {"q": normal(WIDTH), "k": normal(WIDTH), "v": normal(WIDTH), "phi_q": positive(FEATURES), "phi_k": positive(FEATURES), "dy": normal(WIDTH)}
        if "extreme" in name:
            to_logits_of(x, 100)
        if "negative" in name:  # denominators far below 0
            x["phi_q"] = [[[-1.5 * value for value in row] for row in head] for head in x["phi_q"]]
        if "float32" in name:
            x = {key: in_float32(value) for key, value in x.items()}
        frozen = {}
        y = [[[value.real for value in row] for row in head] for head in attention(x, case, frozen)]
        tensors = dict(x, y=y)
        tensors.update(gradients(x, case, frozen))
        if case["kind"] == "softmax":
            tensors = {key: value for key, value in tensors.items() if "phi" not in key}
        code = "f" if "float32" in name else "d"
        write(folder / f"{name}.safetensors", tensors, {key: str(value) for key, value in case.items()}, code)
        print(folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
