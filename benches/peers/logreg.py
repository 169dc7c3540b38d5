#!/usr/bin/env python3
"""Logistic regression over ten strengths, headstart against scikit-learn: the same f32 features, the same tolerance, two threads, in turns.

usage: cargo build --release --locked --example logreg_path
       logreg.py [--repeat 3] >> ../runs/logreg.jsonl        (needs numpy and scikit-learn)

scikit-learn warm-starts each strength from the one before, as `LogisticRegressionCV` does: its fastest way.
The features are made like those behind a ReLU: class means and noise in a subspace, with a spectrum that falls off as real features' does.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

THREADS = "2"
os.environ |= {"OMP_NUM_THREADS": THREADS, "OPENBLAS_NUM_THREADS": THREADS, "RAYON_NUM_THREADS": THREADS}

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

ROWS, TRAIN, DIM, CLASSES, RANK = 8350, 6680, 2048, 133, 512
STRENGTHS = [10.0**e for e in range(-4, 6)]
BINARY = pathlib.Path(__file__).parents[2] / "target/release/examples/logreg_path"


def data():
    random = numpy.random.default_rng(0)
    label = random.integers(0, CLASSES, ROWS)
    scale = numpy.arange(1, RANK + 1) ** -0.6
    hidden = (random.normal(size=(ROWS, RANK)) + 0.9 * random.normal(size=(CLASSES, RANK))[label]) * scale
    x = hidden @ random.normal(size=(RANK, DIM)) * 0.25 + 0.15 * random.normal(size=(ROWS, DIM))
    return numpy.maximum(x, 0).astype(numpy.float32), label.astype(numpy.uint32)


def ours(folder):
    words = [BINARY, f"{folder}/x.f32", f"{folder}/y.u32", ROWS, TRAIN, DIM, CLASSES, ",".join(map(repr, STRENGTHS))]
    out = json.loads(subprocess.run([str(w) for w in words], check=True, capture_output=True).stdout)
    return out["seconds"], out["strengths"]


def theirs(x, y):
    model = LogisticRegression(tol=1e-4, max_iter=100_000, warm_start=True)
    start, found = time.perf_counter(), []
    for c in STRENGTHS:
        model.set_params(C=c).fit(x[:TRAIN], y[:TRAIN])
        found.append((c, time.perf_counter() - start, int(model.n_iter_[0]), model.coef_.copy(), model.intercept_.copy()))
    seconds = time.perf_counter() - start
    judged = []
    for c, until, steps, w, b in found:
        z = (x[TRAIN:] @ w.T + b).astype(float)
        p = numpy.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        judged.append({"C": c, "until": until, "steps": steps, "acc1": float((p.argmax(1) == y[TRAIN:]).mean()),
                       "loss": float(log_loss(y[TRAIN:], p, labels=range(CLASSES)))})
    return seconds, judged


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--strengths", type=int, default=len(STRENGTHS), help="only the first so many")
    arguments = parser.parse_args()
    del STRENGTHS[arguments.strengths:]
    x, y = data()
    with tempfile.TemporaryDirectory() as folder:
        x.tofile(f"{folder}/x.f32")
        y.tofile(f"{folder}/y.u32")
        times = {"headstart": [], "scikit-learn": []}
        for _ in range(arguments.repeat):
            seconds, mine = ours(folder)
            times["headstart"].append(seconds)
            seconds, other = theirs(x, y)
            times["scikit-learn"].append(seconds)
    median = {name: statistics.median(values) for name, values in times.items()}
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    print(json.dumps({
        "what": f"logistic regression, {len(STRENGTHS)} strengths, {TRAIN} x {DIM} x {CLASSES}, f32, tol 1e-4",
        "date": datetime.date.today().isoformat(), "cpu": cpu, "threads": int(THREADS), "scikit-learn": sklearn.__version__,
        "seconds": times, "median": median, "ratio": median["scikit-learn"] / median["headstart"],
        "headstart": mine, "scikit-learn's": other,
    }))


if __name__ == "__main__":
    main()
