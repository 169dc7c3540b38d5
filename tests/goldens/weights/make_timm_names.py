"""Writes timm_names.txt: which of timm's modules is which of torchvision's (or of efficientnet-lite-pytorch's).

    pip install torch torchvision timm efficientnet-lite-pytorch==0.1.0
    python tests/goldens/weights/make_timm_names.py

Both networks run once; the modules that hold parameters are paired in the order in which they are called. Nothing is known here of how either
library names things, so the list checks `src/weights/mapping/timm.rs` independently. Lines: backbone, timm's name, the graph's name.
"""

import pathlib

import timm
import torch
import torchvision

PAIRS = {
    "vgg11": "vgg11.tv_in1k",
    "vgg16_bn": "vgg16_bn.tv_in1k",
    "mobilenet_v2": "mobilenetv2_100.ra_in1k",
    "mobilenet_v3_large": "mobilenetv3_large_100.ra_in1k",
    "mobilenet_v3_small": "mobilenetv3_small_100.lamb_in1k",
    "efficientnet_b0": "efficientnet_b0.ra_in1k",
    "efficientnet_lite0": "tf_efficientnet_lite0.in1k",
    "efficientnet_lite1": "tf_efficientnet_lite1.in1k",
    "convnext_tiny": "convnext_tiny.fb_in1k",
    # Nothing to rename; the list proves it.
    "resnet18": "resnet18.tv_in1k",
    "resnext50_32x4d": "resnext50_32x4d.tv_in1k",
    "densenet121": "densenet121.tv_in1k",
    "inception_v3": "inception_v3.tv_in1k",
}


def called(model, size):
    """Names of the modules with parameters of their own, in the order of their calls; a parameter of a container comes before its children."""
    order = []
    for name, module in model.named_modules():
        if dict(module.named_parameters(recurse=False)):
            module.register_forward_pre_hook(lambda m, _, name=name: order.append((name, m)))
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    return order


def rows(module, name):
    """The name of a module whose children have no parameters; else those of its own parameters (ConvNeXt's layer scale)."""
    leaf = not any(True for child in module.children() for _ in child.parameters())
    return [name] if leaf else [f"{name}.{p}" for p, _ in module.named_parameters(recurse=False)]


def theirs(backbone):
    if "lite" in backbone:
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name(backbone.replace("_", "-", 1).replace("_", "-"))
    extra = {"init_weights": False, "aux_logits": True} if backbone == "inception_v3" else {}
    return getattr(torchvision.models, backbone)(weights=None, **extra)


lines = []
for backbone, entry in PAIRS.items():
    size = 299 if backbone == "inception_v3" else 224
    left, right = called(timm.create_model(entry, pretrained=False), size), called(theirs(backbone), size)
    left = [(row, m) for name, m in left for row in rows(m, name)]
    right = [(row, m) for name, m in right for row in rows(m, name)]
    assert len(left) == len(right), (backbone, len(left), len(right))
    for (a, m), (b, n) in zip(left, right):
        sizes = [[p.numel() for p in x.parameters(recurse=False)] for x in (m, n)]
        assert sizes[0] == sizes[1], (backbone, a, b)
        if a != b or a.endswith(("0.conv1", "fc")):
            lines.append(f"{backbone} {a} {b}")
(pathlib.Path(__file__).parent / "timm_names.txt").write_text("\n".join(lines) + "\n")
