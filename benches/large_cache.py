#!/usr/bin/env python3
"""A sweep over a cache larger than memory: makes the cache, sweeps it in a control group with a limit, prints time, memory and bytes read.

usage: large_cache.py FOLDER --headstart BIN [--rows 1310720] [--dim 4096] [--memory 2G] [key=value …]
The cache (21.5 GB of f32 as it stands: random numbers and class means, no holes) stays in FOLDER for the next run. Needs numpy, Linux, and the
right to make a control group of the memory controller: its limit counts the page cache too, so no more of the cache than that is ever in memory.
"""
import argparse
import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy

CLASSES, SHARD = 133, 1024
SETTINGS = ["head=linear", "lr=0.001,0.003,0.01,0.03", "optimizer=sgd", "momentum=0.9", "batch_size=256", "epochs=2"]
KEY = {"augment": "none", "backbone": "made_up", "compute": "f32", "decoder": "none", "device": "none", "engine": "native", "graph": "",
       "numerics": 1, "orientation": "as-stored", "preprocess": "none", "resizer": "none", "seed": 0, "store": "f32", "weights": ""}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def make(folder, rows, dim):
    """A cache as docs/cache-format.md describes it; manifest.json last, as the sign that all is there."""
    key = digest(json.dumps(KEY, sort_keys=True, separators=(",", ":")).encode())
    cache = folder / "large" / f"made_up@{key[:12]}"
    if (cache / "manifest.json").exists():
        return cache
    tap = cache / "features/gap"
    tap.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(0)
    label = random.integers(0, CLASSES, rows)
    means = random.standard_normal((CLASSES, dim), numpy.float32) * 0.04
    shards = []
    for first in range(0, rows, SHARD):
        n = min(SHARD, rows - first)
        features = random.standard_normal((n, dim), numpy.float32) + means[label[first : first + n]]
        file = f"features/gap/v0-{first:05}.safetensors"
        size = write_shard(cache / file, key, numpy.arange(first, first + n, dtype="<i8"), numpy.maximum(features, 0))
        shards.append({"tap": "gap", "view": 0, "file": file, "rows": [[first, first + n]], **size})
    with open(cache / "rows.csv", "w", encoding="utf-8", newline="") as out:
        out.write("row,path,class,label,split,sha256,status\n")
        split = numpy.where(random.random(rows) < 0.9, "train", "val")
        out.writelines(f"{i},{i}.jpg,{y:03},{y},{s},{i:064x},ok\n" for i, (y, s) in enumerate(zip(label, split)))
    manifest = {"format": 2, "key_digest": key, "key": KEY, "weights": "random:0", "dataset": "large", "classes": [f"{c:03}" for c in range(CLASSES)],
                "next_row": rows, "taps": {"gap": {"shape": [dim], "dtype": "f32"}}, "shards": shards, "failed": []}
    (cache / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return cache


def write_shard(path, key, rows, features):
    tensors = {"rows": ("I64", rows), "features": ("F32", features)}
    header, end = {"__metadata__": {"headstart": json.dumps({"format": 2, "key": key, "tap": "gap", "view": 0, "together": [["gap", 0]], "failed": []})}}, 0
    for name, (kind, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join([len(text).to_bytes(8, "little"), text, rows.tobytes(), features.tobytes()])
    path.write_bytes(data)
    return {"bytes": len(data), "sha256": digest(data)}


def forget(cache):
    """Drops the cache's files from the page cache: what is there already would count for nobody's group."""
    os.sync()
    for path in cache.rglob("*.safetensors"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Group:
    """A control group of the memory controller, of the first or the second version."""

    def __init__(self, limit):
        old = pathlib.Path("/sys/fs/cgroup/memory")
        self.path = (old if old.is_dir() else pathlib.Path("/sys/fs/cgroup")) / f"headstart-{os.getpid()}"
        self.peak = self.path / ("memory.max_usage_in_bytes" if old.is_dir() else "memory.peak")
        self.path.mkdir()
        try:
            (self.path / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(limit)
        except OSError:
            self.path.rmdir()
            raise

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("settings", nargs="*", default=SETTINGS)
    parser.add_argument("--headstart", required=True)
    parser.add_argument("--rows", type=int, default=1_310_720)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--memory", default="2G")
    a = parser.parse_intermixed_args()
    cache = make(a.folder, a.rows, a.dim)
    forget(cache)
    stored = sum(f.stat().st_blocks * 512 for f in cache.rglob("*.safetensors"))
    group = Group(a.memory)
    try:
        with tempfile.TemporaryDirectory(dir=a.folder) as out:
            start = time.perf_counter()
            subprocess.run([a.headstart, "sweep", cache, "--out", f"{out}/sweep", *a.settings], check=True, preexec_fn=group.enter, stdout=sys.stderr)
            wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"sweep: {' '.join(a.settings)}")
        print(f"cache on disk {stored / 1e9:.1f} GB; limit {a.memory}, page cache included; most of it in use {int(group.peak.read_text()) / 2**30:.2f} GiB")
        print(f"wall {wall:.0f} s, own {used.ru_utime:.0f} s, system's {used.ru_stime:.0f} s; most resident {used.ru_maxrss / 2**20:.2f} GiB; "
              f"read {used.ru_inblock * 512 / 1e9:.1f} GB")
    finally:
        group.path.rmdir()


if __name__ == "__main__":
    main()
