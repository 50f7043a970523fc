"""Tokens as a file: JSON that says which codebook it belongs to.

    {"format": "vq-tokens", "version": 1, "codec": "vqvae", "revision": "main", "codebook_sha256": "...",
     "h": 16, "w": 16, "tokens": [[...], ...]}

`write` and `read` are inverses; `read` takes nothing it isn't sure of.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vq import editing
from vq.editing import LEAST, MOST, EditError, Grid

FORMAT, VERSION = "vq-tokens", 1
# 64 x 64 tokens, one a line and indented, take a tenth of it.
MAX_BYTES = 1_000_000

# code: (English, Chinese)
ERRORS: dict[str, tuple[str, str]] = {
    "huge": (
        "This file is larger than {limit} MB, far more than any token file: nothing was loaded.",
        "此文件超过 {limit} MB，远大于任何标记文件：未加载。",
    ),
    "json": (
        "This file is not JSON, or it is cut short: nothing was loaded.",
        "此文件不是 JSON，或内容不完整：未加载。",
    ),
    "foreign": (
        "This is not a token file: it lacks the entry {missing}.",
        "这不是标记文件：缺少 {missing} 项。",
    ),
    "version": (
        "This token file has format version {version}; only version {known} can be read.",
        "此标记文件的格式版本为 {version}；只能读取版本 {known}。",
    ),
    "codec": (
        "This token file belongs to the codec {codec}, which is not on this page.",
        "此标记文件属于编码器 {codec}，本页没有该编码器。",
    ),
    "revision": (
        "This token file was made with revision {revision} of {codec}; this page has revision {known}.",
        "此标记文件由 {codec} 的版本 {revision} 生成；本页的版本为 {known}。",
    ),
    "codebook": (
        "This token file was made with other weights of {codec}: its codebook is not the one on this page.",
        "此标记文件由 {codec} 的其他权重生成：其码本与本页不同。",
    ),
    "size": (
        "The token grid must have {least} to {most} whole cells a side; this file says {h} by {w}.",
        "标记网格每边须为 {least} 到 {most} 格；此文件写的是 {h} × {w}。",
    ),
    "rows": (
        "The tokens of this file don't fill the {h} by {w} grid it announces.",
        "此文件的标记与其声明的 {h} × {w} 网格不符。",
    ),
    "tokens": (
        "A token of this file is not a whole number from 0 to {last}.",
        "此文件中有标记不是 0 到 {last} 之间的整数。",
    ),
}


class TokenFileError(EditError):
    """A token file that can't be used. `code` is a key of ERRORS; str() is the English sentence."""

    table = ERRORS


class Source(NamedTuple):
    """What tokens belong to: a codec's name and revision, the sha256 of its codebook, and how many codes it has."""

    codec: str
    revision: str
    codebook_sha256: str
    codebook_size: int


def write(tokens: Grid, source: Source) -> str:
    """tokens (h,w) -> the file's text, a row a line. Raises EditError if the grid can't be read back."""
    editing.read_tokens(tokens.tolist(), source.codebook_size)
    head = {"format": FORMAT, "version": VERSION, "codec": source.codec, "revision": source.revision}
    h, w = tokens.shape
    head |= {"codebook_sha256": source.codebook_sha256, "h": h, "w": w}
    rows = ",\n  ".join(json.dumps(row) for row in tokens.tolist())
    return json.dumps(head, ensure_ascii=False)[:-1] + f', "tokens": [\n  {rows}\n]}}\n'


def parse(text: str) -> dict[str, Any]:
    """The file's entries, none of which has been looked at but format and version. Raises TokenFileError."""
    if len(text) > MAX_BYTES:
        raise TokenFileError("huge", limit=MAX_BYTES // 10**6)
    try:
        file = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenFileError("json") from error
    names = ("format", "version", "codec", "revision", "codebook_sha256", "h", "w", "tokens")
    if not isinstance(file, dict) or file.get("format") != FORMAT:
        raise TokenFileError("foreign", missing=f'"format": "{FORMAT}"')
    if (missing := next((name for name in names if name not in file), None)) is not None:
        raise TokenFileError("foreign", missing=f'"{missing}"')
    if not editing.is_whole(file["version"]) or file["version"] != VERSION:
        raise TokenFileError("version", version=_short(file["version"]), known=VERSION)
    return file


def read(text: str, sources: Mapping[str, Source]) -> tuple[Source, Grid]:
    """The file's text -> what it belongs to, one of `sources`, and its tokens (h,w). Raises TokenFileError.

    sources: by name of the codec; a mapping that loads them when asked for will do.
    """
    file = parse(text)
    name = file["codec"]
    if not isinstance(name, str) or name not in sources:
        raise TokenFileError("codec", codec=_short(name))
    source = sources[name]
    if file["revision"] != source.revision:
        raise TokenFileError("revision", codec=name, revision=_short(file["revision"]), known=source.revision)
    if file["codebook_sha256"] != source.codebook_sha256:
        raise TokenFileError("codebook", codec=name)
    return source, _tokens(file, source.codebook_size)


def _tokens(file: Mapping[str, Any], codebook_size: int) -> Grid:
    h, w, rows = file["h"], file["w"], file["tokens"]
    if not all(editing.is_whole(n) and LEAST <= n <= MOST for n in (h, w)):
        raise TokenFileError("size", least=LEAST, most=MOST, h=_short(h), w=_short(w))
    if not isinstance(rows, list) or len(rows) != h or any(not isinstance(row, list) or len(row) != w for row in rows):
        raise TokenFileError("rows", h=h, w=w)
    try:
        return editing.read_tokens(rows, codebook_size)
    except EditError as error:
        raise TokenFileError("tokens", last=codebook_size - 1) from error


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else type(value).__name__ if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
