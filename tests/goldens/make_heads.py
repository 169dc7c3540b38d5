#!/usr/bin/env python3
"""Makes heads.json: what PyTorch and scikit-learn compute for the heads' tests. Only outputs are kept; inputs come from formulas on both sides.

usage: make_heads.py > heads.json      (needs torch and scikit-learn)
"""
import json
import math

import torch

ROWS, DIM, HIDDEN, CLASSES, STEPS = 12, 5, 4, 3, 20


def wave(n, a, b):
    return [math.sin(i * a + b) for i in range(n)]


def tensor(shape, a, b):
    n = math.prod(shape)
    return torch.tensor(wave(n, a, b), dtype=torch.float32).reshape(shape)


def data():
    return tensor((ROWS, DIM), 1.7, 0.3) * 2, torch.tensor([i * i % CLASSES for i in range(ROWS)])


def many():
    """Several classes a row, or none: row i is of class c where i · (c + 1) is a multiple of 3 or 5."""
    return torch.tensor([[float(i * (c + 1) % 3 == 0 or i * (c + 1) % 5 == 0) for c in range(CLASSES)] for i in range(ROWS)])


def model(dims, activation=torch.nn.ReLU, batch_norm=False):
    layers = [torch.nn.BatchNorm1d(dims[0], affine=False)] if batch_norm else []
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        linear = torch.nn.Linear(a, b)
        with torch.no_grad():
            linear.weight.copy_(tensor((b, a), 0.9, i) * 0.5)
            linear.bias.copy_(tensor((b,), 2.3, i) * 0.1)
        layers += [linear] + ([activation()] if i + 2 < len(dims) else [])
    return torch.nn.Sequential(*layers)


def trajectory(settings, make, dims=(DIM, CLASSES), loss=None, clip=None, schedule=None, **kw):
    """Full-batch steps: losses before each, weights after the last."""
    x, y = data()
    m = model(list(dims), **kw)
    o = make(m.parameters())
    s = schedule(o) if schedule else None
    loss = loss or torch.nn.CrossEntropyLoss()
    losses = []
    m.train()
    for _ in range(STEPS):
        o.zero_grad()
        value = loss(m(x), y)
        value.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(m.parameters(), clip)
        o.step()
        if s:
            s.step()
        losses.append(value.item())
    m.eval()
    return {"settings": settings, "losses": [round(v, 7) for v in losses],
            "weights": [round(v, 7) for p in m.parameters() for v in p.flatten().tolist()],
            "logits": [round(v, 6) for v in m(x).flatten().tolist()]}


