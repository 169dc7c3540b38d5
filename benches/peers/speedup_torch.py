#!/usr/bin/env python3
"""The tutorial's own way in PyTorch: a frozen torchvision base in the model, and its features computed once with a head trained on those.

usage: speedup_torch.py DATA [--backbone vgg16] [--epochs 30] [--loop-epochs 2] [--loop-part 1.0] [--batch 20] [--size 150]
DATA/{train,val}/CLASS/*. `features`, flattened → Linear 256 → ReLU → Dropout 0.5 → Linear 1, RMSprop 2e-5 (Keras's rho and epsilon), images by
ImageFolder and DataLoader, random weights. Prints one JSON object a way. In the loop `--loop-epochs` are run and scaled to `--epochs`, marked
`scaled`; two batches come before (counted in `start`), so that no epoch pays for starting up.
"""
import argparse
import itertools
import json
import os
import tempfile
import time

BEGIN = time.perf_counter()
import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402
from torchvision import transforms  # noqa: E402

IMPORTED = time.perf_counter() - BEGIN


def loader(a, split, shuffle):
    nearest = transforms.InterpolationMode.NEAREST
    read = transforms.Compose([transforms.Resize((a.size, a.size), interpolation=nearest), transforms.ToTensor()])
    data = torchvision.datasets.ImageFolder(os.path.join(a.data, split), read)
    return torch.utils.data.DataLoader(data, a.batch, shuffle=shuffle, num_workers=os.cpu_count())


def base(a):
    torch.manual_seed(0)
    model = getattr(torchvision.models, a.backbone)(weights=None).features.eval()
    return model.requires_grad_(False)


def part_of(a, batches):
    return itertools.islice(batches, round(len(batches) * a.loop_part))


class Head:
    def __init__(self, inputs):
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 1))
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=2e-5, alpha=0.9, eps=1e-7)
        self.loss = nn.BCEWithLogitsLoss()

    def epoch(self, train, val, features):
        """Trains and judges; accuracy on val."""
        self.model.train()
        for x, y in train:
            self.optimizer.zero_grad()
            self.loss(self.model(features(x)).squeeze(1), y.float()).backward()
            self.optimizer.step()
        self.model.eval()
        right = count = 0
        with torch.no_grad():
            for x, y in val:
                right += ((self.model(features(x)).squeeze(1) > 0) == y.bool()).sum().item()
                count += len(y)
        return right / count


def say(a, way, start, epochs, accuracy, more, part=1.0):
    run, measured = len(epochs) * part, sum(epochs)
    mean = measured / run
    line = {
        "engine": "torch", "way": way, "backbone": a.backbone, "epochs": a.epochs, "epochs_run": run, "scaled": run < a.epochs,
        "start": start, **more, "seconds_an_epoch": mean, "seconds_measured": start + measured, "seconds": start + mean * a.epochs,
        "epoch_seconds": epochs, "val_acc1": accuracy, "size": a.size, "batch": a.batch, "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def in_loop(a):
    begin = time.perf_counter()
    train, val, bottom = loader(a, "train", True), loader(a, "val", False), base(a)
    head = Head(bottom(torch.zeros(1, 3, a.size, a.size)).numel())
    with torch.no_grad():
        [bottom(torch.zeros(a.batch, 3, a.size, a.size)) for _ in range(2)]
    start, epochs, accuracy = IMPORTED + time.perf_counter() - begin, [], 0.0
    for _ in range(min(a.loop_epochs, a.epochs)):
        begin = time.perf_counter()
        accuracy = head.epoch(part_of(a, train), part_of(a, val), bottom)
        epochs.append(time.perf_counter() - begin)
    say(a, "in_loop", start, epochs, accuracy, {}, a.loop_part)


def cached(a):
    begin = time.perf_counter()
    bottom = base(a)
    start = IMPORTED + time.perf_counter() - begin
    seconds, parts = {}, {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for split in ("train", "val"):
            begin = time.perf_counter()
            x, y = zip(*[(bottom(x), y) for x, y in loader(a, split, False)])
            parts[split] = (torch.cat(x), torch.cat(y))
            torch.save(parts[split], os.path.join(folder, split))
            seconds[split] = time.perf_counter() - begin
    parts = {split: tuple(tensor.clone() for tensor in part) for split, part in parts.items()}
    begin = time.perf_counter()
    head = Head(parts["train"][0][0].numel())
    built = time.perf_counter() - begin
    epochs, accuracy = [], 0.0

    def batches(split, shuffle):
        x, y = parts[split]
        for rows in (torch.randperm(len(x)) if shuffle else torch.arange(len(x))).split(a.batch):
            yield x[rows], y[rows]

    for _ in range(a.epochs):
        begin = time.perf_counter()
        accuracy = head.epoch(batches("train", True), batches("val", False), lambda x: x)
        epochs.append(time.perf_counter() - begin)
    more = {"extract": seconds, "shape": list(parts["train"][0].shape[1:])}
    say(a, "cached", start + sum(seconds.values()) + built, epochs, accuracy, more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--backbone", default="vgg16")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--loop-epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--loop-part", type=float, default=1.0, help="share of an epoch's batches that are run in the loop; the rest is scaled")
    parser.add_argument("--ways", default="cached,in_loop")
    a = parser.parse_args()
    for way in a.ways.split(","):
        {"cached": cached, "in_loop": in_loop}[way](a)


if __name__ == "__main__":
    main()
