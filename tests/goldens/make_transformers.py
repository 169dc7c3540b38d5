"""Goldens of the transformers: what torchvision and transformers compute (in float64) for weights and images from formulas, and how libraries
name their tensors.

    pip install torch torchvision transformers timm open_clip_torch safetensors numpy
    python make_transformers.py [NAME…]

Writes `backbones/NAME.safetensors` as make_backbones.py does, and `weights/transformer_names.txt`. Every network of several libraries that is the
same one is filled with the same weights through OURS, a renaming that knows nothing of the one in `src/weights/mapping`, and must give the
same features: so the list of names is proven by what the networks compute.
"""

import math
import re
import sys
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
import torchvision
import transformers
from safetensors.numpy import save_file

from formula import images, sampled, values

BLOCKS = 12
INNER = 5

# Regular expressions over a library's names: ours, with the number of the block as \1. `q`, `k` and `v` mark parts of one matrix.
OURS = {
    "timm": [(r"(.*)", r"\1")],
    "torchvision": [
        (r"class_token", "cls_token"),
        (r"conv_proj\.(\w+)", r"patch_embed.proj.\1"),
        (r"encoder\.pos_embedding", "pos_embed"),
        (r"encoder\.layers\.encoder_layer_(\d+)\.ln_(\d)\.(\w+)", r"blocks.\1.norm\2.\3"),
        (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(\w+)", r"blocks.\1.attn.qkv.\2"),
        (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.(\w+)", r"blocks.\1.attn.proj.\2"),
        (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.0\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
        (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.3\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
        (r"encoder\.ln\.(\w+)", r"norm.\1"),
        (r"heads\.head\.(\w+)", r"head.\1"),
    ],
    "huggingface": [
        (r"(?:vit\.|dinov2\.)?embeddings\.cls_token", "cls_token"),
        (r"(?:vit\.|dinov2\.)?embeddings\.mask_token", "mask_token"),
        (r"(?:vit\.|dinov2\.)?embeddings\.position_embeddings", "pos_embed"),
        (r"(?:vit\.|dinov2\.)?embeddings\.patch_embeddings\.projection\.(\w+)", r"patch_embed.proj.\1"),
        (r"(?:vit\.|dinov2\.)?encoder\.layer\.(\d+)\.attention\.attention\.(q|k|v)\w+\.(\w+)", r"blocks.\1.attn.qkv.\3 \2"),
        (r"(?:vit\.|dinov2\.)?encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)", r"blocks.\1.attn.proj.\2"),
        (r"vit\.encoder\.layer\.(\d+)\.layernorm_before\.(\w+)", r"blocks.\1.norm1.\2"),
        (r"vit\.encoder\.layer\.(\d+)\.layernorm_after\.(\w+)", r"blocks.\1.norm2.\2"),
        (r"vit\.encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
        (r"vit\.encoder\.layer\.(\d+)\.output\.dense\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
        (r"dinov2\.encoder\.layer\.(\d+)\.(norm\d|mlp\.fc\d)\.(\w+)", r"blocks.\1.\2.\3"),
        (r"dinov2\.encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.ls\2.gamma"),
        (r"(?:vit\.|dinov2\.)?layernorm\.(\w+)", r"norm.\1"),
        (r"classifier\.(\w+)", r"head.\1"),
        (r"vision_model\.embeddings\.class_embedding", "cls_token"),
        (r"vision_model\.embeddings\.position_embedding\.weight", "pos_embed"),
        (r"vision_model\.embeddings\.patch_embedding\.(\w+)", r"patch_embed.proj.\1"),
        (r"vision_model\.pre_layrnorm\.(\w+)", r"norm_pre.\1"),
        (r"vision_model\.post_layernorm\.(\w+)", r"norm.\1"),
        (r"vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.(\w+)", r"blocks.\1.norm\2.\3"),
        (r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.(q|k|v)_proj\.(\w+)", r"blocks.\1.attn.qkv.\3 \2"),
        (r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.(\w+)", r"blocks.\1.attn.proj.\2"),
        (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc(\d)\.(\w+)", r"blocks.\1.mlp.fc\2.\3"),
        (r"visual_projection\.weight", "head.weight"),
    ],
    "openai": [
        (r"visual\.class_embedding", "cls_token"),
        (r"visual\.positional_embedding", "pos_embed"),
        (r"visual\.proj", "head.weight T"),
        (r"visual\.conv1\.weight", "patch_embed.proj.weight"),
        (r"visual\.ln_pre\.(\w+)", r"norm_pre.\1"),
        (r"visual\.ln_post\.(\w+)", r"norm.\1"),
        (r"visual\.transformer\.resblocks\.(\d+)\.ln_(\d)\.(\w+)", r"blocks.\1.norm\2.\3"),
        (r"visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(\w+)", r"blocks.\1.attn.qkv.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.attn\.out_proj\.(\w+)", r"blocks.\1.attn.proj.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.mlp\.c_fc\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.mlp\.c_proj\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
    ],
}


def ours(library, name):
    """Our name for a library's, and `q`, `k`, `v` (a third of our rows), `T` (transposed) or nothing."""
    for pattern, name_of in OURS[library]:
        match = re.fullmatch(pattern, name)
        if match:
            return (*match.expand(name_of).split(" "), "")[:2]
    raise KeyError(f"{library}: {name}")


def tensor(name, how, shape):
    """The formula's values for a stored tensor."""
    if how == "T":
        return values(name, shape[::-1]).T
    if how:
        whole = values(name, [3 * shape[0], *shape[1:]])
        return np.split(whole, 3)["qkv".index(how)]
    # The formula goes by the shape of our tensors only through fan-in, which positions and class tokens do not have.
    return values(name, shape)


def on_disk(model):
    """A model's own state dict; for one of transformers', with the names that it saves under, which are not those of its modules."""
    if not isinstance(model, transformers.PreTrainedModel):
        return model.state_dict()
    import tempfile

    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def filled(library, model, keep=lambda name: True):
    """The model with weights by the formula, in float64, and its list of names, shapes and what they are to us."""
    state, names = on_disk(model), []
    for name, value in state.items():
        if keep(name) and value.is_floating_point():
            name_of_ours, how = ours(library, name)
            names.append((name, list(value.shape), name_of_ours, how))
            state[name] = torch.from_numpy(np.ascontiguousarray(tensor(name_of_ours, how, list(value.shape))))
    if isinstance(model, transformers.PreTrainedModel):
        model = type(model).from_pretrained(None, config=model.config, state_dict=state)
    else:
        model.load_state_dict(state)
    return model.eval().double(), names


def hub_positions(self, embeddings, height, width):
    """Positions as DINOv2's own code asks for them (`interpolate_offset=0.1`, `interpolate_antialias=False`): by scale factor, not by size."""
    grid = math.isqrt(self.position_embeddings.shape[1] - 1)
    rows, columns = height // 14, width // 14
    if rows == columns == grid:
        return self.position_embeddings
    first, patches = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
    patches = patches.unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / grid, (columns + 0.1) / grid)
    patches = torch.nn.functional.interpolate(patches, scale_factor=scale, mode="bicubic")
    assert patches.shape[2:] == (rows, columns)
    return torch.cat([first, patches.flatten(2).transpose(1, 2)], 1)


def torchvision_vit(x):
    model, names = filled("torchvision", torchvision.models.vit_b_16(weights=None))
    kept = {}
    model.encoder.layers[INNER].register_forward_hook(lambda m, i, o: kept.__setitem__("inner", o))
    model.encoder.register_forward_hook(lambda m, i, o: kept.__setitem__("last", o))
    logits = model(x)
    return {"tokens": kept["last"], f"blocks.{INNER}": kept["inner"], "logits": logits}, names


def huggingface_vit(x):
    config = transformers.ViTConfig(layer_norm_eps=1e-6, num_labels=1000, attn_implementation="eager")
    model, names = filled("huggingface", transformers.ViTForImageClassification(config))
    out = model(x, interpolate_pos_encoding=True, output_hidden_states=True)
    tokens = model.vit.layernorm(out.hidden_states[-1])
    return {"tokens": tokens, f"blocks.{INNER}": out.hidden_states[INNER + 1], "logits": out.logits}, names


def huggingface_dinov2(width, positions=hub_positions):
    def run(x):
        config = transformers.Dinov2Config(
            hidden_size=width, num_attention_heads=width // 64, image_size=518, patch_size=14, num_labels=1000, attn_implementation="eager"
        )
        model, names = filled("huggingface", transformers.Dinov2ForImageClassification(config))
        if positions:
            kind = type(model.dinov2.embeddings)
            model.dinov2.embeddings.interpolate_pos_encoding = positions.__get__(model.dinov2.embeddings, kind)
        out = model(x, output_hidden_states=True)
        tokens = model.dinov2.layernorm(out.hidden_states[-1])
        return {"tokens": tokens, f"blocks.{INNER}": out.hidden_states[INNER + 1], "logits": out.logits}, names

    return run


def huggingface_clip(patch):
    def run(x):
        config = transformers.CLIPVisionConfig(patch_size=patch, attn_implementation="eager")
        model, names = filled("huggingface", transformers.CLIPVisionModelWithProjection(config))
        out = model(x, interpolate_pos_encoding=True, output_hidden_states=True)
        tokens = model.vision_model.post_layernorm(out.hidden_states[-1])
        return {"tokens": tokens, f"blocks.{INNER}": out.hidden_states[INNER + 1], "embed": out.image_embeds}, names

    return run


def open_clip_clip(name):
    def run(x):
        model, names = filled("openai", open_clip.create_model(name), lambda stored: stored.startswith("visual."))
        visual = model.visual
        visual.output_tokens = True
        embed, patches = visual(x)
        return {"patch-mean": patches.mean(1), "embed": embed}, names

    return run


def timm_vit(name, **more):
    def run(x):
        model, names = filled("timm", timm.create_model(name, dynamic_img_size=True, **more))
        tokens = model.forward_features(x)
        return {"tokens": tokens, **({"logits": model(x)} if model.num_classes == 1000 else {})}, names

    return run


# name: {size: the libraries that compute it, the first for the golden, the others to be compared}
NETS = {
    "vit_b_16": {
        224: {"torchvision": torchvision_vit, "huggingface": huggingface_vit, "timm": timm_vit("vit_base_patch16_224")},
        160: {"huggingface": huggingface_vit},
    },
    "dinov2_vits14": {
        224: {"huggingface": huggingface_dinov2(384)},
        168: {"huggingface": huggingface_dinov2(384)},
        518: {"huggingface": huggingface_dinov2(384), "timm": timm_vit("vit_small_patch14_dinov2")},
    },
    "dinov2_vitb14": {224: {"huggingface": huggingface_dinov2(768)}},
    "clip_vit_b_32": {
        224: {"huggingface": huggingface_clip(32), "openai": open_clip_clip("ViT-B-32-quickgelu")},
        160: {"huggingface": huggingface_clip(32)},
    },
    "clip_vit_b_16": {224: {"huggingface": huggingface_clip(16), "openai": open_clip_clip("ViT-B-16-quickgelu")}},
}


def taps(result):
    """Our taps from what a library gave."""
    tokens = result.pop("tokens", None)
    if tokens is not None:
        result.update({"gap": tokens[:, 0], "patch-mean": tokens[:, 1:].mean(1)})
    return {tap: value.flatten(1).numpy() for tap, value in result.items()}


def error(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want - want.mean(0))


def listing(backbone, library, names):
    """Lines `backbone library name shape ours how`; what all blocks have in common once, with `*` for the block's number."""
    lines = {}
    for name, shape, name_of_ours, how in names:
        block = re.fullmatch(r"blocks\.(\d+)\..*", name_of_ours)
        if block:
            number = block[1]
            name = re.sub(rf"(?<=[._]){number}(?=\.)", "*", name, count=1)
            name_of_ours = name_of_ours.replace(f"blocks.{number}.", "blocks.*.")
        line = f"{backbone} {library} {name} {'x'.join(map(str, shape))} {name_of_ours} {how or '-'}"
        lines[line] = lines.get(line, 0) + 1
    assert all(count == (BLOCKS if "blocks.*" in line else 1) for line, count in lines.items()), lines
    return list(lines)


def main(wanted):
    folder = Path(__file__).parent
    lines = []
    for backbone in wanted or NETS:
        golden = {}
        for size, libraries in NETS[backbone].items():
            x = torch.from_numpy(images(size)).double()
            want = None
            for library, run in libraries.items():
                with torch.no_grad():
                    result, names = run(x)
                got = taps(result)
                new = listing(backbone, library, names)
                lines += [line for line in new if line not in lines]
                if want is None:
                    want = got
                    for tap, value in got.items():
                        spread = np.sqrt(((value - value.mean(0)) ** 2).mean()) / np.sqrt((value**2).mean())
                        print(f"{backbone:14} {size} {tap:12} {value.shape[1]:7} rms {np.sqrt((value**2).mean()):8.3g}, of it between images {spread:.2f}")
                        golden[f"{size}/{tap}"] = np.ascontiguousarray(value[:, sampled(value.shape[1])].astype(np.float32))
                for tap in sorted(got.keys() & want.keys()) if got is not want else []:
                    print(f"{backbone:14} {size} {tap:12} {library} {error(got[tap], want[tap]):.1e}")
                    assert error(got[tap], want[tap]) < 1e-6, (backbone, library, tap)
            if backbone == "dinov2_vits14" and size != 518:
                with torch.no_grad():
                    plain = taps(huggingface_dinov2(384, None)(x)[0])
                print(f"{backbone:14} {size} transformers' own positions, by size: gap differs by {error(plain['gap'], want['gap']):.1e}")
        save_file(golden, folder / "backbones" / f"{backbone}.safetensors", {"conditions": "0 1.0"})
    if not wanted:
        (folder / "weights" / "transformer_names.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(sys.argv[1:])