def trajectories():
    o = torch.optim
    cases = []
    def add(settings, make, **kw):
        cases.append(trajectory(settings, make, **kw))
    add({"optimizer": "sgd", "lr": 0.1}, lambda p: o.SGD(p, lr=0.1))
    add({"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "dampening": 0.1}, lambda p: o.SGD(p, lr=0.1, momentum=0.9, dampening=0.1))
    add({"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        lambda p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01))
    add({"optimizer": "rmsprop", "lr": 0.01}, lambda p: o.RMSprop(p, lr=0.01))
    add({"optimizer": "rmsprop", "lr": 0.01, "preset": "keras"}, lambda p: o.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-7))
    add({"optimizer": "rmsprop", "lr": 0.01, "centered": True, "weight_decay": 0.01, "rho": 0.95, "eps": 1e-4},
        lambda p: o.RMSprop(p, lr=0.01, centered=True, weight_decay=0.01, alpha=0.95, eps=1e-4))
    add({"optimizer": "rmsprop", "lr": 0.01, "momentum": 0.5}, lambda p: o.RMSprop(p, lr=0.01, momentum=0.5))
    add({"optimizer": "rmsprop", "lr": 0.005, "momentum": 0.5, "centered": True, "eps": 1e-3},
        lambda p: o.RMSprop(p, lr=0.005, momentum=0.5, centered=True, eps=1e-3))
    add({"optimizer": "adam", "lr": 0.02}, lambda p: o.Adam(p, lr=0.02))
    add({"optimizer": "adam", "lr": 0.02, "weight_decay": 0.05, "beta1": 0.8, "beta2": 0.95},
        lambda p: o.Adam(p, lr=0.02, weight_decay=0.05, betas=(0.8, 0.95)))
    add({"optimizer": "adam", "lr": 0.05, "amsgrad": True, "beta2": 0.9}, lambda p: o.Adam(p, lr=0.05, amsgrad=True, betas=(0.9, 0.9)))
    add({"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.1}, lambda p: o.AdamW(p, lr=0.02, weight_decay=0.1))
    add({"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.1, "amsgrad": True}, lambda p: o.AdamW(p, lr=0.02, weight_decay=0.1, amsgrad=True))
    sgd = lambda p: o.SGD(p, lr=0.2)
    add({"optimizer": "sgd", "lr": 0.2, "clip_norm": 0.1}, sgd, clip=0.1)
    add({"optimizer": "sgd", "lr": 0.2, "schedule": "step", "step_size": 4, "gamma": 0.5}, sgd, schedule=lambda s: o.lr_scheduler.StepLR(s, 4, 0.5))
    add({"optimizer": "sgd", "lr": 0.2, "schedule": "cosine"}, sgd, schedule=lambda s: o.lr_scheduler.CosineAnnealingLR(s, STEPS))
    add({"optimizer": "sgd", "lr": 0.2, "label_smoothing": 0.1}, sgd, loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    counts = torch.bincount(data()[1], minlength=CLASSES)
    balanced = torch.where(counts > 0, ROWS / (CLASSES * counts), torch.ones(()))
    add({"optimizer": "sgd", "lr": 0.2, "class_weights": "balanced"}, sgd, loss=torch.nn.CrossEntropyLoss(weight=balanced))
    add({"optimizer": "sgd", "lr": 0.2, "loss": "sigmoid"}, sgd,
        loss=lambda z, y: torch.nn.functional.binary_cross_entropy_with_logits(z, torch.nn.functional.one_hot(y, CLASSES).float()))
    add({"optimizer": "sgd", "lr": 0.2, "batch_norm": True}, sgd, batch_norm=True)
    add({"optimizer": "adam", "lr": 0.02, "eps": 1e-3}, lambda p: o.Adam(p, lr=0.02, eps=1e-3))
    add({"optimizer": "sgd", "lr": 4.0, "lr_scale": "batch"}, lambda p: o.SGD(p, lr=4.0 * ROWS / 256))
    add({"optimizer": "sgd", "lr": 0.2, "warmup": 4}, sgd, schedule=lambda s: o.lr_scheduler.LambdaLR(s, lambda e: min(1, (e + 1) / 5)))
    bce = torch.nn.BCEWithLogitsLoss()
    add({"optimizer": "sgd", "lr": 0.2, "loss": "auto", "labels": "many"}, sgd, loss=lambda z, _: bce(z, many()))
    dense = (DIM, HIDDEN, CLASSES)
    add({"head": "dense", "hidden": HIDDEN, "optimizer": "adam", "lr": 0.02}, lambda p: o.Adam(p, lr=0.02), dims=dense)
    add({"head": "dense", "hidden": HIDDEN, "optimizer": "sgd", "lr": 0.2, "activation": "gelu", "clip_norm": 0.2}, sgd, dims=dense,
        activation=torch.nn.GELU, clip=0.2)
    add({"head": "dense", "hidden": [HIDDEN, 3], "optimizer": "rmsprop", "lr": 0.01}, lambda p: o.RMSprop(p, lr=0.01), dims=(DIM, HIDDEN, 3, CLASSES))
    return cases


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden = {"torch": torch.__version__, "trajectories": trajectories()}
    print(json.dumps(golden, separators=(",", ":")).replace('{"settings"', '\n{"settings"'))
