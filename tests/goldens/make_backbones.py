"""Goldens of the backbones: what torchvision computes (in float64) for weights and images from formulas.

    python make_backbones.py [NAME…]        needs torch, torchvision, numpy, safetensors, and efficientnet-lite-pytorch==0.1.0

One file a network, `backbones/NAME.safetensors`, holds tensors `SIZE/TAP` of shape [images, samples]: all values of a tap, or
256 of them at `sampled(count)`. tests/parity.rs reads them.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

from formula import fill, images, sampled

ODD = 107

# Seed of the weights and factor of the images, where not 0 and 1: squeeze-excite multiplies, and with other seeds these networks die out or
# explode, so that float32 itself is far from float64. The files carry both.
CONDITIONS = {
    "efficientnet_b0": (5, 1.0),
    "efficientnet_b1": (4, 1.0),
    "efficientnet_b2": (6, 1.0),
    "efficientnet_b3": (1, 1.0),
    "efficientnet_b4": (17, 1.0),
    "mobilenet_v3_large": (3, 0.25),
}


def lite(name):
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name(name.replace("_", "-"), image_size=None)


def keras_squeezenet():
    """SqueezeNet 1.1 as Keras users have it: pools round down."""
    model = torchvision.models.squeezenet1_1(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.MaxPool2d):
            module.ceil_mode = False
    return model


def transformed(build):
    return lambda: build(weights=None, transform_input=True, init_weights=False)


VGG = ["11", "11_bn", "13", "13_bn", "16", "16_bn", "19", "19_bn"]
RESNET = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"]
B_SIZES = [224, 240, 288, 300, 380]
MEAN = lambda x: x.mean((2, 3))
FLAT = lambda x: x.flatten(1)

# name: (build, sizes, {tap: (module, what to do with its output)}); modules are torchvision's paths.
NETS = {}


def add(names, sizes, taps, odd, builds=None, make=None):
    for i, name in enumerate(names):
        build = (make or (lambda n: getattr(torchvision.models, n)(weights=None)))
        build = builds[i] if builds else (lambda name=name, build=build: build(name))
        size = sizes[i] if isinstance(sizes, list) else sizes
        NETS[name] = (build, [size] + ([odd] if name in (names[0],) and odd else []), taps)


def paths(*modules):
    return {m: (m, lambda x: x) for m in modules}


add(["alexnet"], 224, {"gap": ("features", MEAN), "avgpool": ("avgpool", FLAT), "fc6": ("classifier.2", FLAT), **paths("features.5")}, ODD)
add([f"vgg{v}" for v in VGG], 224, {"gap": ("features", MEAN), "avgpool": ("avgpool", FLAT), "fc7": ("classifier.4", FLAT), **paths("features.9")}, ODD)
add(RESNET, 224, {"gap": ("avgpool", FLAT), **paths("layer2.1", "layer3")}, ODD)
add(["squeezenet1_0", "squeezenet1_1"], 224, {"gap": ("features", MEAN), **paths("features.4", "features.9")}, ODD)
add(["squeezenet1_1.keras"], 227, {"gap": ("features", MEAN), **paths("features.4", "features.9")}, ODD, [keras_squeezenet])
add([f"densenet{d}" for d in (121, 161, 169, 201)], 224, {"gap": ("features", lambda x: MEAN(x.relu())), **paths("features.transition1", "features.denseblock3")}, ODD)
INCEPTION = {"gap": ("avgpool", FLAT), **paths("Mixed_6b", "Mixed_7a")}
plain = lambda build: (lambda: build(weights=None, init_weights=False))
add(["inception_v3"], 299, INCEPTION, 139, [plain(torchvision.models.inception_v3)])
add(["inception_v3.transform"], 139, INCEPTION, None, [transformed(torchvision.models.inception_v3)])
GOOGLENET = {"gap": ("avgpool", FLAT), **paths("inception4a", "inception5a")}
add(["googlenet"], 224, GOOGLENET, ODD, [plain(torchvision.models.googlenet)])
add(["googlenet.transform"], ODD, GOOGLENET, None, [transformed(torchvision.models.googlenet)])
add([f"shufflenet_v2_x{w}" for w in ("0_5", "1_0", "1_5", "2_0")], 224, {"gap": ("conv5", MEAN), **paths("stage2.1", "stage3")}, ODD)
add(["mobilenet_v2"], 224, {"gap": ("features", MEAN), **paths("features.5", "features.14")}, ODD)
add(["mobilenet_v3_large", "mobilenet_v3_small"], 224, {"gap": ("avgpool", FLAT), **paths("features.4", "features.9")}, ODD)
add([f"efficientnet_b{b}" for b in range(5)], B_SIZES, {"gap": ("avgpool", FLAT), **paths("features.3.0", "features.6")}, ODD)
add([f"efficientnet_lite{b}" for b in range(3)], [224, 240, 260], {"gap": ("_avg_pooling", FLAT), **paths("_blocks.3", "_blocks.11")}, ODD, make=lite)
add([f"convnext_{s}" for s in ("tiny", "small", "base")], 224, {"gap": ("classifier.0", FLAT), "avgpool": ("avgpool", FLAT), **paths("features.3.1", "features.5")}, ODD)


def values(model, size, taps, scale=1.0):
    kept = {}

    def hook(tap, then):
        # Cloned: an activation behind may work in place.
        return lambda module, inputs, output: kept.__setitem__(tap, then(output.clone()))

    handles = [model.get_submodule(path).register_forward_hook(hook(tap, then)) for tap, (path, then) in taps.items()]
    with torch.no_grad():
        kept["logits"] = model(torch.from_numpy(images(size) * np.float32(scale)).double())
    for handle in handles:
        handle.remove()
    return {tap: value.flatten(1).numpy() for tap, value in kept.items()}


def main(names):
    folder = Path(__file__).parent / "backbones"
    for name in names or NETS:
        build, sizes, taps = NETS[name]
        seed, scale = CONDITIONS.get(name, (0, 1.0))
        model = fill(build().eval(), seed).double()
        golden = {}
        for size in sizes:
            for tap, value in values(model, size, taps, scale).items():
                spread = np.sqrt(((value - value.mean(0)) ** 2).mean()) / np.sqrt((value**2).mean())
                print(f"{name:24} {size} {tap:24} {value.shape[1]:7} rms {np.sqrt((value**2).mean()):9.3g}, of it between images {spread:.2f}")
                golden[f"{size}/{tap}"] = np.ascontiguousarray(value[:, sampled(value.shape[1])].astype(np.float32))
        save_file(golden, folder / f"{name}.safetensors", {"conditions": f"{seed} {scale}"})


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(sys.argv[1:])
