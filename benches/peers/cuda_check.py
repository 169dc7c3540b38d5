"""Everything that needs an NVIDIA GPU, in one call: errors of the whole zoo, images a second beside PyTorch, JPEGs to shards, memory.

Errors in f32 may be 1e-4, in f16 and bf16 2e-2. Random weights magnify rounding beyond that in some networks: with them f16, and bf16 of what candle
computes (transformers), may be as much worse than this GPU's f32 as they are coarser. Trained weights on photos are held to 2e-2 as it stands.

    python benches/peers/cuda_check.py --headstart target/release/headstart [--photos FOLDER] [--minutes 20] > benches/runs/DATE-cuda.jsonl

Prints one JSON object a line, the machine first, and on stderr what is going on. PyTorch and torchvision with CUDA are needed for the ratios alone (and numpy
with --photos); without them the errors are still measured. What does not fit the minutes is left out, and that is said. Exit code 1 where an error is too large.
"""

import argparse
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python" / "src"))
LIMITS = {"f32": 1e-4, "f16": 2e-2, "bf16": 2e-2}
# How much coarser than f32.
COARSER = {"f32": 0, "f16": 2**13, "bf16": 2**16}
RATIOS = [("resnet50", "bf16"), ("resnet50", "f16"), ("vgg16", "bf16"), ("resnet50", "f32"), ("efficientnet_b0", "f16")]
# Networks with trained weights that are small to fetch.
TRAINED = ["efficientnet_lite0", "squeezenet1_1", "mobilenet_v2_keras", "xception", "resnet50"]


def say(text):
    print(text, file=sys.stderr, flush=True)


def objects(command):
    """The last JSON that a command prints, or what went wrong."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    return {"failed": (done.stderr or done.stdout).strip()[-600:]}


def tell(kind, **fields):
    print(json.dumps({"what": kind, **fields}), flush=True)


def machine(headstart):
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    smi = subprocess.run(query, capture_output=True, text=True).stdout.strip() if shutil.which("nvidia-smi") else "no nvidia-smi"
    version = subprocess.run([headstart, "--version"], capture_output=True, text=True).stdout.strip()
    tell("machine", gpu=smi, headstart=version)


def bench(headstart, name, dtype, batch, check, size=None, repeat=10, device="cuda"):
    command = [headstart, "--json", "--device", device, "bench", "forward", "--backbone", name, "--weights", "random", "--batch", batch]
    command += ["--dtype", dtype, "--repeat", repeat]
    return objects(command + ["--size", size] * (size is not None) + ["--check"] * check)


def errors(headstart, until):
    """The zoo's errors against the CPU reference, smallest networks first so that time runs out on the largest."""
    listed = objects([headstart, "--json", "backbones"])
    if not isinstance(listed, list):
        raise SystemExit(f"no list of backbones: {listed}")
    zoo = sorted(listed, key=lambda b: b["flops"])
    bad, left = [], []
    for backbone in zoo:
        if time.time() > until:
            left.append(backbone["backbone"])
            continue
        in_f32 = 0
        for dtype, limit in LIMITS.items():
            found = bench(headstart, backbone["backbone"], dtype, 4, True, repeat=1)
            error = found.get("error")
            if dtype == "f16" or "candle" in found.get("engine", ""):
                limit = max(limit, COARSER[dtype] * in_f32)
            if dtype == "f32" and error is not None and not error <= limit:
                # Some networks magnify even that: what the CPU's fast engine loses is allowed thrice.
                limit = max(limit, 3 * (bench(headstart, backbone["backbone"], dtype, 4, True, repeat=1, device="cpu").get("error") or 0))
            if error is None or not error <= limit:
                bad.append((backbone["backbone"], dtype))
            if dtype == "f32":
                in_f32 = error or 0
            tell("error", name=backbone["backbone"], dtype=dtype, limit=limit, **found)
            say(f"{backbone['backbone']} {dtype}: {found.get('failed') or error}")
    tell("errors", too_large=bad, left_out=left)
    return bad


