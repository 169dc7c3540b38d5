#!/usr/bin/env python3
"""headstart's speed-up beside the tutorial's own way in Keras and PyTorch: the same photos, the same head, one after the other.

usage: speedup_compare.py DATA --headstart BINARY [--epochs 30] [--loop-epochs 2] [--peers keras,torch] [--runs FILE.jsonl]
       speedup_compare.py DATA --headstart BINARY --real BACKBONE,… [--runs FILE.jsonl]
DATA/{train,val}/CLASS/* with two classes. VGG16 with random weights at 150×150, flattened 4×4×512 → Dense 256 → Dropout 0.5 → sigmoid,
RMSprop 2e-5, batches of 20; or with --real, headstart alone on pooled features of networks with their real weights, at their own size.
Prints a table; raw results go to --runs, one JSON object a line.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What ImageDataGenerator does: a plain nearest-neighbour resize, values divided by 255.
PREPROCESS = "resize=exact:150x150,crop=none,interp=nearest,range=unit"
HEAD = ["hidden=256", "dropout=0.5", "loss=sigmoid", "init=xavier", "optimizer=rmsprop", "preset=keras", "lr=2e-5", "batch_size=20"]


def machine():
    try:
        cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def run(command):
    print("$", *command, file=sys.stderr, flush=True)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def headstart(a, backbone, words):
    with tempfile.TemporaryDirectory() as folder:
        shared = ["--json", "--data", a.data, "--name", "photos", "--out", pathlib.Path(folder) / "speedup", "--backbone", backbone]
        [found] = run([a.headstart, "speedup", *shared, *words, f"epochs={a.epochs}", *HEAD])
    for way in ("cached", "in_loop"):
        leg = found[way]
        run_of = {"epochs": found["epochs"], "epochs_run": len(leg["epochs"]), "scaled": leg["scaled"], "val_acc1": leg["epochs"][-1]["acc1"]}
        times = {key: leg[key] for key in ("start", "extract", "open", "seconds_an_epoch", "seconds_measured", "seconds") if key in leg}
        yield {"engine": "headstart", "way": way, "backbone": backbone, **run_of, **times, **({"result": found} if way == "cached" else {})}


def classic(a):
    yield from headstart(a, "vgg16", ["--weights", "random", "--preprocess", PREPROCESS, "--tap", "flat", "--batch", 20])
    for peer in filter(None, a.peers.split(",")):
        loop = ["--loop-epochs", a.loop_epochs, "--loop-part", a.loop_part]
        yield from run([sys.executable, HERE / f"speedup_{peer}.py", a.data, "--epochs", a.epochs, *loop])


def words(seconds):
    return f"{seconds / 3600:.2f} h" if seconds >= 5400 else f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.1f} s"


def table(lines):
    best = next(line["seconds"] for line in lines if (line["engine"], line["way"]) == ("headstart", "cached"))
    print(f"{'':34} {'before':>10} {'an epoch':>10} {'in all':>10} {'ratio':>8}")
    for line in sorted(lines, key=lambda line: line["seconds"]):
        name = f"{line['engine']}, {'cached' if line['way'] == 'cached' else 'base in the loop'}"
        before = line["seconds"] - line["epochs"] * line["seconds_an_epoch"]
        mark = f"  scaled from {line['epochs_run']} of {line['epochs']} epochs" if line["scaled"] else ""
        times = [words(before), words(line["seconds_an_epoch"]), words(line["seconds"]), f"{line['seconds'] / best:.1f}×"]
        print(f"{name:34} {times[0]:>10} {times[1]:>10} {times[2]:>10} {times[3]:>8}{mark}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--headstart", required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--loop-epochs", type=int, default=2)
    parser.add_argument("--peers", default="keras,torch")
    parser.add_argument("--loop-part", type=float, default=1.0, help="share of an epoch's batches that the peers run in the loop")
    parser.add_argument("--real", default="", help="backbones with real weights, comma-separated, in the place of the classic case")
    parser.add_argument("--runs", help="file that raw results are added to")
    a = parser.parse_args()
    cases = [("real weights", headstart(a, name, [])) for name in a.real.split(",")] if a.real else [("classic", classic(a))]
    for case, lines in cases:
        found = []
        for line in lines:
            found.append({"date": datetime.date.today().isoformat(), "case": case, "machine": machine(), **line})
            if a.runs:
                with open(a.runs, "a", encoding="utf-8") as file:
                    file.write(json.dumps(found[-1]) + "\n")
        table(found)


if __name__ == "__main__":
    main()
