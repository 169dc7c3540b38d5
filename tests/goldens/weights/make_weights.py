"""Writes the weight files of this folder with the libraries that people write them with: PyTorch, safetensors, h5py, Keras.

    pip install torch safetensors h5py tensorflow-cpu
    python tests/goldens/weights/make_weights.py

Values come from `../formula.py` (seed 0, the tensor's final name and shape), so that a reader can be checked without a list of them.
"""

import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import h5py
import numpy as np
import torch
from safetensors.torch import save_file

from formula import values


def formula(name, *shape):
    return torch.from_numpy(values(name, shape).copy())


def state_dict():
    """Every way in which a tensor can lie in its storage."""
    shared = torch.zeros(40)
    shared[4:16] = formula("shared.first.weight", 3, 4).flatten()
    shared[20:40:2] = formula("shared.second.bias", 10)
    state = torch.nn.Module().state_dict()  # an OrderedDict with _metadata
    state["conv.weight"] = formula("conv.weight", 4, 3, 3, 2)
    # As TensorFlow's HWIO kernels arrive in PyTorch: a transposed view of a contiguous array.
    state["hwio.weight"] = formula("hwio.weight", 4, 3, 3, 2).permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    state["channels_last.weight"] = formula("channels_last.weight", 4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    state["fc.weight"] = formula("fc.weight", 7, 5).t().contiguous().t()
    state["shared.first.weight"] = shared[4:16].view(3, 4)
    state["shared.second.bias"] = shared[20:40:2]
    state["parameter.weight"] = torch.nn.Parameter(formula("parameter.weight", 2, 6))
    state["half.weight"] = formula("half.weight", 3, 3).half()
    state["bfloat.weight"] = formula("bfloat.weight", 3, 3).bfloat16()
    state["double.weight"] = formula("double.weight", 3, 3).double()
    state["bn.num_batches_tracked"] = torch.tensor(123456)
    state["mask"] = torch.tensor([True, False, True])
    state["int"] = torch.tensor([-3, 4], dtype=torch.int32)
    state["empty.weight"] = torch.zeros(0, 4)
    return state


def torch_files():
    state = state_dict()
    torch.save(state, HERE / "zip.pth")
    torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    wrapped = {f"module.{name}": formula(name, 2, 3) for name in ("a.weight", "b.weight")}
    torch.save({"epoch": 3, "best": 0.5, "args": {"lr": [0.1, None]}, "state_dict": wrapped}, HERE / "checkpoint.pth")
    torch.save({"model": {"a.weight": torch.tensor([1.0, float("nan")])}}, HERE / "nan.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pth", _use_new_zipfile_serialization=False)
    torch.save({"loss": 0.5}, HERE / "no_tensors.pth")


def safetensors_file():
    plain = {name: formula(name, 2, 3) for name in ("a.weight", "b.weight")}
    plain["half.weight"] = formula("half.weight", 3, 3).half()
    plain["bfloat.weight"] = formula("bfloat.weight", 3, 3).bfloat16()
    plain["double.weight"] = formula("double.weight", 3, 3).double()
    plain["bn.num_batches_tracked"] = torch.tensor(123456)
    save_file(plain, HERE / "plain.safetensors", metadata={"format": "pt"})


def hdf5_file():
    """All the storage layouts, which Keras itself leaves at their default."""
    with h5py.File(HERE / "layouts.h5", "w") as f:
        group = f.create_group("model_weights/conv1")
        group.create_dataset("kernel.weight", data=values("conv1/kernel.weight", (3, 3, 2, 4)))
        group.create_dataset("packed.weight", data=values("conv1/packed.weight", (4, 6)), chunks=(3, 4), compression="gzip", shuffle=True)
        group.create_dataset("half.weight", data=values("conv1/half.weight", (3, 3)).astype("f2"))
        group.create_dataset("big.weight", data=values("conv1/big.weight", (3, 3)).astype(">f4"))
        group.create_dataset("double.weight", data=values("conv1/double.weight", (3, 3)).astype("f8"))
        group.create_dataset("text", data="not a number")
        group["circle"] = f["model_weights"]
        f.create_dataset("optimizer_weights/momentum", data=np.ones(3, "f4"))


def keras_files():
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.layers.Input((8, 8, 3)),
        keras.layers.Conv2D(4, 3, name="conv1"),
        keras.layers.BatchNormalization(name="bn1"),
        keras.layers.DepthwiseConv2D(3, name="depthwise"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, name="predictions"),
    ])
    for layer in model.layers:
        # The formula's names here: what the layer is called, then the variable's own name.
        layer.set_weights([values(f"{layer.name}.{v.name}.weight", v.shape) for v in layer.variables])
    model.save(HERE / "small.keras")
    model.save(HERE / "small.h5")
    model.save_weights(HERE / "small.weights.h5")


if __name__ == "__main__":
    torch_files()
    safetensors_file()
    hdf5_file()
    keras_files()
