#!/usr/bin/env python3
"""Alters a safetensors file: fixtures.py IN OUT CHANGE...

set:KEY=VALUE unset:KEY (metadata), drop:T rename:T=U copy:T=U cast:T=F32 shorten:T nan:T fill:T=VALUE (tensors; T may be
* for fill and cast).
"""
import json
import struct
import sys

FORMATS = {"F64": "d", "F32": "f"}


def read(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        data = raw[8 + size + begin:8 + size + end]
        form = FORMATS[info["dtype"]]
        tensors[name] = [info["dtype"], info["shape"], list(struct.unpack(f"<{len(data) // struct.calcsize(form)}{form}", data))]
    return metadata, tensors


def write(path, metadata, tensors):
    header, data = {"__metadata__": metadata}, b""
    for name, (dtype, shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


def main():
    metadata, tensors = read(sys.argv[1])
    for change in sys.argv[3:]:
        action, _, rest = change.partition(":")
        name, _, value = rest.partition("=")
        chosen = list(tensors) if name == "*" else [name]
        if action == "set":
            metadata[name] = value
        elif action == "unset":
            del metadata[name]
        elif action == "drop":
            del tensors[name]
        elif action == "rename":
            tensors[value] = tensors.pop(name)
        elif action == "copy":
            tensors[value] = tensors[name]
        elif action == "cast":
            for t in chosen:
                tensors[t][0] = value
        elif action == "fill":
            for t in chosen:
                tensors[t][2] = [float(value)] * len(tensors[t][2])
        elif action == "nan":
            tensors[name][2][0] = float("nan")
        elif action == "shorten":
            dtype, shape, values = tensors[name]
            rows = shape[-1]
            tensors[name] = [dtype, shape[:-1] + [rows - 1], [v for i, v in enumerate(values) if i % rows != rows - 1]]
        else:
            sys.exit("unknown change " + change)
    write(sys.argv[2], metadata, tensors)


main()
