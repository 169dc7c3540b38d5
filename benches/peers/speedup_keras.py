#!/usr/bin/env python3
"""The tutorial's own way in Keras: VGG16 frozen in the model and `fit` over it, and `predict` once to bottleneck features with `fit` on those.

usage: speedup_keras.py DATA [--epochs 30] [--loop-epochs 2] [--loop-part 1.0] [--batch 20] [--size 150]
DATA/{train,val}/CLASS/*. Flatten → Dense 256 → Dropout 0.5 → sigmoid, RMSprop 2e-5, images read by ImageDataGenerator (rescale 1/255), random
weights. Prints one JSON object a way. In the loop `--loop-epochs` are run and scaled to `--epochs`, marked `scaled`; a fit over two batches
comes before (counted in `start`), so that no epoch pays for tracing.
"""
import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BEGIN = time.perf_counter()
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

IMPORTED = time.perf_counter() - BEGIN


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch, validation included."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def images(a, split, shuffle):
    generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1.0 / 255)
    mode = "binary" if shuffle else None
    folder = os.path.join(a.data, split)
    return generator.flow_from_directory(folder, target_size=(a.size, a.size), batch_size=a.batch, class_mode=mode, shuffle=shuffle)


def base(a):
    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(a.size, a.size, 3))
    model.trainable = False
    return model


def compiled(layers):
    dense = [keras.layers.Dense(256, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers + dense)
    model.compile(optimizer=keras.optimizers.RMSprop(2e-5), loss="binary_crossentropy", metrics=["acc"])
    return model


def say(a, way, start, epochs, accuracy, more, part=1.0):
    run, measured = len(epochs) * part, sum(epochs)
    mean = measured / run
    line = {
        "engine": "keras", "way": way, "epochs": a.epochs, "epochs_run": run, "scaled": run < a.epochs, "start": start,
        **more, "seconds_an_epoch": mean, "seconds_measured": start + measured, "seconds": start + mean * a.epochs, "epoch_seconds": epochs,
        "val_acc1": accuracy, "size": a.size, "batch": a.batch, "threads": os.cpu_count(),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def in_loop(a):
    begin = time.perf_counter()
    train, val = images(a, "train", True), images(a, "val", True)
    model = compiled([keras.Input((a.size, a.size, 3)), base(a), keras.layers.Flatten()])
    model.fit(train, steps_per_epoch=2, validation_data=val, validation_steps=2, verbose=0)
    start = IMPORTED + time.perf_counter() - begin
    clock = Clock()
    part = {"steps_per_epoch": round(len(train) * a.loop_part), "validation_steps": round(len(val) * a.loop_part)}
    fitted = model.fit(train, epochs=min(a.loop_epochs, a.epochs), validation_data=val, verbose=0, callbacks=[clock], **part)
    say(a, "in_loop", start, clock.seconds, fitted.history["val_acc"][-1], {}, a.loop_part)


def cached(a):
    begin = time.perf_counter()
    bottom = base(a)
    start = IMPORTED + time.perf_counter() - begin
    seconds, parts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "val"):
            begin = time.perf_counter()
            reader = images(a, split, False)
            features = bottom.predict(reader, verbose=0)
            np.save(os.path.join(folder, split), features)
            seconds[split] = time.perf_counter() - begin
            parts[split] = (features, reader.classes)
    extract = sum(seconds.values())
    clock = Clock()
    begin = time.perf_counter()
    model = compiled([keras.Input(parts["train"][0].shape[1:]), keras.layers.Flatten()])
    built = time.perf_counter() - begin
    fitted = model.fit(*parts["train"], epochs=a.epochs, batch_size=a.batch, validation_data=parts["val"], verbose=0, callbacks=[clock])
    more = {"extract": seconds, "shape": list(parts["train"][0].shape[1:])}
    say(a, "cached", start + extract + built, clock.seconds, fitted.history["val_acc"][-1], more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--loop-epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--loop-part", type=float, default=1.0, help="share of an epoch's batches that are run in the loop; the rest is scaled")
    parser.add_argument("--ways", default="cached,in_loop")
    a = parser.parse_args()
    # Both ways start from the import.
    for way in a.ways.split(","):
        {"cached": cached, "in_loop": in_loop}[way](a)


if __name__ == "__main__":
    main()
