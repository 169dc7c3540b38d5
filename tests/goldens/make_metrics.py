#!/usr/bin/env python3
"""Makes metrics.json: scikit-learn's metrics of probabilities that both sides compute by a formula, before and after temperature scaling.

usage: make_metrics.py > metrics.json      (needs scikit-learn and scipy)
"""
import json

import numpy
import scipy.optimize
import sklearn
from sklearn import metrics


def table(rows, classes):
    label = numpy.arange(rows) * 5 % classes
    i, c = numpy.meshgrid(numpy.arange(rows), numpy.arange(classes), indexing="ij")
    score = 3 * numpy.sin(i * 12.9898 + c * 78.233) + 2 * (c == label[:, None])
    p = numpy.exp(score)
    return (p / p.sum(1, keepdims=True)).astype(numpy.float32).astype(float), label


def calibration_error(p, label, bins=15):
    """Guo et al., 2017: mean over rows of |confidence - accuracy| of their bin; bins (b/15, (b+1)/15]."""
    confidence, right = p.max(1), p.argmax(1) == label
    bin = numpy.clip(numpy.ceil(confidence * bins).astype(int), 1, bins)
    return sum(abs(confidence[bin == b].sum() - right[bin == b].sum()) for b in range(1, bins + 1)) / len(p)


def judge(p, label):
    classes = p.shape[1]
    called = p.argmax(1)
    out = {
        "acc1": metrics.accuracy_score(label, called),
        "acc5": metrics.top_k_accuracy_score(label, p, k=5, labels=range(classes)) if classes > 2 else 1.0,
        "loss": metrics.log_loss(label, p, labels=range(classes)),
        "mean_per_class_recall": metrics.balanced_accuracy_score(label, called),
        "macro_f1": metrics.f1_score(label, called, average="macro"),
        "ece": calibration_error(p, label),
    }
    out["auc"] = metrics.roc_auc_score(label, p[:, 1] if classes == 2 else p, multi_class="ovr", average="macro")
    return rounded(out)


def rounded(out):
    return {name: round(float(value), 9) for name, value in out.items()}


def several(rows, classes):
    """Several labels a row, or none: as a formula says; a sigmoid a class."""
    i, c = numpy.meshgrid(numpy.arange(rows), numpy.arange(classes), indexing="ij")
    of = ((i * (c + 2) + c) % 3 == 0) | ((i + 2 * c) % 5 == 0)
    p = 1 / (1 + numpy.exp(-(2 * numpy.sin(i * 12.9898 + c * 78.233) + 2 * of - 1)))
    return p.astype(numpy.float32).astype(float), of


def judge_several(p, of):
    called = p >= 0.5
    first = numpy.arange(len(p)), p.argmax(1)
    top = numpy.argsort(-p, axis=1, kind="stable")[:, :5]
    return rounded({
        "acc1": of[first].mean(),
        "acc5": numpy.take_along_axis(of, top, 1).any(1).mean(),
        "loss": numpy.mean([metrics.log_loss(of[:, c], p[:, c]) for c in range(p.shape[1])]),
        "mean_per_class_recall": metrics.recall_score(of, called, average="macro"),
        "macro_f1": metrics.f1_score(of, called, average="macro"),
        "auc": metrics.roc_auc_score(of, p, average="macro"),
    })


def case(rows, classes):
    p, label = table(rows, classes)

    def scaled(t):
        z = numpy.log(p) / t
        e = numpy.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    loss = lambda ln: metrics.log_loss(label, scaled(numpy.exp(ln)), labels=range(classes))
    t = float(numpy.exp(scipy.optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x))
    return {"shape": [rows, classes], "before": judge(p, label), "temperature": round(t, 7), "after": judge(scaled(t), label)}


if __name__ == "__main__":
    several_labels = [{"shape": shape, "metrics": judge_several(*several(*shape))} for shape in [(60, 3), (120, 9)]]
    golden = {"scikit-learn": sklearn.__version__, "cases": [case(90, 2), case(150, 7), case(200, 12)], "several": several_labels}
    print(json.dumps(golden, indent=1))
