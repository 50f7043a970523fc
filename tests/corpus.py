"""Files that visitors may bring, most of them bad: every format the pinned Pillow knows, and what pretends to be one.

All are made on the spot from fixed seeds, so that a file has one name and one content for ever.
"""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from pictures import KINDS, encoded, photo
from PIL import Image, ImageCms

# Pillow writes these only with the help of other programs.
STUBS = {"BUFR", "GRIB", "HDF5", "WMF", "PDF", "EPS"}
MODES = ("RGB", "L", "P", "1", "F")


class Upload(NamedTuple):
    """A file as it is uploaded. picture: whether it must give a picture, must not, or may do either (None)."""

    name: str
    data: bytes
    picture: bool | None = None


def corpus() -> list[Upload]:
    """All files, more than five hundred, in a fixed order; names are unique."""
    return [*special(), *mangled(), *heavy()]


def draw(every: int) -> list[Upload]:
    """A shorter corpus: all that is special, and of the mangled files one in `every`."""
    return [*special(), *list(mangled())[::every]]


def written() -> dict[str, bytes]:
    """One whole file of each format that Pillow writes by itself."""
    Image.init()
    found = {}
    for format in sorted(set(Image.SAVE) - STUBS):
        for mode in MODES:
            try:
                found[format] = encoded(photo(64, 48).convert(mode), format)
                break
            except (OSError, ValueError, KeyError):
                continue
    return found


def handmade() -> dict[str, bytes]:
    """One small file of the formats that Pillow only reads, as their specifications have it."""
    pixels = bytes(range(256)) * 3
    ico = encoded(photo(16, 16), "ICO", sizes=[(16, 16)], bitmap_format="bmp")
    pcx = encoded(photo(16, 16), "PCX")
    card = [b"SIMPLE  =                    T", b"BITPIX  =                    8", b"NAXIS   =                    2"]
    card += [b"NAXIS1  =                   16", b"NAXIS2  =                   16", b"END"]
    fits = b"".join(line.ljust(80) for line in card).ljust(2880) + pixels[:256]
    zipped = [b"XTENSION= 'BINTABLE'", b"BITPIX  =                    8", b"NAXIS   =                    2"]
    xpm = b'/* XPM */\nstatic char *x[] = {\n"2 2 2 1",\n"a c #ff0000",\n"b c #0000ff",\n"ab",\n"ba"\n};\n'
    words = {2: 4, 9: 16, 10: 16, 11: 1, 14: 1, 34: 256}  # as McIDAS counts them, from 1
    area = struct.pack(">64i", *(words.get(i, 0) for i in range(1, 65)))
    return {
        "CUR": ico[:2] + b"\2" + ico[3:],
        "DCX": struct.pack("<3I", 0x3ADE68B1, 12, 0) + pcx,
        "FITS": fits,
        "FITSGZ": b"".join(line.ljust(80) for line in zipped).ljust(2880) + gzip.compress(bytes(10**6)),
        "FLI": struct.pack("<IHHHHHHI", 128 + 22, 0xAF11, 1, 16, 16, 8, 0, 5).ljust(128, b"\0") + bytes(22),
        "FTEX": b"FTEX" + struct.pack("<5I", 1, 4, 4, 1, 1) + struct.pack("<3I", 0, 32, 16) + bytes(64),
        "GBR": struct.pack(">5I", 28, 2, 16, 16, 1) + b"GIMP" + struct.pack(">I", 10) + pixels[:256],
        "IMT": b"*\nwidth 16\nheight 16\n\x0c" + pixels[:256],
        "IPTC": b"\x1c\x03\x3c\x00\x02\x01\x00"
        + b"\x1c\x03\x14\x00\x02\x00\x10"
        + b"\x1c\x08\x0a\x00\x10"
        + pixels[:16],
        "MCIDAS": area + pixels[:256],
        "MPEG": b"\x00\x00\x01\xb3\x01\x00\x10" + pixels[:64],
        "PCD": b"PCD_OPA".rjust(2048 + 7, b"\0") + bytes(4096),
        "PIXAR": b"\x80\xe8\x00\x00".ljust(416, b"\0") + struct.pack("<2H", 16, 16) + struct.pack("<4H", 14, 2, 0, 0),
        "PSD": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 16, 8, 3) + bytes(12) + b"\0\0" + pixels,
        "SUN": struct.pack(">8I", 0x59A66A95, 16, 16, 24, 768, 1, 0, 0) + pixels,
        "XPM": xpm,
        "XVTHUMB": b"P7 332\n#END_OF_COMMENTS\n16 16 255\n" + pixels[:256],
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n",
        "WMF": b"\xd7\xcd\xc6\x9a\x00\x00" + struct.pack("<4hHIH", 0, 0, 64, 64, 72, 0, 0) + b"\x01\x00\x09\x00",
        "BUFR": b"BUFR" + bytes(64),
        "GRIB": b"GRIB\0\0\0\1" + bytes(64),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
        "PDF": encoded(photo(64, 48), "PDF"),
    }


