"""Goldens of the rarer kinds of image files, made with Pillow.

    python tests/goldens/make_images.py        needs pillow, numpy, imagecodecs

writes, beside itself,
  decode/odd-*          tiny image files, one of each kind
  decode/kinds.json     for each its size and RGB bytes as Pillow reads them, and as its orientation asks for

Made with Pillow 13.0.0 and imagecodecs 2026.3.6. Files that Pillow reads wrongly or not at all say here what is wanted instead.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent / "decode"
H, W = 11, 13
SHORT, LONG, RATIONAL, SSHORT, LONG8, UNDEFINED = 3, 4, 5, 8, 16, 7


def noise(channels, seed, low=0, high=256, dtype=np.uint8):
    """Blocks of one colour, so that little has to be stored, with a pixel of noise in each."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(low, high, (H // 4 + 1, W // 4 + 1, channels))
    image = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:H, :W]
    image[::4, ::4] = rng.integers(low, high, image[::4, ::4].shape)
    return image.astype(dtype)


RGB, RGBA, GRAY = noise(3, 1), noise(4, 2), noise(1, 3)
INDEX = noise(1, 4, 0, 16)


# ---- TIFF ----


def tiff(tags, chunks, order="<", big=False):
    """A file of one directory: tag -> (type, values); strips or tiles last. `tags` says which by 273 or 324."""
    word, inline, entry = ("Q", 8, "HHQ") if big else ("I", 4, "HHI")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,)))
    tiles = 324 in tags
    tags = {**tags, 324 if tiles else 273: (LONG8 if big else LONG, chunks), 325 if tiles else 279: (LONG, [len(c) for c in chunks])}
    body, offsets = bytearray(), []
    start = len(head) + struct.calcsize(order + word)
    for chunk in chunks:
        offsets.append(start + len(body))
        body += chunk + b"\0" * (len(chunk) % 2)
    entries = []
    for tag, (kind, values) in sorted(tags.items()):
        values = offsets if tag in (273, 324) else values
        if kind == RATIONAL:
            values = [n for v in values for n in (round(v * 10000), 10000)]
        letter = {SHORT: "H", LONG: "I", RATIONAL: "I", SSHORT: "h", LONG8: "Q", UNDEFINED: "B", 1: "B"}[kind]
        data = struct.pack(f"{order}{len(values)}{letter}", *values)
        count = len(values) // 2 if kind == RATIONAL else len(values)
        if len(data) > inline:
            place = start + len(body)
            body += data + b"\0" * (len(data) % 2)
            data = struct.pack(order + word, place)
        entries.append(struct.pack(order + entry, tag, kind, count) + data.ljust(inline, b"\0"))
    at = start + len(body)
    directory = struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries) + struct.pack(order + word, 0)
    return head + struct.pack(order + word, at) + bytes(body) + directory


def image_tags(bits, samples, photometric, rows=H, compression=1, planar=1, extra=(), kind=1, tile=None, predictor=1, **more):
    tags = {256: (LONG, [W]), 257: (LONG, [H]), 258: (SHORT, [bits] * samples), 259: (SHORT, [compression]), 262: (SHORT, [photometric]),
            277: (SHORT, [samples]), 284: (SHORT, [planar])}
    if tile:
        tags |= {322: (SHORT, [tile[0]]), 323: (SHORT, [tile[1]]), 324: (LONG, [])}
    else:
        tags[278] = (LONG, [rows])
    if extra:
        tags[338] = (SHORT, list(extra))
    if kind != 1:
        tags[339] = (SHORT, [kind] * samples)
    if predictor != 1:
        tags[317] = (SHORT, [predictor])
    return tags | {int(tag[1:]): value for tag, value in more.items()}


