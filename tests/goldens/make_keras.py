"""Goldens of Keras's networks: what Keras computes (in float64) for weights and images from formulas.

    python make_keras.py [NAME…]        needs keras 3 with tensorflow-cpu, numpy, safetensors

As make_backbones.py: one file a network, `backbones/NAME.safetensors`, tensors `SIZE/TAP`. Weights carry the names and shapes of the Rust graphs
(`block1_conv1.weight`, [out, in, h, w]) and are turned into Keras's layout here, so nothing of the Rust side's turning back is relied upon.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import applications, layers
from safetensors.numpy import save_file

from formula import IMAGES, images, sampled, values

# name: (model, size of the input, an odd size, inner taps, whether the classifier takes other sizes too)
NETS = {
    "vgg16_keras": (applications.VGG16, 224, 107, ["block2_pool", "block4_conv3"], False),
    "vgg19_keras": (applications.VGG19, 224, 107, ["block2_pool", "block4_conv4"], False),
    "resnet50_keras": (applications.ResNet50, 224, 107, ["conv3_block2_out", "conv4_block1_out"], True),
    "inception_v3_keras": (applications.InceptionV3, 299, 139, ["mixed4", "mixed8"], True),
    "xception": (applications.Xception, 299, 139, ["add_1", "block13_sepconv2"], True),
    "mobilenet_v2_keras": (applications.MobileNetV2, 224, 107, ["block_6_project_BN", "block_12_add"], True),
}


def kernel(name, shape):
    """Keras's [h, w, in, out] from the graph's [out, in, h, w]."""
    h, w, i, o = shape
    return values(f"{name}.weight", (o, i, h, w)).transpose(2, 3, 1, 0)


def depthwise(name, shape):
    """Keras's [h, w, channels, 1] from the graph's [channels, 1, h, w]."""
    h, w, c, _ = shape
    return values(f"{name}.weight", (c, 1, h, w)).transpose(2, 3, 0, 1)


def dense(name, shape):
    """Keras's [in, out] from the graph's [out, in]; VGG's first one reads a map, flattened HWC by Keras and CHW by the graph."""
    i, o = shape
    matrix = values(f"{name}.weight", (o, i))
    if name == "fc1":
        return matrix.reshape(o, 512, 7, 7).transpose(2, 3, 1, 0).reshape(i, o)
    return matrix.T


def norm(layer):
    """gamma, beta, mean, variance; without a gamma (Inception) its effect goes into the variance."""
    fields = [values(f"{layer.name}.{f}", layer.beta.shape).astype(np.float64) for f in ("weight", "bias", "running_mean", "running_var")]
    if layer.scale:
        return fields
    gamma, beta, mean, variance = fields
    return [beta, mean, (variance + layer.epsilon) / gamma**2 - layer.epsilon]


def fill(model):
    for layer in model.layers:
        name, shapes = layer.name, [w.shape for w in layer.weights]
        bias = [values(f"{name}.bias", shapes[-1])] if getattr(layer, "use_bias", False) else []
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights(norm(layer))
        elif isinstance(layer, layers.SeparableConv2D):
            layer.set_weights([depthwise(f"{name}.depthwise", shapes[0]), kernel(f"{name}.pointwise", shapes[1])] + bias)
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([depthwise(name, shapes[0])] + bias)
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([kernel(name, shapes[0])] + bias)
        elif isinstance(layer, layers.Dense):
            layer.set_weights([dense(name, shapes[0])] + bias)
        else:
            assert not shapes, layer


def outputs(build, size, inner, top):
    """Taps of a network at a size, each [images, values], maps in the order channel, row, column."""
    keras.backend.clear_session()
    options = {"classifier_activation": None} if top else {}
    model = build(weights=None, include_top=top, input_shape=(size, size, 3), **options)
    fill(model)
    last = next(layer for layer in reversed(model.layers) if len(layer.output.shape) == 4)
    wanted = {tap: model.get_layer(tap).output for tap in inner}
    wanted["gap"] = layers.GlobalAveragePooling2D()(last.output)
    if top:
        wanted["logits"] = model.output
    if top and "fc2" in [layer.name for layer in model.layers]:
        wanted["fc7"] = model.get_layer("fc2").output
    taps = keras.Model(model.input, wanted)(images(size).transpose(0, 2, 3, 1).astype(np.float64), training=False)
    arrays = {tap: np.asarray(value) for tap, value in taps.items()}
    return {tap: (a.transpose(0, 3, 1, 2) if a.ndim == 4 else a).reshape(IMAGES, -1) for tap, a in arrays.items()}


def main(names):
    keras.config.set_floatx("float64")
    for name in names or NETS:
        build, size, odd, inner, any_size = NETS[name]
        golden = {}
        for side, top in [(size, True), (odd, any_size)]:
            for tap, value in outputs(build, side, inner, top).items():
                rms = np.sqrt((value**2).mean())
                between = np.sqrt(((value - value.mean(0)) ** 2).mean()) / rms
                print(f"{name:20} {side} {tap:20} {value.shape[1]:7} rms {rms:9.3g}, of it between images {between:.2f}")
                golden[f"{side}/{tap}"] = np.ascontiguousarray(value[:, sampled(value.shape[1])].astype(np.float32))
        save_file(golden, Path(__file__).parent / "backbones" / f"{name}.safetensors", {"conditions": "0 1.0"})


if __name__ == "__main__":
    main(sys.argv[1:])
