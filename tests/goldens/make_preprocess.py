"""Goldens of decoding and preprocessing, made with Pillow and torchvision.

    python tests/goldens/make_preprocess.py

writes, beside itself,
  decode/*             tiny image files of every kind
  decode/expected.json for each its size and RGB bytes as Pillow reads them, and as its EXIF data asks for
  preprocess/resize.json   resize + centre crop of formula images, output bytes
  preprocess/effects.json  rotation and colour changes of a formula image

Made with Pillow 13.0.0 and torchvision 0.29.2.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import torchvision.transforms.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import InterpolationMode

HERE = Path(__file__).parent


def formula(height, width, seed):
    """An image of noise and gradients in squares of 4 x 4; `tests::formula` in src/preprocess/mod.rs is the same."""
    axes = [np.arange(n, dtype=np.uint32) for n in (height, width, 3)]
    y, x, c = np.meshgrid(*axes, indexing="ij")
    mixed = (x * np.uint32(73856093)) ^ (y * np.uint32(19349663)) ^ (c * np.uint32(83492791)) ^ np.uint32(seed)
    noise = mixed * np.uint32(2654435761) >> np.uint32(24)
    gradient = (x * 255 // np.uint32(width) + c * 50 + y) & 255
    return Image.fromarray(np.where((x // 4 + y // 4) % 2 == 0, noise, gradient).astype(np.uint8))


def plain(image):
    return {"height": image.height, "width": image.width, "rgb": np.asarray(image).tobytes().hex()}


def resize_cases():
    modes = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
    cases = [
        # height, width, resize, crop
        (40, 53, "shorter:16", "14"),
        (53, 40, "shorter:17", "12"),
        (9, 7, "shorter:20", "15"),
        (30, 11, "shorter:8", "none"),  # tall: Pillow starts with the columns
        (12, 12, "exact:9x20", "none"),
        (31, 10, "exact:7x22", "11"),
        (1, 37, "shorter:3", "5"),
        (37, 1, "shorter:2", "none"),
        (10, 13, "none", "16"),  # crop beyond the image: black around it
        (11, 16, "none", "13"),  # beyond it on one side
        (15, 18, "none", "6"),
        (1, 1, "exact:4x3", "none"),
    ]
    for i, (height, width, resize, crop) in enumerate(cases):
        for name, mode in modes.items():
            image = formula(height, width, i)
            kind, _, size = resize.partition(":")
            if kind == "shorter":
                image = F.resize(image, int(size), mode)
            elif kind == "exact":
                image = F.resize(image, [int(n) for n in size.split("x")], mode)
            elif name != "nearest":
                continue
            if crop != "none":
                image = F.center_crop(image, int(crop))
            spec = f"resize={resize},crop={crop},interp={name}"
            yield {"seed": i, "from": [height, width], "spec": spec, **plain(image)}


def effects():
    image = formula(13, 17, 99)
    yield {"effect": "none", "amount": 0, **plain(image)}
    for degrees in (7.5, -20, 90.25):
        yield {"effect": "rotate", "amount": degrees, **plain(image.rotate(degrees, Image.Resampling.BILINEAR))}
    for name in ("Brightness", "Contrast", "Color"):
        for factor in (0.75, 1.3125):
            yield {"effect": name.lower(), "amount": factor, **plain(getattr(ImageEnhance, name)(image).enhance(factor))}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(samples, colour_type):
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def images():
    """Name, file bytes, and the pixels wanted where Pillow's own reading is not what is wanted."""
    rgb = formula(11, 13, 5)
    gray = rgb.getchannel("G")
    alpha = formula(11, 13, 6).getchannel("R")
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    gray_alpha = Image.merge("LA", [gray, alpha])
    palette = rgb.quantize(20)
    one = gray.convert("1")
    cmyk = rgb.convert("CMYK")
    big = formula(19, 27, 7)

    def file(image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    for name, image, options in [
        ("rgb", rgb, {}), ("rgba", rgba, {}), ("gray", gray, {}), ("gray-alpha", gray_alpha, {}), ("palette", palette, {}),
        ("palette-transparent", palette, {"transparency": 3}), ("palette-4bit", rgb.quantize(13), {"bits": 4}), ("one-bit", one, {}),
    ]:
        yield f"{name}.png", file(image, "PNG", **options), None
    rng = np.random.default_rng(0)
    for name, channels, colour_type in [("gray16", 1, 0), ("gray-alpha16", 2, 4), ("rgb16", 3, 2), ("rgba16", 4, 6)]:
        samples = rng.integers(0, 65536, (11, 13, channels)).astype(np.uint16)
        # Pillow cuts gray off at 255; of all other kinds it keeps the high byte.
        colours = np.minimum(samples, 255) if channels == 1 else samples[..., : 1 if channels < 3 else 3] >> 8
        yield f"{name}.png", png16(samples, colour_type), Image.fromarray(np.broadcast_to(colours, (11, 13, 3)).astype(np.uint8))

    for name, image, options in [
        ("baseline", big, {}), ("progressive", big, {"progressive": True}), ("444", rgb, {"subsampling": 0}), ("422", big, {"subsampling": 1}),
        ("restarts", big, {"restart_marker_blocks": 1}), ("gray", gray, {}), ("cmyk", cmyk, {}),
    ]:
        yield f"{name}.jpg", file(image, "JPEG", **options), None
    # The same data declared as YCCK: Adobe's marker says transform 2.
    inverted = bytearray(file(cmyk, "JPEG"))
    inverted[inverted.index(b"Adobe") + 11] = 2
    yield "ycck.jpg", bytes(inverted), None

    yield "lossless.webp", file(rgb, "WEBP", lossless=True), None
    yield "lossy.webp", file(rgb, "WEBP"), None
    yield "alpha.webp", file(rgba, "WEBP", lossless=True), None
    for name, image in [("rgb", rgb), ("palette", palette), ("one-bit", one), ("gray", gray), ("rgba", rgba)]:
        yield f"{name}.bmp", file(image, "BMP"), None
    yield "palette.gif", file(palette, "GIF"), None
    yield "transparent.gif", file(palette, "GIF", transparency=3), None
    yield "animated.gif", file(palette, "GIF", save_all=True, append_images=[ImageOps.flip(rgb).quantize(20)]), None
    for name, image, options in [
        ("rgb", rgb, {}), ("lzw", rgb, {"compression": "tiff_lzw"}), ("deflate", rgb, {"compression": "tiff_deflate"}),
        ("packbits", rgb, {"compression": "packbits"}), ("fax", one, {"compression": "group4"}), ("gray", gray, {}), ("rgba", rgba, {}),
        ("cmyk", cmyk, {}), ("turned", rgb, {"tiffinfo": {0x112: 6}}),
    ]:
        yield f"{name}.tif", file(image, "TIFF", **options), None
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x112] = orientation
        yield f"exif-{orientation}.jpg", file(rgb, "JPEG", exif=exif, subsampling=0), None
    exif[0x112] = 6
    yield "exif-6.png", file(rgb, "PNG", exif=exif), None
    yield "exif-6.webp", file(rgb, "WEBP", exif=exif, lossless=True), None


def decode():
    for name, data, wanted in images():
        (HERE / "decode" / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        stored = image.convert("RGB")
        entry = {"file": name, **plain(wanted or stored)}
        if not wanted and turned.tobytes() != stored.tobytes():
            entry["turned"] = plain(turned)
        yield entry


def write(name, entries):
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


for folder in ("decode", "preprocess"):
    (HERE / folder).mkdir(exist_ok=True)
write("decode/expected.json", decode())
write("preprocess/resize.json", resize_cases())
write("preprocess/effects.json", effects())