def mangled() -> Iterator[Upload]:
    """Each file whole, cut at several places, with some bits turned, and under the name of another format."""
    files = written() | handmade()
    names = list(files)
    for i, (format, data) in enumerate(files.items()):
        dice = random.Random(format)
        yield Upload(f"{format}.{format.lower()}", data, True if format in {"PNG", "JPEG", "GIF", "BMP"} else None)
        for share in (0.02, 0.3, 0.7, 0.97):
            yield Upload(f"{format}-cut-{share}.{format.lower()}", data[: max(1, int(len(data) * share))])
        for turned in (1, 8, 64):
            yield Upload(f"{format}-flipped-{turned}.{format.lower()}", flipped(data, turned, dice))
        other = names[(i + 5) % len(names)]
        yield Upload(f"{format}-renamed.{other.lower()}", data)
        yield Upload(f"{format}-tail.{format.lower()}", data + dice.randbytes(500))


def flipped(data: bytes, count: int, dice: random.Random) -> bytes:
    turned = bytearray(data)
    for _ in range(count):
        turned[dice.randrange(len(turned))] ^= 1 << dice.randrange(8)
    return bytes(turned)


def special() -> Iterator[Upload]:
    """What has bitten one program or another."""
    for kind, make in KINDS.items():
        yield Upload(f"kind-{kind}.png", make(), True)
    yield Upload("empty.png", b"", False)
    yield Upload("text.png", b"this is no picture\n" * 40, False)
    yield Upload("text.txt", "图片".encode(), False)
    yield Upload("svg.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script/></svg>', False)
    yield Upload("svg.png", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', False)
    yield Upload("page.html", b"<html><script>alert(1)</script></html>", False)
    yield Upload("heic.heic", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(400), False)
    yield Upload("heic.jpg", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(400), False)
    yield Upload("zip.zip", zipped(), False)
    yield Upload("zip.png", zipped(), False)
    yield Upload("zeros.png", bytes(100_000), False)
    yield Upload("ones.jpg", b"\xff" * 100_000, False)
    yield Upload("noise.jpg", random.Random(0).randbytes(100_000), False)
    yield Upload("elf.png", b"\x7fELF" + bytes(100), False)
    yield Upload("one.png", encoded(Image.new("RGB", (1, 1)), "PNG"), True)
    yield Upload("thin.png", encoded(Image.new("RGB", (1, 20_000), "teal"), "PNG"), True)
    yield Upload("flat.png", encoded(Image.new("RGB", (20_000, 1), "teal"), "PNG"), True)
    yield Upload("flat.tiff", encoded(Image.new("RGB", (20_000, 1), "teal"), "TIFF"), True)
    yield Upload("bilevel.png", encoded(photo().convert("1"), "PNG"), True)
    yield Upload("sixteen.tiff", encoded(sixteen(), "TIFF"), True)
    yield Upload(
        "thirtytwo.tiff", encoded(Image.fromarray(np.arange(4096, dtype=np.int32).reshape(64, 64)), "TIFF"), True
    )
    floats = np.linspace(-1e30, 1e30, 4096, dtype=np.float32).reshape(64, 64)
    floats[0, :3] = np.nan, np.inf, -np.inf
    yield Upload("float.tiff", encoded(Image.fromarray(floats), "TIFF"))
    yield Upload("constant-float.tiff", encoded(Image.fromarray(np.zeros((64, 64), np.float32)), "TIFF"), True)
    yield Upload("constant-int.tiff", encoded(Image.fromarray(np.full((64, 64), -7, np.int32)), "TIFF"), True)
    yield Upload("cmyk.jpg", encoded(photo().convert("CMYK"), "JPEG"), True)
    yield Upload("cmyk.tiff", encoded(photo().convert("CMYK"), "TIFF"), True)
    yield Upload("lab.tiff", encoded(lab(), "TIFF"), True)
    yield Upload("ycbcr.jpg", encoded(photo().convert("YCbCr"), "JPEG"), True)
    yield Upload("alpha-only.png", encoded(Image.new("LA", (64, 64), (0, 0)), "PNG"), True)
    yield Upload("alpha-nothing.png", encoded(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), "PNG"), True)
    yield Upload("palette-alpha.png", encoded(photo().quantize(8), "PNG", transparency=bytes([0, 128] * 4)), True)
    frames = [photo(32, 32 + i) for i in range(40)]
    yield Upload("animated.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), True)
    yield Upload("animated.webp", encoded(photo(), "WEBP", save_all=True, append_images=[photo()] * 20), True)
    yield Upload("animated.png", encoded(photo(), "PNG", save_all=True, append_images=[photo()] * 20), True)
    for turn in range(10):  # 9 stands for none that there is
        exif = Image.Exif()
        exif[274] = turn
        yield Upload(f"turned-{turn}.jpg", encoded(photo(), "JPEG", exif=exif), True)
    yield Upload("exif-junk.jpg", encoded(photo(), "JPEG", exif=b"Exif\0\0" + bytes(range(256))), True)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    yield Upload("profile.png", encoded(photo(), "PNG", icc_profile=srgb), True)
    yield Upload("profile-of-others.png", encoded(photo(), "PNG", icc_profile=grey), True)
    yield Upload("profile-junk.jpg", encoded(photo(), "JPEG", icc_profile=b"junk" * 100), True)
    yield Upload("profile-cut.png", encoded(photo(), "PNG", icc_profile=srgb[:200]), True)
    yield Upload("profile-cmyk.jpg", encoded(photo().convert("CMYK"), "JPEG", icc_profile=srgb), True)
    # Names that aren't names.
    for name in ("../../escape.png", "..", "a\0b.png", "/etc/passwd", "图片 🧩.png", "x" * 300 + ".png", "", " "):
        yield Upload(name or "nameless", KINDS["png"]())
    yield from bombs()


def bombs() -> Iterator[Upload]:
    """Small files that say, or are, something huge."""
    for side in (20_000, 65_535, 2**31 - 1):
        yield Upload(f"bomb-claims-{side}.png", claiming(side), False)
    yield Upload("bomb-claims.gif", b"GIF89a" + struct.pack("<2H", 65_535, 65_535) + bytes(20), False)
    yield Upload("bomb-claims.bmp", bmp(60_000, 60_000), False)
    yield Upload("bomb-claims.tga", struct.pack("<3B5x4H2B", 0, 0, 2, 0, 0, 60_000, 60_000, 24, 0), False)
    yield Upload("bomb-claims.psd", b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 60_000, 60_000, 8, 3) + bytes(14), False)
    yield Upload("bomb-claims.sgi", b"\x01\xda\x00\x01" + struct.pack(">4H", 3, 60_000, 60_000, 3) + bytes(500), False)
    # 90 million pixels are within the limit, though no screen shows them: ninety megabytes of one colour in 90 kB.
    yield Upload("bomb-real.png", encoded(Image.new("L", (9_000, 10_000), 90), "PNG", compress_level=9), True)
    yield Upload("bomb-text.png", with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
    yield Upload("bomb-profile.png", with_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
    yield Upload("bomb-fits.fits", handmade()["FITSGZ"])


def heavy() -> Iterator[Upload]:
    """Pictures within the limit that take the most memory on their way to 8-bit RGB."""
    yield Upload(
        "bomb-alpha.png", encoded(Image.new("RGBA", (9_000, 10_000), (9, 90, 9, 90)), "PNG", compress_level=1), True
    )
    yield Upload("bomb-sixteen.png", encoded(Image.new("I;16", (9_000, 10_000), 900), "PNG", compress_level=1), True)


def claiming(side: int) -> bytes:
    """A PNG that says it is side x side, with hardly anything in it."""
    data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    data = encoded(photo(), "PNG")
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.png", KINDS["png"]())
    return file.getvalue()


def sixteen() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16))


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(photo(), *profiles, outputMode="LAB")
