#!/usr/bin/env python3
"""Makes solvers.json: what scikit-learn computes for the heads that are solved for. Only outputs are kept; inputs come from formulas on both sides.

usage: make_solvers.py > solvers.json      (needs scikit-learn)
"""
import json

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid


def data(rows, dim, classes):
    """Overlapping clouds with means of their own and columns of very different scale."""
    label = numpy.arange(rows) * 7 % classes
    i, j = numpy.meshgrid(numpy.arange(rows), numpy.arange(dim), indexing="ij")
    x = numpy.sin(i * 12.9898 + j * 78.233 + i * j * 0.37) + 0.6 * numpy.sin(label[:, None] * 2.1 + j) + 0.5
    return (x * (1 + 3 * (j % 5 == 0))).astype(numpy.float32), label


def rounded(values):
    return [float(f"{v:.7g}") for v in numpy.asarray(values, dtype=float).ravel()]


def case(model, settings, shape):
    train, test = data(*shape), data(*shape)
    cut = shape[0] * 3 // 4
    model.fit(train[0][:cut].astype(float), train[1][:cut])
    unseen = test[0][cut:].astype(float)
    out = {"settings": settings, "shape": shape, "predictions": model.predict(unseen).tolist()}
    if hasattr(model, "coef_"):
        out |= {"coef": rounded(model.coef_), "intercept": rounded(model.intercept_)}
    if hasattr(model, "predict_proba") and settings["head"] != "nearest-mean":
        out |= {"probabilities": rounded(model.predict_proba(unseen))}
    return out


def case_of_several(model, settings, shape):
    """As `case`, where a row is of its class and of those beside it; predictions are a yes or no a class."""
    x, label = data(*shape)
    of = abs(label[:, None] - numpy.arange(shape[2])) < 2
    cut = shape[0] * 3 // 4
    model.fit(x[:cut].astype(float), of[:cut].astype(int))
    unseen = x[cut:].astype(float)
    out = {"settings": settings, "shape": shape, "several": True, "predictions": model.predict(unseen).astype(int).ravel().tolist()}
    fitted = model.estimators_ if hasattr(model, "estimators_") else [model]
    if hasattr(fitted[0], "coef_"):
        out |= {name: rounded(numpy.concatenate([getattr(m, name + "_") for m in fitted])) for name in ["coef", "intercept"]}
    if hasattr(model, "predict_proba"):
        p = model.predict_proba(unseen)
        out |= {"probabilities": rounded(numpy.stack([of_class[:, 1] for of_class in p], 1) if isinstance(p, list) else p)}
    return out


# More rows than features, fewer, and two classes.
SHAPES = [(80, 6, 3), (40, 50, 4), (60, 8, 2)]


def votes(distance):
    return numpy.exp((1 - distance) / 0.07)


def cases():
    for shape in SHAPES:
        for alpha in [1e-2, 1.0, 100.0]:
            yield case(RidgeClassifier(alpha=alpha), {"head": "ridge", "alpha": alpha}, shape)
        for c in [3e-3, 0.1, 1.0, 20.0]:
            model = LogisticRegression(C=c, tol=1e-9, max_iter=100_000)
            yield case(model, {"head": "logreg", "C": c, "tol": 1e-7}, shape)
        for k in [1, 5, 20]:
            model = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=votes)
            yield case(model, {"head": "knn", "k": k, "temperature": 0.07}, shape)
        yield case(NearestCentroid(), {"head": "nearest-mean"}, shape)
    for shape in [(80, 6, 4), (40, 50, 4)]:
        yield case_of_several(RidgeClassifier(alpha=1.0), {"head": "ridge", "alpha": 1.0}, shape)
        model = OneVsRestClassifier(LogisticRegression(C=0.5, tol=1e-9, max_iter=100_000))
        yield case_of_several(model, {"head": "logreg", "C": 0.5, "tol": 1e-7}, shape)
        model = KNeighborsClassifier(7, metric="cosine", algorithm="brute", weights=votes)
        yield case_of_several(model, {"head": "knn", "k": 7, "temperature": 0.07}, shape)


if __name__ == "__main__":
    golden = {"scikit-learn": sklearn.__version__, "cases": list(cases())}
    print(json.dumps(golden, separators=(",", ":")).replace('{"settings"', '\n{"settings"'))
