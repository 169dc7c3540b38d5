"""The baseline of the tutorials: heads on the pixels themselves, resized and flattened, with scikit-learn.

    python examples/raw_pixels.py data/dog-breeds [--side 64] [--max-iter 300]

Reads DIR/train/CLASS and DIR/test/CLASS; a CSV (path,label,split); or, where there are no splits, DIR/CLASS and the rows.csv of a cache that
`headstart features` made of it (--rows), so that both see the same photos. Needs numpy, pillow and scikit-learn.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier


def listed(data: Path, rows: "Path | None") -> "list[tuple[Path, str, str]]":
    """(path, label, split) of each photo."""
    if rows:
        with open(rows, encoding="utf-8", newline="") as file:
            root = data.parent if data.is_file() else data
            return [(root / r["path"], r["class"], r["split"]) for r in csv.DictReader(file) if r["status"] == "ok"]
    if data.is_file():
        with open(data, encoding="utf-8", newline="") as file:
            return [(data.parent / r["path"], r["label"], r["split"]) for r in csv.DictReader(file)]
    return [(p, p.parent.name, p.parent.parent.name) for p in sorted(data.glob("*/*/*")) if p.is_file()]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--rows", type=Path, help="rows.csv of a cache of the same photos")
    arguments.add_argument("--side", type=int, default=64)
    arguments.add_argument("--max-iter", type=int, default=300)
    a = arguments.parse_args()
    photos = listed(a.data, a.rows)
    size, labels = (a.side, a.side), sorted({label for _, label, _ in photos})
    x = np.stack([np.asarray(Image.open(p).convert("RGB").resize(size, Image.Resampling.BILINEAR), np.float32).ravel() / 255 for p, _, _ in photos])
    y, split = np.array([labels.index(label) for _, label, _ in photos]), np.array([s for _, _, s in photos])
    # What stands in test too is left out of train.
    known = {row.tobytes() for row in x[split == "test"]}
    split[[s != "test" and row.tobytes() in known for row, s in zip(x, split)]] = ""
    train = split == "train"
    mean, std = x[train].mean(0), x[train].std(0) + 1e-3
    x = (x - mean) / std
    heads = {
        "logistic regression": LogisticRegression(C=1e-3, max_iter=a.max_iter),
        "one hidden layer of 256": MLPClassifier(256, early_stopping=False, max_iter=60, random_state=0),
    }
    print(f"{x.shape[1]} values an image, {len(labels)} classes")
    for name, head in heads.items():
        start = time.perf_counter()
        head.fit(x[train], y[train])
        seconds = time.perf_counter() - start
        figures = [name]
        for part in ("train", "val", "test"):
            rows = split == part
            if rows.any():
                p = head.predict_proba(x[rows])
                figures.append(f"{part} accuracy {(p.argmax(1) == y[rows]).mean():.3f} loss {log_loss(y[rows], p, labels=range(len(labels))):.3f}")
        print(", ".join([*figures, f"{seconds:.1f} s"]))


if __name__ == "__main__":
    main()
