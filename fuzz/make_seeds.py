#!/usr/bin/env python3
"""Writes fuzz/seeds anew: `fuzz/make_seeds.py target/release/headstart`. Needs Python's standard library alone."""

import io
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
GOLDENS = HERE.parent / "tests/goldens"
SEEDS = HERE / "seeds"
ZEROS = "0" * 64


def photo(path, seed):
    """A PNG of noise, 12×10."""
    draw = random.Random(seed)
    width, height = 12, 10
    raw = b"".join(b"\0" + draw.randbytes(3 * width) for _ in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def write(name, content):
    path = SEEDS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def parts(file):
    """Header (as JSON) and data of a safetensors file."""
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def weights():
    """The pickles inside zips, a `.keras`, a safetensors; run.sh adds the goldens."""
    for name in ["checkpoint", "no_tensors"]:
        with zipfile.ZipFile(GOLDENS / f"weights/{name}.pth") as archive:
            pickle = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            write(f"pickle/{name}.pkl", archive.read(pickle))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [("config.json", b"{}"), ("model.weights.h5", (GOLDENS / "weights/layouts.h5").read_bytes())]:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    write("zip_weights/layouts.keras", packed.getvalue())
    header = json.dumps({"a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}, "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]}})
    write("safetensors/weights.safetensors", struct.pack("<Q", len(header)) + header.encode() + bytes(16))


def caches_and_heads(headstart):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run = lambda *words: subprocess.run([headstart, *words], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        splits = {"train": 3, "val": 1, "test": 1}
        for seed, (split, label, n) in enumerate((s, c, n) for s, count in splits.items() for c in ["cats", "dogs"] for n in range(count)):
            photo(folder / f"photos/{split}/{label}/{n}.png", seed)
        features = ["features", "--data", "photos", "--weights", "random:1", "--size", "32", "--store", "f16"]
        cache = run(*features, "--backbone", "squeezenet1_1", "--tap", "gap")
        write("manifest/photos.json", (folder / cache / "manifest.json").read_bytes())
        write("rows/photos.csv", (folder / cache / "rows.csv").read_bytes())
        (shard,) = (folder / cache / "features/gap").iterdir()
        write("safetensors/shard.safetensors", shard.read_bytes())

        # A base of one convolution, so that a bundle is small; heads on another tap, which has fewer values.
        cache = run(*features, "--backbone", "shufflenet_v2_x0_5", "--tap", "conv1", "--tap", "stage4.0")
        sweep(run, folder, cache, "linear", ["head=gap", "tap=conv1"])
        sweep(run, folder, cache, "dense", ["head=dense", "tap=stage4.0", "hidden=3", "batch_norm=true", "standardise=true"])
        sweep(run, folder, cache, "knn", ["head=knn", "tap=stage4.0", "k=2"])
        run("export", "--model", "linear", "--bundle", "bundle")
        header, data = parts(folder / "bundle")
        contents = json.loads(header.pop("__metadata__")["headstart"])
        contents["sha256"] = ZEROS
        write("bundle/linear.json", json.dumps(contents))
        header = json.dumps(header)
        write("heads/bundle.safetensors", struct.pack("<Q", len(header)) + header.encode() + data)


def sweep(run, folder, cache, head, settings):
    (folder / "sweep.yaml").write_text("method: grid\nparameters:\n  epochs: {value: 1}\n" + "".join(f"  {k}: {{value: {v}}}\n" for k, v in (s.split("=") for s in settings)))
    run("sweep", cache, "--config", "sweep.yaml", "--out", head)
    model = json.loads((folder / head / "best/model.json").read_bytes())
    # The file's own digest would stop every mutation.
    del model["model_sha256"]
    write(f"model/{head}.json", json.dumps(model, indent=2))
    write(f"heads/{head}.safetensors", (folder / head / "best/head.safetensors").read_bytes())


def texts():
    write("table/splits.csv", 'path,label,split\na.jpg,cats,train\n"b, c.jpg",dogs|cats,val\r\nd.jpg, dogs ,test\n')
    write("table/groups.csv", "path;label;group;split\na.png;1|2;x;\nb.png;2;x;\nc.png;1;y;\n")
    write("table/plain.csv", "label,ignored,path\n1,x,a.png\n2,y,b.png\n")


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    weights()
    caches_and_heads(str(pathlib.Path(sys.argv[1]).resolve()))
    texts()