def features(headstart, name, photos, cache, *how):
    """Features of some photos, `[images, …]`, or what went wrong."""
    from headstart import load_features

    command = [headstart, "--json", *how[:2], "features", "--data", photos, "--limit", 500, "--backbone", name, "--cache", cache, *how[2:]]
    found = objects(command)
    if isinstance(found["failed"], str):
        return found
    x = load_features(found["cache"], mmap=False)[0]
    return x.reshape(len(x), -1).astype("float64")


def trained(headstart, photos, device):
    """Features of photos by trained weights, on the device in every type and on the CPU in f32. What cannot be fetched is left out, and that is said."""
    bad = []
    for name in TRAINED:
        with tempfile.TemporaryDirectory() as cache:
            want = features(headstart, name, photos, cache, "--device", "cpu")
            if isinstance(want, dict):
                tell("trained", name=name, left_out=want["failed"])
                continue
            for dtype, limit in LIMITS.items():
                got = features(headstart, name, photos, cache, "--device", device, "--dtype", dtype)
                failed = got["failed"] if isinstance(got, dict) else None
                error = None if failed else float(((got - want) ** 2).sum() ** 0.5 / ((want - want.mean(0)) ** 2).sum() ** 0.5)
                tell("trained", name=name, dtype=dtype, limit=limit, images=len(want), error=error, failed=failed)
                say(f"{name}, trained, {dtype}: {failed or error}")
                if error is None or not error <= limit:
                    bad.append((name, dtype))
    return bad


def ratios(headstart):
    """Forward passes, the peer and headstart in turn, three times each."""
    for name, dtype in RATIOS:
        pairs = []
        for _ in range(3):
            peer = objects([sys.executable, HERE / "forward_cuda.py", name, "--dtype", dtype])
            ours = bench(headstart, name, dtype, 256, False, 224)
            pairs.append((peer, ours))
            tell("forward", peer=peer, headstart=ours)
        try:
            found = sorted(o["images_per_second"]["median"] / p["images_per_second"]["median"] for p, o in pairs)
            tell("ratio", backbone=name, dtype=dtype, median=found[1], all=found)
            say(f"{name} {dtype}: {found[1]:.2f} times PyTorch")
        except KeyError:
            say(f"{name} {dtype}: {[p.get('failed') or o.get('failed') for p, o in pairs]}")


def end_to_end(headstart, photos):
    """JPEGs on disk to features on disk, the peer and headstart in turn."""
    for _ in range(3):
        peer = objects([sys.executable, HERE / "extract_cuda.py", "resnet50", photos])
        with tempfile.TemporaryDirectory() as cache:
            command = [headstart, "--json", "--device", "cuda", "features", "--data", photos, "--backbone", "resnet50", "--weights", "random"]
            ours = objects(command + ["--dtype", "bf16", "--batch", 256, "--cache", cache])
        tell("end to end", peer=peer, headstart=ours)
        if "seconds" in ours and "seconds" in peer:
            say(f"end to end: {peer['seconds'] / ours['seconds']['wall']:.2f} times PyTorch; bottleneck {ours['bottleneck']}")


def heads(headstart):
    for trials in [1, 64]:
        common = ["bench", "heads", "--rows", 8000, "--dim", 2048, "--hidden", 256, "--classes", 10, "--batch", 64, "--optimizer", "adam"]
        found = {device: objects([headstart, "--json", "--device", device, *common, "--trials", trials]) for device in ["cuda", "cpu"]}
        tell("heads", trials=trials, **found)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--headstart", default="target/release/headstart")
    args.add_argument("--photos", help="folder of folders of images, some thousands")
    args.add_argument("--minutes", type=float, default=20, help="for the errors; the rest takes about eight more")
    a = args.parse_args()
    machine(a.headstart)
    say("resnet50 first: does it run at all?")
    first = bench(a.headstart, "resnet50", "bf16", 32, True)
    tell("first", **first)
    say(first.get("failed") or f"error {first['error']:.1e}; {first.get('summary')}")
    if importlib.util.find_spec("torchvision"):
        ratios(a.headstart)
        if a.photos:
            end_to_end(a.headstart, a.photos)
    else:
        say("no torchvision here: no ratios")
    heads(a.headstart)
    bad = trained(a.headstart, a.photos, "cuda") if a.photos else []
    bad += errors(a.headstart, time.time() + 60 * a.minutes)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