def packed(values, bits):
    """Rows of numbers of so many bits, the highest bits first, each row filled up to a byte."""
    def row(line):
        number = "".join(format(int(v), f"0{bits}b") for v in line.ravel())
        return bytes(int(number[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(number), 8))

    return b"".join(row(line) for line in values)


def strips(data, rows, row_bytes):
    return [data[i : i + rows * row_bytes] for i in range(0, len(data), rows * row_bytes)]


def tiles(image, width, height):
    """Tiles of an array, those at the edges filled up."""
    padded = np.pad(image, ((0, -image.shape[0] % height), (0, -image.shape[1] % width), (0, 0)), mode="edge")
    return [np.ascontiguousarray(padded[y : y + height, x : x + width]) for y in range(0, padded.shape[0], height)
            for x in range(0, padded.shape[1], width)]


def differences(image):
    return np.diff(image, axis=1, prepend=np.zeros_like(image[:, :1]))


def lzw(data):
    return imagecodecs.lzw_encode(bytes(data))


def old_lzw(data):
    """LZW as in the eighties: the lowest bits first; codes of nine bits only, with a fresh start often enough."""
    codes = []
    for i, byte in enumerate(data):
        codes += [256, byte] if i % 200 == 0 else [byte]
    number = sum(code << (9 * i) for i, code in enumerate(codes + [257]))
    return number.to_bytes((9 * (len(codes) + 1) + 7) // 8, "little")


def reversed_bits(data):
    return bytes(int(format(b, "08b")[::-1], 2) for b in data)


def palette(n):
    rng = np.random.default_rng(n)
    return (SHORT, [int(v) for v in rng.integers(0, 65536, 3 * n)])


def save(array, kind, mode=None, **options):
    out = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array.squeeze(), mode)
    image.save(out, kind, **options)
    return out.getvalue()


def tiffs():
    raw = RGB.tobytes()
    for name, order, big in [("big-ii", "<", True), ("big-mm", ">", True), ("mm", ">", False)]:
        # Pillow does not open BigTIFF whose highest bytes come first.
        yield f"{name}.tif", tiff(image_tags(8, 3, 2, rows=4), strips(raw, 4, 39), order, big), RGB if big and order == ">" else None
    for bits in (1, 2, 4, 8):
        tags = image_tags(bits, 1, 3, **{"_320": palette(1 << bits)})
        yield f"palette-{bits}.tif", tiff(tags, [packed(INDEX.astype(int) % (1 << bits), bits)])
    both = np.concatenate([INDEX, GRAY], 2)
    yield "palette-alpha.tif", tiff(image_tags(8, 2, 3, extra=[2], **{"_320": palette(256)}), [both.tobytes()])
    both = np.concatenate([GRAY, noise(1, 5)], 2)
    yield "gray-alpha.tif", tiff(image_tags(8, 2, 1, extra=[2]), [both.tobytes()])
    yield "gray-extra.tif", tiff(image_tags(8, 2, 1, extra=[0]), [both.tobytes()])
    # Pillow opens gray that was multiplied by alpha, but cannot convert it.
    wanted = np.where(both[..., 1:] > 0, np.minimum(both[..., :1].astype(int) * 255 // np.maximum(both[..., 1:], 1), 255), 0)
    yield "gray-premultiplied.tif", tiff(image_tags(8, 2, 1, extra=[1]), [both.tobytes()]), wanted.astype(np.uint8)
    for bits in (1, 2, 4, 8):
        values = noise(1, 6, 0, 1 << bits)
        for photometric, suffix in ((0, "-inverted"), (1, "")):
            yield f"gray-{bits}{suffix}.tif", tiff(image_tags(bits, 1, photometric), [packed(values, bits)])
        yield f"gray-{bits}-reversed.tif", tiff(image_tags(bits, 1, 1, **{"_266": (SHORT, [2])}), [reversed_bits(packed(values, bits))])
    yield "gray-12.tif", tiff(image_tags(12, 1, 1, rows=5), strips(packed(noise(1, 7, 0, 600), 12), 5, 20))
    for name, dtype, kind, low, high in [("16", "u2", 1, 0, 600), ("16-signed", "i2", 2, -300, 600), ("32-signed", "i4", 2, -300, 600),
                                         ("float", "f4", 3, -300, 600)]:
        values = noise(1, 8, low, high, np.float64) / (1.5 if kind == 3 else 1)
        for order, suffix in (("<", ""), (">", "-mm")):
            yield f"gray-{name}{suffix}.tif", tiff(image_tags(int(dtype[1]) * 8, 1, 1, kind=kind), [values.astype(order + dtype).tobytes()], order)
    yield "gray-32.tif", tiff(image_tags(32, 1, 1), [noise(1, 9, 0, 600, np.uint32).tobytes()])
    deep, deep_alpha = noise(3, 10, 0, 65536, np.uint16), noise(4, 11, 0, 65536, np.uint16)
    for order, suffix in (("<", ""), (">", "-mm")):
        yield f"rgb16{suffix}.tif", tiff(image_tags(16, 3, 2), [deep.astype(order + "u2").tobytes()], order)
        yield f"premultiplied16{suffix}.tif", tiff(image_tags(16, 4, 2, extra=[1]), [deep_alpha.astype(order + "u2").tobytes()], order)
    yield "premultiplied.tif", tiff(image_tags(8, 4, 2, extra=[1]), [RGBA.tobytes()])
    yield "premultiplied-extra.tif", tiff(image_tags(8, 5, 2, extra=[1, 0]), [noise(5, 12).tobytes()])
    yield "rgb-extra.tif", tiff(image_tags(8, 4, 2, extra=[0]), [RGBA.tobytes()])
    yield "planar.tif", tiff(image_tags(8, 3, 2, rows=4, planar=2), [s for c in range(3) for s in strips(RGB[..., c].tobytes(), 4, 13)])
    planes = [lzw(t.tobytes()) for c in range(3) for t in tiles(deep[..., c : c + 1], 16, 16)]
    yield "planar-tiles16.tif", tiff(image_tags(16, 3, 2, planar=2, compression=5, tile=(16, 16)), planes)
    planes = [zlib.compress(RGBA[..., c].tobytes()) for c in range(4)]
    yield "planar-premultiplied.tif", tiff(image_tags(8, 4, 2, planar=2, compression=8, extra=[1]), planes)
    yield "tiles.tif", tiff(image_tags(8, 3, 2, tile=(16, 16)), [t.tobytes() for t in tiles(RGB, 16, 16)])
    yield "lzw-predictor.tif", tiff(image_tags(8, 3, 2, compression=5, predictor=2), [lzw(differences(RGB).tobytes())])
    yield "lzw-old.tif", tiff(image_tags(8, 3, 2, compression=5), [old_lzw(raw)])
    for order, suffix in (("<", ""), (">", "-mm")):
        packed16 = zlib.compress(differences(deep).astype(order + "u2").tobytes())
        yield f"predictor16{suffix}.tif", tiff(image_tags(16, 3, 2, compression=8, predictor=2), [packed16], order)
    # Pillow leaves the predictor's work in place where bytes are packed in another way.
    yield "packbits-predictor.tif", tiff(image_tags(8, 3, 2, compression=32773, predictor=2), [imagecodecs.packbits_encode(raw)])
    values = noise(1, 8, -300, 600, np.float64).astype("<f4") / np.float32(1.5)
    yield "float-predictor.tif", tiff(image_tags(32, 1, 1, kind=3, compression=8, predictor=3),
                                      [zlib.compress(imagecodecs.floatpred_encode(values[..., 0], axis=-1, dist=1).tobytes())])
    yield "cmyk16.tif", tiff(image_tags(16, 4, 5), [deep_alpha.astype("<u2").tobytes()])
    yield "cmyk-extra.tif", tiff(image_tags(8, 5, 5, extra=[0]), [noise(5, 13).tobytes()])
    ycc = noise(3, 14)
    yield "ycbcr.tif", tiff(image_tags(8, 3, 6, **{"_530": (SHORT, [1, 1])}), [ycc.tobytes()])
    padded = np.pad(ycc, ((0, 1), (0, 1), (0, 0)), mode="edge")
    blocks = padded.reshape(6, 2, 7, 2, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 4, 3)
    blocks = np.concatenate([blocks[..., 0], blocks[:, 0, 1:]], 1).astype(np.uint8).tobytes()
    yield "ycbcr-blocks.tif", tiff(image_tags(8, 3, 6, compression=5, **{"_530": (SHORT, [2, 2])}), [lzw(blocks)])
    more = {"_530": (SHORT, [2, 2]), "_529": (RATIONAL, [0.2126, 0.7152, 0.0722]), "_532": (RATIONAL, [16, 235, 128, 240, 128, 240])}
    yield "ycbcr-bt709.tif", tiff(image_tags(8, 3, 6, compression=8, **more), [zlib.compress(blocks)])
    yield "lab.tif", tiff(image_tags(8, 3, 8), [noise(3, 15).tobytes()])
    smooth = Image.fromarray(RGB).resize((W, H))
    yield "jpeg-rgb.tif", save(smooth, "TIFF", compression="jpeg")
    yield "jpeg-ycbcr.tif", save(smooth.convert("YCbCr"), "TIFF", compression="jpeg")
    yield "jpeg-cmyk.tif", save(smooth.convert("CMYK"), "TIFF", compression="jpeg")
    yield "jpeg-gray.tif", save(smooth.convert("L"), "TIFF", compression="jpeg")
    one = Image.fromarray(GRAY.squeeze()).convert("1")
    for name, compression, info in [("runs", "tiff_ccitt", {}), ("group3", "group3", {}), ("group3-2d", "group3", {292: 1}), ("group4", "group4", {})]:
        yield f"fax-{name}.tif", save(one, "TIFF", compression=compression, tiffinfo=info)
    yield "turned-long.tif", tiff(image_tags(8, 3, 2, **{"_274": (LONG, [6])}), [raw])
    yield "turned-xmp.tif", tiff(image_tags(8, 3, 2, **{"_700": (1, list(XMP % 8))}), [raw])
    # A directory that names itself as the next one.
    loop = bytearray(tiff(image_tags(8, 3, 2), [raw]))
    loop[-4:] = loop[4:8]
    yield "loop.tif", bytes(loop)


# ---- BMP ----


def bmp(header, rest, pixels, start=None):
    start = 14 + len(header) + len(rest) if start is None else start
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rest) + len(pixels), 0, 0, start) + header + rest + pixels


def info(bits, compression=0, height=H, colours=0, size=40, planes=1, more=b""):
    return (struct.pack("<IiiHHIIiiII", size, W, height, planes, bits, compression, 0, 0, 0, colours, 0) + more).ljust(size, b"\0")


def rows(array):
    """Rows from the bottom up, filled up to four bytes."""
    return b"".join(line.tobytes().ljust(-(-len(line.tobytes()) // 4) * 4, b"\0") for line in array[::-1])


def bmps():
    masks = lambda *m: struct.pack(f"<{len(m)}I", *m)
    colours = np.random.default_rng(3).integers(0, 256, (16, 4)).astype(np.uint8).tobytes()
    sixteen = noise(1, 20, 0, 65536, np.uint16)
    yield "565.bmp", bmp(info(16, 3), masks(0xF800, 0x7E0, 0x1F), rows(sixteen))
    yield "555.bmp", bmp(info(16), b"", rows(sixteen))
    yield "555-masks.bmp", bmp(info(16, 3, size=56, more=masks(0x7C00, 0x3E0, 0x1F, 0)), b"", rows(sixteen))
    yield "masks32.bmp", bmp(info(32, 3, size=108, more=masks(0xFF, 0xFF00, 0xFF0000, 0xFF000000)), b"", rows(RGBA))
    yield "top-down.bmp", bmp(info(24, height=-H), b"", rows(RGB[::-1]))
    yield "planes.bmp", bmp(info(8, planes=2, colours=16), colours, rows(INDEX))
    yield "few-colours.bmp", bmp(info(8, colours=7), colours[:28], rows(INDEX))
    yield "os2.bmp", bmp(struct.pack("<IHHHH", 12, W, H, 1, 4), b"".join(colours[i : i + 3] for i in range(0, 64, 4)),
                         b"".join(packed(line[None], 4).ljust(8, b"\0") for line in INDEX[::-1]))
    yield "os2-v2.bmp", bmp(info(8, colours=16, size=64), colours, rows(INDEX))
    yield "headless.dib", info(24) + rows(RGB)
    # Runs, a copied piece, a step ahead over a gap, the end of a row before it is full.
    runs = bytes([5, 3, 0, 3, 1, 2, 9, 0, 0, 2, 2, 1, 4, 7, 0, 0]) + b"".join(bytes([W, y, 0, 0]) for y in range(9)) + b"\0\1"
    yield "rle8.bmp", bmp(info(8, 1, colours=16), colours, runs)
    runs = bytes([5, 0x3A, 0, 5, 0x12, 0x34, 0x50, 0, 0, 2, 2, 1, 4, 0x79, 0, 0]) + b"".join(bytes([W, 16 * y + 5, 0, 0]) for y in range(9)) + b"\0\1"
    yield "rle4.bmp", bmp(info(4, 2, colours=16), colours, runs)


# ---- GIF ----


def gif(frames, palette, size=(W, H), flags=0, transparent=None):
    """`frames`: place and indices; `flags`: interlaced (64), own palette (128)."""
    out = b"GIF89a" + struct.pack("<HHBBB", *size, 0x83 if palette else 0, 2, 0) + palette
    for (x, y), indices in frames:
        if transparent is not None:
            out += b"!\xf9\4" + bytes([1, 0, 0, transparent]) + b"\0"
        height, width = indices.shape
        own = bytes(range(48)) if flags & 128 else b""
        # Codes of five bits, with a fresh start before the table grows.
        codes = [c for i, v in enumerate(indices.ravel()) for c in ([16, int(v)] if i % 8 == 0 else [int(v)])] + [17]
        number = sum(code << (5 * i) for i, code in enumerate(codes))
        data = number.to_bytes((5 * len(codes) + 7) // 8, "little")
        blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
        out += b"," + struct.pack("<HHHHB", x, y, width, height, flags | (3 if own else 0)) + own + b"\4" + blocks + b"\0"
    return out + b";"


def gifs():
    colours = np.random.default_rng(5).integers(0, 256, 48).astype(np.uint8).tobytes()
    small, whole = INDEX[:5, :6, 0], INDEX[..., 0]
    yield "small.gif", gif([((3, 2), small)], colours)
    yield "small-transparent.gif", gif([((3, 2), small)], colours, transparent=7)
    yield "beyond.gif", gif([((9, 8), small)], colours)
    yield "own-palette.gif", gif([((0, 0), whole)], colours, flags=128)
    yield "interlaced.gif", gif([((0, 0), whole)], colours, flags=64)
    yield "no-palette.gif", gif([((1, 1), small)], b"")


# ---- PNG, WebP, JPEG ----


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, colour_type, *chunks, behind=()):
    """A PNG with chunks before its pixels, and behind them."""
    depth = samples.dtype.itemsize * 8
    lines = b"".join(b"\0" + line.astype(samples.dtype.newbyteorder(">")).tobytes() for line in samples)
    head = struct.pack(">IIBBBBB", W, H, depth, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(lines)), *behind, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
XMP_ELEMENT = b"<x:xmpmeta><tiff:Orientation>%d</tiff:Orientation></x:xmpmeta>"


def exif(value, kind=SHORT, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    data = struct.pack(order + ("H" if kind == SHORT else "I"), value).ljust(4, b"\0")
    return mark + struct.pack(order + "IHHHI", 8, 1, 274, kind, 1) + data + struct.pack(order + "I", 0)


def webp_chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp(flags, *chunks):
    size = lambda n: struct.pack("<I", n - 1)[:3]
    body = b"WEBP" + webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size(W) + size(H)) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webps():
    small = save(RGBA[:5, :6], "WEBP", lossless=True, exact=True)
    bits = small[small.index(b"VP8L") :]
    three = lambda n: struct.pack("<I", n)[:3]
    frame = lambda x, y: webp_chunk(b"ANMF", three(x // 2) + three(y // 2) + three(5) + three(4) + three(100) + b"\0" + bits)
    head = webp_chunk(b"ANIM", bytes([10, 200, 90, 255]) + b"\0\0")
    yield "animated.webp", webp(0x12, head, frame(4, 2), frame(0, 0))
    whole = save(RGB, "WEBP", lossless=True)
    bits = whole[whole.index(b"VP8L") :]
    yield "turned-xmp.webp", webp(4, bits, webp_chunk(b"XMP ", XMP_ELEMENT % 3))
    yield "turned-long.webp", webp(8, bits, webp_chunk(b"EXIF", exif(5, LONG)))
    yield "unannounced.webp", webp(0, bits, webp_chunk(b"EXIF", exif(5)))


def pngs():
    deep = noise(1, 30, 0, 600, np.uint16)
    yield "gray16-transparent.png", png(deep, 0, chunk(b"tRNS", struct.pack(">H", int(deep[0, 0, 0]))))
    text = lambda data: b"XML:com.adobe.xmp\0" + data
    yield "turned-xmp.png", png(RGB, 2, chunk(b"iTXt", text(b"\0\0\0\0" + XMP % 6)))
    yield "turned-xmp-compressed.png", png(RGB, 2, behind=[chunk(b"iTXt", text(b"\1\0\0\0" + zlib.compress(XMP % 8)))])
    yield "turned-long.png", png(RGB, 2, behind=[chunk(b"eXIf", exif(7, LONG, ">"))])
    data = b"Exif\0\0" + exif(3)
    profile = b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"
    yield "turned-profile.png", png(RGB, 2, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)))


def jpegs():
    plain = save(RGB, "JPEG", subsampling=0)
    segment = lambda marker, data: bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    put = lambda *segments: plain[:2] + b"".join(segments) + plain[2:]
    xmp = lambda n: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP % n)
    tag = lambda *of: segment(0xE1, b"Exif\0\0" + exif(*of))
    yield "turned-long.jpg", put(tag(6, LONG))
    yield "turned-long-mm.jpg", put(tag(8, LONG, ">"))
    yield "turned-xmp.jpg", put(xmp(5))
    yield "turned-both.jpg", put(xmp(6), tag(3))
    yield "upright-both.jpg", put(tag(1), xmp(6))
    whole = b"Exif\0\0" + exif(6)
    yield "turned-parts.jpg", put(segment(0xE1, whole[:20]), segment(0xE1, b"Exif\0\0" + whole[20:]))
    yield "turned-nowhere.jpg", put(tag(9))


def entry(name, data, wanted=None):
    (FOLDER / f"odd-{name}").write_bytes(data)
    plain = lambda a: {"height": a.shape[0], "width": a.shape[1], "rgb": a.tobytes().hex()}
    if wanted is not None:
        return {"file": f"odd-{name}", **plain(np.broadcast_to(wanted, (H, W, 3)))}
    read = lambda change: np.asarray(change(Image.open(io.BytesIO(data))).convert("RGB"))
    stored, turned = read(lambda image: image), read(ImageOps.exif_transpose)
    entry = {"file": f"odd-{name}", **plain(stored)}
    return entry if np.array_equal(stored, turned) else {**entry, "turned": plain(turned)}


entries = [entry(*kind) for kinds in (tiffs, bmps, gifs, pngs, webps, jpegs) for kind in kinds()]
(FOLDER / "kinds.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")
