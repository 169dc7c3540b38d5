"""Compares ONNX Runtime on `headstart export --onnx` with `headstart predict`, image files in, probabilities out.

    python tests/python/check_onnx.py [--headstart target/release/headstart] [BACKBONE ...]

Needs numpy, pillow, onnxruntime. The preprocess is made with Pillow from the model's own metadata, so it also shows that the metadata say
enough. Weights are random unless BACKBONE is written BACKBONE=WEIGHTS.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

LIMIT = 1e-4
BACKBONES = ["efficientnet_lite0", "squeezenet1_1", "mobilenet_v2", "resnet18", "densenet121", "dinov2_vits14", "clip_vit_b_32"]
FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def photos(folder: Path) -> None:
    """Three classes of noisy gradients, as PNG: every decoder reads the same pixels."""
    for c, name in enumerate(["ant", "bee", "cat"]):
        (folder / name).mkdir(parents=True)
        for n in range(16):
            rng = np.random.default_rng(100 * c + n)
            y, x = np.mgrid[0:240, 0:300]
            waves = np.stack([np.sin(x / (9 + 5 * c + k) + n) * np.cos(y / (7 + 3 * c + k)) for k in range(3)], -1)
            pixels = 128 + 70 * waves + rng.normal(0, 25, waves.shape)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{n:02}.png")


def preprocess(image: Image.Image, words: str) -> np.ndarray:
    """The preprocess of a model's metadata: file to tensor [3, H, W]."""
    spec = dict(item.split("=", 1) for item in words.split(","))
    image = image.convert("RGB")
    kind, _, value = spec["resize"].partition(":")
    if kind == "shorter":
        side, (w, h) = int(value), image.size
        size = (side, side * h // w) if w <= h else (side * w // h, side)
        image = image.resize(size, FILTERS[spec["interp"]])
    elif kind == "exact":
        h, w = map(int, value.split("x"))
        image = image.resize((w, h), FILTERS[spec["interp"]])
    if spec["crop"] != "none":
        side, (w, h) = int(spec["crop"]), image.size
        left, top = round((w - side) / 2), round((h - side) / 2)
        image = image.crop((left, top, left + side, top + side))
    x = np.asarray(image, np.float32)
    x = {"torch": x / 255, "unit": x / 255, "tf": x / 127.5 - 1, "caffe": x}[spec["range"]]
    if spec["order"] == "bgr":
        x = x[..., ::-1]
    mean, std = (np.array(list(map(float, spec[key].split("/"))), np.float32) for key in ("mean", "std"))
    return ((x - mean) / std).transpose(2, 0, 1)


def check(headstart: str, name: str, data: Path, work: Path, sweep: "list[str]") -> float:
    """The largest difference between two probabilities."""
    backbone, _, weights = name.partition("=")

    def run(*words: object) -> "list[dict]":
        done = subprocess.run([headstart, *map(str, words), "--json", "--quiet"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    cache = run("features", "--data", data, "--backbone", backbone, "--weights", weights or "random", "--cache", work / "cache")[-1]["cache"]
    out, file = work / f"sweep-{backbone}", work / f"{backbone}.onnx"
    run("sweep", cache, "--out", out, *sweep)
    run("export", "--model", out, "--onnx", file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes = json.loads(about["classes"])
    worst = 0.0
    for answer in run("predict", "--model", out, data, "--top", len(classes)):
        want = {c["class"]: c["probability"] for c in answer["classes"]}
        x = preprocess(Image.open(answer["path"]), about["preprocess"])
        got = session.run(["probabilities"], {"image": x[None]})[0][0]
        worst = max(worst, *(abs(float(p) - want[c]) for c, p in zip(classes, got)))
    return worst


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--headstart", default="target/release/headstart")
    arguments.add_argument("--sweep", nargs="*", default=["epochs=20"], help="settings of the sweep")
    arguments.add_argument("backbones", nargs="*", default=BACKBONES)
    a = arguments.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "photos"
        photos(data)
        for name in a.backbones:
            worst = check(a.headstart, name, data, Path(folder), a.sweep)
            print(f"{name:24} largest difference of a probability {worst:.2e}", flush=True)
            failed += [name] * (not worst <= LIMIT)
    sys.exit(f"more than {LIMIT}: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
