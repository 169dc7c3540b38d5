#!/usr/bin/env python3
"""Makes heads.json: what PyTorch, Keras and scikit-learn compute for the heads' tests. Only outputs are kept; inputs come from formulas on both
sides.

usage: make_heads.py > heads.json      (needs torch, keras and scikit-learn)
"""
import json
import math
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy
import torch
from sklearn.linear_model import SGDClassifier
from torch.nn import functional

ROWS, DIM, HIDDEN, CLASSES, STEPS = 12, 5, 4, 3, 20


def wave(n, a, b):
    return [math.sin(i * a + b) for i in range(n)]


def tensor(shape, a, b):
    n = math.prod(shape)
    return torch.tensor(wave(n, a, b), dtype=torch.float32).reshape(shape)


def data(classes=CLASSES):
    return tensor((ROWS, DIM), 1.7, 0.3) * 2, torch.tensor([i * i % classes for i in range(ROWS)])


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


class Keras:
    """A Keras optimiser that moves PyTorch's parameters by their gradients."""

    def __init__(self, optimizer, parameters):
        self.optimizer, self.parameters = optimizer, list(parameters)
        self.variables = [keras.Variable(p.detach().numpy()) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        self.optimizer.apply([p.grad for p in self.parameters], self.variables)
        with torch.no_grad():
            for p, v in zip(self.parameters, self.variables):
                p.copy_(v.value)


class KerasStepLR:
    """As PyTorch's StepLR."""

    def __init__(self, keras_optimizer, size, gamma):
        self.optimizer, self.size, self.gamma, self.steps = keras_optimizer.optimizer, size, gamma, 0

    def step(self):
        self.steps += 1
        if self.steps % self.size == 0:
            self.optimizer.learning_rate = float(self.optimizer.learning_rate) * self.gamma


def one_versus_rest(weights, x, classes):
    """Probabilities of a linear head's sigmoids, in scikit-learn's words."""
    classifier = SGDClassifier(loss="log_loss")
    classifier.coef_, classifier.intercept_ = (w.detach().numpy().astype(float) for w in weights)
    classifier.classes_ = numpy.arange(classes)
    return classifier.predict_proba(x.numpy().astype(float))


def trajectory(settings, make, dims=(DIM, CLASSES), loss=None, clip=None, schedule=None, **kw):
    """Full-batch steps: losses before each, weights after the last."""
    classes = settings.get("classes", CLASSES)
    x, y = data(classes)
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
    out = {"settings": settings, "losses": [round(v, 7) for v in losses],
           "weights": [round(v, 7) for p in m.parameters() for v in p.flatten().tolist()],
           "logits": [round(v, 6) for v in m(x).flatten().tolist()]}
    if settings.get("loss") == "sigmoid":
        out["probabilities"] = [round(v, 6) for v in one_versus_rest(m.parameters(), x, classes).flatten().tolist()]
    return out


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
    add({"optimizer": "sgd", "lr": 0.2, "label_smoothing": 0.1, "class_weights": "balanced"}, sgd,
        loss=torch.nn.CrossEntropyLoss(weight=balanced, label_smoothing=0.1))
    one_hot = lambda y: functional.one_hot(y, CLASSES).float()
    cross = functional.binary_cross_entropy_with_logits
    add({"optimizer": "sgd", "lr": 0.2, "loss": "sigmoid"}, sgd, loss=lambda z, y: cross(z, one_hot(y)))
    add({"optimizer": "sgd", "lr": 0.2, "loss": "sigmoid", "label_smoothing": 0.1}, sgd, loss=lambda z, y: cross(z, one_hot(y) * 0.9 + 0.05))
    shared = (DIM, 1)
    add({"optimizer": "sgd", "lr": 0.2, "loss": "sigmoid", "classes": 2}, sgd, dims=shared, loss=lambda z, y: cross(z[:, 0], y.float()))
    rows = torch.bincount(data(2)[1], minlength=2)
    def weighted(z, y):
        weight = (ROWS / (2 * rows))[y]
        return cross(z[:, 0], y.float() * 0.8 + 0.1, weight=weight, reduction="sum") / weight.sum()
    add({"optimizer": "sgd", "lr": 0.2, "loss": "sigmoid", "classes": 2, "label_smoothing": 0.2, "class_weights": "balanced"}, sgd, dims=shared,
        loss=weighted)
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
    k = keras.optimizers
    def add_keras(settings, optimizer, **kw):
        add(settings | {"preset": "keras"}, lambda p: Keras(optimizer, p), **kw)
    add_keras({"optimizer": "rmsprop", "lr": 0.01}, k.RMSprop(0.01))
    add_keras({"optimizer": "rmsprop", "lr": 0.01, "eps": 1e-2, "weight_decay": 0.1}, k.RMSprop(0.01, epsilon=1e-2, weight_decay=0.1))
    add_keras({"optimizer": "rmsprop", "lr": 0.01, "momentum": 0.5, "centered": True, "eps": 1e-3, "schedule": "step", "step_size": 4, "gamma": 0.5},
              k.RMSprop(0.01, momentum=0.5, centered=True, epsilon=1e-3), schedule=lambda o: KerasStepLR(o, 4, 0.5))
    add_keras({"optimizer": "adam", "lr": 0.02}, k.Adam(0.02))
    add_keras({"optimizer": "adam", "lr": 0.02, "eps": 1e-2, "weight_decay": 0.1, "amsgrad": True}, k.Adam(0.02, epsilon=1e-2, weight_decay=0.1, amsgrad=True))
    add_keras({"optimizer": "adamw", "lr": 0.02, "eps": 1e-2, "weight_decay": 0.1}, k.AdamW(0.02, epsilon=1e-2, weight_decay=0.1))
    add_keras({"head": "dense", "hidden": HIDDEN, "optimizer": "rmsprop", "lr": 0.01}, k.RMSprop(0.01), dims=dense)
    return cases


def losses():
    """Losses of one batch whose logits are sin(1.7 i)."""
    z, y = tensor((3, 3), 1.7, 0), torch.tensor([0, 2, 2])
    several = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    binary = functional.binary_cross_entropy_with_logits
    values = {
        "plain": functional.cross_entropy(z, y),
        "weighted": functional.cross_entropy(z, y, weight=torch.tensor([1, 1, 0.5]), label_smoothing=0.1),
        "several": binary(z, several * 0.8 + 0.1),
        "shared": binary(tensor((3,), 1.7, 0), torch.tensor([1.0, 0.0, 1.0])),
    }
    return {name: round(value.item(), 7) for name, value in values.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden = {"torch": torch.__version__, "keras": keras.__version__, "losses": losses(), "trajectories": trajectories()}
    print(json.dumps(golden, separators=(",", ":")).replace('{"settings"', '\n{"settings"'))
