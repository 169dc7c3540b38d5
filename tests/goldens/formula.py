"""Weights from a formula, the numpy twin of `src/weights/formula.rs`, bit for bit; images from another, and which values goldens keep.

    from formula import fill
    fill(torchvision.models.resnet18(weights=None), seed=0)

Each value depends on the seed, the parameter's name, its shape and the element's index alone.
"""

import math

import numpy as np

IMAGES = 3
SAMPLES = 256


def mix(x):
    """MurmurHash3's 32-bit finaliser on an array of uint32."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def key(seed, name):
    """FNV-1a of the name, mixed with both halves of the seed."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    low, high = (np.array([part], np.uint32) for part in (seed & 0xFFFFFFFF, seed >> 32))
    return mix(np.uint32(h) ^ mix(low ^ mix(high)))[0]


def spread(name, shape):
    """(low, width): values lie in [low, low + width). The ranges keep deep networks alive: see the Rust side."""
    field = name.rsplit(".", 1)[-1]
    if field == "weight" and len(shape) == 4 and shape[1] == 1 and shape[2] * shape[3] > 1:
        return -0.5 / (shape[2] * shape[3]), 3.0 / (shape[2] * shape[3])
    if field == "weight" and len(shape) >= 2:
        bound = math.sqrt(6.0 / max(1, math.prod(shape[1:])))
        return -bound, 2.0 * bound
    if field in ("weight", "gamma", "layer_scale"):
        return 0.5, 0.9
    if field == "running_var":
        return 0.75, 0.5
    return -0.05, 0.1


def values(name, shape, seed=0):
    """float32 array of the given shape."""
    shape = list(shape)
    index = np.arange(math.prod(shape), dtype=np.uint32)
    bits = mix(index * np.uint32(0x9E3779B9) + key(seed, name))
    unit = (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    low, width = spread(name, shape)
    return (np.float32(low) + np.float32(width) * unit).reshape(shape)


def fill(module, seed=0):
    """Sets every floating-point parameter and buffer of a torch module; returns the module."""
    import torch

    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(values(name, tensor.shape, seed)))
    return module


def images(size):
    """[IMAGES, 3, size, size]: blocks and noise; the images differ in the blocks' size, in brightness and in contrast."""
    n, c, y, x = np.meshgrid(*(np.arange(k, dtype=np.uint32) for k in (IMAGES, 3, size, size)), indexing="ij")
    plane = (n * np.uint32(3) + c) * np.uint32(0x9E3779B9)
    cell = n + np.uint32(3)
    block = mix(plane + (y >> cell) * np.uint32(0x85EBCA6B) + (x >> cell) * np.uint32(0xC2B2AE35)) >> np.uint32(24)
    noise = mix(plane + y * np.uint32(0x27D4EB2F) + x * np.uint32(0x165667B1)) >> np.uint32(24)
    value = block.astype(np.int32) * 3 + noise.astype(np.int32) - 510 + 256 * (n.astype(np.int32) - 1)
    return value.astype(np.float32) * np.float32([1 / 512, 1 / 256, 1 / 128]).reshape(-1, 1, 1, 1)


def sampled(count):
    """Which of an image's values are kept: spread over channels and places alike."""
    return np.arange(count) if count <= SAMPLES else (np.arange(SAMPLES, dtype=np.int64) * 982451653) % count
