"""Compares ONNX Runtime on `headstart export --onnx` with `headstart predict`, image files in, probabilities out.

    python tests/python/check_onnx.py [--headstart target/release/headstart] [BACKBONE ...]

Needs numpy, pillow, onnxruntime. The preprocess is made with Pillow from the model's own metadata, so it also shows that the metadata say
enough. Weights are random unless BACKBONE is written BACKBONE=WEIGHTS. The heads standardise their features, so that what differs between
images counts even where random weights leave little of it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

LIMIT = 1e-4
# Answers that hardly differ from image to image would show nothing.
SPREAD = 0.01
BACKBONES = [
    *["efficientnet_lite0", "efficientnet_b0", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "googlenet", "inception_v3"],
    *["resnet18", "resnet50", "densenet121", "vgg16", "convnext_tiny", "xception", "vit_b_16", "dinov2_vits14", "clip_vit_b_32"],
]
# Seeds under which squeeze-excite neither dies out nor explodes in float32 (tests/goldens/make_backbones.py has more).
SEEDS = {"efficientnet_b0": 5, "mobilenet_v3_large": 3}
FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def photos(folder: Path) -> None:
    """Noisy waves of many colours and contrasts, as PNG: every decoder reads the same pixels. A class has a colour that prevails, but every fourth
    photo lies in a wrong folder: no head can be sure."""
    names = ["ant", "bee", "cat"]
    for name in names:
        (folder / name).mkdir(parents=True)
    for c in range(3):
        for n in range(16):
            name = names[(c + (n % 4 == 0)) % 3]
            rng = np.random.default_rng(100 * c + n)
            y, x = np.mgrid[0:240, 0:300]
            waves = np.stack([np.sin(x / (9 + 5 * c + k) + n) * np.cos(y / (7 + 3 * c + k)) for k in range(3)], -1)
            colour, contrast, noise = rng.uniform(20, 120, 3), rng.uniform(10, 120), rng.uniform(0, 40)
            colour[c] += 120
            pixels = colour + contrast * waves + rng.normal(0, noise, waves.shape)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{c}{n:02}.png")


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


def check(headstart: str, name: str, data: Path, work: Path, sweep: "list[str]") -> "tuple[float, float]":
    """The largest difference between two probabilities, and how far those of one class lie apart over the images."""
    backbone, _, weights = name.partition("=")

    def run(*words: object) -> "list[dict]":
        done = subprocess.run([headstart, *map(str, words), "--json", "--quiet"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    weights = weights or f"random:{SEEDS.get(backbone, 0)}"
    cache = run("features", "--data", data, "--backbone", backbone, "--weights", weights, "--cache", work / "cache")[-1]["cache"]
    out, file = work / f"sweep-{backbone}", work / f"{backbone}.onnx"
    run("sweep", cache, "--out", out, *sweep)
    run("export", "--model", out, "--onnx", file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes = json.loads(about["classes"])
    worst, seen = 0.0, []
    for answer in run("predict", "--model", out, data, "--top", len(classes)):
        want = {c["class"]: c["probability"] for c in answer["classes"]}
        photo = Image.open(answer["path"])
        x = preprocess(ImageOps.exif_transpose(photo) if about["orientation"] == "exif" else photo, about["preprocess"])
        got = session.run(["probabilities"], {"image": x[None]})[0][0]
        worst = max(worst, *(abs(float(p) - want[c]) for c, p in zip(classes, got)))
        seen.append(got)
    return worst, float(np.ptp(seen, axis=0).max())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--headstart", default="target/release/headstart")
    arguments.add_argument("--sweep", nargs="*", default=["head=linear", "standardise=true", "lr=0.001", "epochs=10", "dropout=0", "folds=4"], help="settings of the sweep")
    arguments.add_argument("backbones", nargs="*", default=BACKBONES)
    a = arguments.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "photos"
        photos(data)
        for name in a.backbones:
            worst, spread = check(a.headstart, name, data, Path(folder), a.sweep)
            print(f"{name:24} largest difference of a probability {worst:.2e}, of one between images {spread:.2f}", flush=True)
            failed += [name] * (not (worst <= LIMIT and spread >= SPREAD))
    sys.exit(f"more than {LIMIT}, or nothing to compare: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
