"""Files of Keras Applications for tests/keras_files.rs: the names in all of them, and small ones that Keras 2 and 3 wrote.

    pip install keras tensorflow-cpu tf_keras h5py      (tf_keras is Keras 2)
    python tests/goldens/weights/make_keras_files.py

`keras_names.txt`: backbone, layer, variable, shape. Spelled `LAYER/LAYER/VARIABLE` they are the names in Keras 3's `.h5`, with `:0` behind them
those in Keras 2's; this script checks both against files that it has written.

`keras_files.zip`: MobileNet V2 as written by either. Their weights are nearly constant, so that a zip (in a zip) makes megabytes into
kilobytes: see `marked`.
"""

import io
import os
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "0"
import h5py
import keras
import numpy as np
import tf_keras

HERE = Path(__file__).parent

NETS = {
    "vgg16_keras": "VGG16",
    "vgg19_keras": "VGG19",
    "resnet50_keras": "ResNet50",
    "inception_v3_keras": "InceptionV3",
    "xception": "Xception",
    "mobilenet_v2_keras": "MobileNetV2",
}


def stored(path):
    """Names and shapes in an .h5 file."""
    found = {}
    with h5py.File(path) as file:
        root = file["model_weights"] if "model_weights" in file else file
        root.visititems(lambda name, item: found.__setitem__(name, item.shape) if isinstance(item, h5py.Dataset) else None)
    return found


def names(folder):
    lines = []
    for backbone, model in NETS.items():
        found = []
        for library, suffix in [(keras, ""), (tf_keras, ":0")]:
            library.backend.clear_session()
            net = getattr(library.applications, model)(weights=None)
            path = folder / "names.h5"
            net.save_weights(path) if library is tf_keras else net.save(path)
            rows = {name.removesuffix(suffix): shape for name, shape in stored(path).items() if name != "top_level_model_weights"}
            assert all(name.split("/")[0] == name.split("/")[1] and name.count("/") == 2 for name in rows), rows
            found.append({(*name.split("/")[1:], shape) for name, shape in rows.items()})
        # Keras 2 called a depthwise layer's kernel so.
        new, old = ({(layer, variable.removeprefix("depthwise_"), shape) for layer, variable, shape in rows} for rows in found)
        assert new == old, new ^ old
        lines += [f"{backbone} {layer} {variable} {','.join(map(str, shape))}" for layer, variable, shape in sorted(found[1])]
    (HERE / "keras_names.txt").write_text("\n".join(lines) + "\n")


def marked(name, shape):
    """float32 of the graph's shape: a number that depends on the name, and more on it at index 1 of each axis."""
    number = 0
    for byte in name.encode():
        number = (number * 31 + byte) % 1021
    value = np.full(shape, number / 1024, np.float32)
    for axis in range(len(shape)):
        value[(slice(None),) * axis + (slice(1, 2),)] += np.float32(2.0**-axis)
    return value


def fill(net):
    for layer in net.layers:
        weights = []
        for weight in layer.weights:
            role, shape = weight.name.split("/")[-1].split(":")[0], tuple(weight.shape)
            field = {"gamma": "weight", "beta": "bias", "bias": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}.get(role)
            if field:
                weights.append(marked(f"{layer.name}.{field}", shape))
            elif len(shape) == 2:
                weights.append(marked(f"{layer.name}.weight", shape[::-1]).T)
            elif "Depthwise" in type(layer).__name__:
                weights.append(marked(f"{layer.name}.weight", (shape[2], 1, *shape[:2])).transpose(2, 3, 0, 1))
            else:
                weights.append(marked(f"{layer.name}.weight", (shape[3], shape[2], *shape[:2])).transpose(2, 3, 1, 0))
        layer.set_weights(weights)
    return net


def files(folder):
    written = {
        "mobilenet_v2_notop.keras": (keras, False),
        "mobilenet_v2_notop.h5": (keras, False),
        "keras2_mobilenet_v2.h5": (tf_keras, True),
    }
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, (library, top) in written.items():
            net = fill(library.applications.MobileNetV2(weights=None, include_top=top, input_shape=(224, 224, 3)))
            path = folder / name
            net.save(path)
            add(archive, name, path.read_bytes())
    with zipfile.ZipFile(HERE / "keras_files.zip", "w") as archive:
        add(archive, "files.zip", inner.getvalue())


def add(archive, name, data):
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        names(Path(folder))
        files(Path(folder))
