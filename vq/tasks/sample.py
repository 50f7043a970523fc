"""New pictures: a prior draws tokens one after the other, or a latent vector at once, and the codec decodes them.

What is drawn fits in one line of text, from which the same pictures come again, byte for byte, as long as the weights
are the same.
"""

import hashlib
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor

from vq.catalogue import GAUSSIANS, PRIORS
from vq.codec import Codec, device_of
from vq.editing import is_whole, read_cells, read_tokens
from vq.image import to_picture
from vq.messages import LANGUAGES, Language
from vq.tasks.common import Load, LoadPrior

if TYPE_CHECKING:  # what it imports takes seconds
    from vq.prior import GaussianPrior, Prior

MAX_PICTURES = 16
SEEDS = 2**53  # a browser's numbers are exact below it
INTERVAL = 0.2  # seconds between two previews
PREFIX = "vq-sample"

# code: (English, Chinese)
ERRORS: dict[str, tuple[str, str]] = {
    "model": ("The model must be one of {names}.", "模型须为以下之一：{names}。"),
    "n": (f"The number of pictures must be 1 to {MAX_PICTURES}.", f"图片数须为 1 到 {MAX_PICTURES}。"),
    "seed": (
        f"The seed must be a whole number from 0 to {SEEDS - 1}, or -1 to draw one.",
        f"随机种子须为 0 到 {SEEDS - 1} 的整数，或用 -1 随机抽取。",
    ),
    "temperature": (
        "The temperature must be 0, or from 0.01 to 10; leave it empty for the default.",
        "温度须为 0，或 0.01 到 10；留空则用默认值。",
    ),
    "top_k": (
        "top-k must be a whole number, 0 for all codes; leave it empty for the default.",
        "top-k 须为整数，0 表示全部码字；留空则用默认值。",
    ),
    "top_p": (
        "top-p must be above 0 and at most 1; leave it empty for the default.",
        "top-p 须大于 0 且不超过 1；留空则用默认值。",
    ),
    "gaussian": (
        "top-k and top-p choose among tokens, and this model has none: leave them empty.",
        "top-k 与 top-p 用于挑选标记，而此模型没有标记：请留空。",
    ),
    "line": (
        f"This is no complete settings line: copy one from below the pictures, it begins with {PREFIX} model=.",
        f"这不是完整的设置行：请从图片下方复制，它以 {PREFIX} model= 开头。",
    ),
    "tokenless": (
        "Only models with tokens can complete a picture: {names}.",
        "只有使用标记的模型才能补全图片：{names}。",
    ),
    "grid": (
        "This model draws grids of {h} by {w} tokens; these are {rows} by {columns}.",
        "此模型的网格为 {h} × {w} 个标记；收到的是 {rows} × {columns}。",
    ),
}


class SampleError(ValueError):
    """A wish that can't be granted. `code` is a key of ERRORS; str() is the English sentence."""

    def __init__(self, code: str, **parameters: Any):
        self.code, self.parameters = code, parameters
        super().__init__(self.text("en"))

    def text(self, language: Language) -> str:
        return ERRORS[self.code][LANGUAGES.index(language)].format(**self.parameters)


class Model(NamedTuple):
    """A prior and the codec whose latents it draws, by the names that `load_prior` and `load` know."""

    prior: str
    codec: str

    @property
    def gaussian(self) -> bool:
        return self.prior in GAUSSIANS


TOKEN_MODELS = {name: Model(name, str(PRIORS[name].codec)) for name in ("transformer", "pixelcnn")}
MODELS = TOKEN_MODELS | {f"{codec}-{prior}": Model(prior, codec) for codec in ("vae", "ae") for prior in GAUSSIANS}


def model_of(name: Any, models: Mapping[str, Model] = MODELS, code: str = "model") -> Model:
    """The row of a name. Raises SampleError, with `code`."""
    if not isinstance(name, str) or name not in models:
        raise SampleError(code, names=", ".join(models))
    return models[name]


# field: whether a value will do. None stands for the default stored with the prior.
CHECKS: dict[str, Callable[[Any], bool]] = {
    "n": lambda v: is_whole(v) and 1 <= v <= MAX_PICTURES,
    "seed": lambda v: is_whole(v) and 0 <= v < SEEDS,
    # Nearer to 0, logits would overflow.
    "temperature": lambda v: v is None or (_is_number(v) and (v == 0 or 0.01 <= v <= 10)),
    "top_k": lambda v: v is None or (is_whole(v) and 0 <= v < SEEDS),
    "top_p": lambda v: v is None or (_is_number(v) and 0 < v <= 1),
}


@dataclass(frozen=True)
class Settings:
    """What to draw. model: a key of MODELS. n: pictures. Raises SampleError for values that won't do.

    None for temperature, top_k or top_p: the default stored with the prior.
    """

    model: str = "transformer"
    n: int = 9
    seed: int = 0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        model = model_of(self.model)
        for name, valid in CHECKS.items():
            if not valid(getattr(self, name)):
                raise SampleError(name)
        if model.gaussian and (self.top_k, self.top_p) != (None, None):
            raise SampleError("gaussian")

    def resolved(self, prior: "Prior | GaussianPrior") -> "Settings":
        """With the prior's defaults where nothing was said."""
        if MODELS[self.model].gaussian:
            return replace(self, temperature=1.0 if self.temperature is None else self.temperature)
        return replace(self, **asdict(cast("Prior", prior).options(self.temperature, self.top_k, self.top_p)))


def settings_of(sent: Any) -> Settings:
    """A mapping with the fields of Settings, from anywhere; seed -1 draws one. Raises SampleError."""
    if not isinstance(sent, Mapping):
        raise SampleError("model", names=", ".join(MODELS))
    wanted = {name: _plain(sent[name]) for name in Settings.__dataclass_fields__ if name in sent}
    return Settings(**wanted | {"seed": seed_of(wanted.get("seed", 0))})


def seed_of(value: Any) -> int:
    """A seed from anywhere; for -1 a fresh one, short enough to be told to somebody. Raises SampleError."""
    seed = _plain(value)
    if is_whole(seed) and seed == -1:
        return secrets.randbelow(1_000_000)
    if not CHECKS["seed"](seed):
        raise SampleError("seed")
    return int(seed)


def line_of(settings: Settings, revision: str) -> str:
    """One line of text that `read_line` reads. settings: resolved."""
    fields = {"model": settings.model, "revision": revision} | asdict(settings)
    return " ".join([PREFIX, *(f"{name}={_plain(value)}" for name, value in fields.items() if value is not None)])


def read_line(line: Any) -> tuple[Settings, str]:
    """What `line_of` was given: settings and revision. Raises SampleError."""
    words = line.split() if isinstance(line, str) and len(line) <= 500 else []
    pairs = [word.partition("=")[::2] for word in words[1:]]
    fields = dict(pairs)
    wanted = {"model", "revision", "n", "seed", "temperature"}
    if not MODELS.get(fields.get("model", ""), Model("", "")).gaussian:
        wanted |= {"top_k", "top_p"}
    if words[:1] != [PREFIX] or len(pairs) != len(fields) or set(fields) != wanted:
        raise SampleError("line")
    try:
        numbers = {name: json.loads(fields[name]) for name in wanted - {"model", "revision"}}
    except ValueError as error:
        raise SampleError("line") from error
    if None in numbers.values():  # what is left open may mean something else tomorrow
        raise SampleError("line")
    return Settings(model=fields["model"], **{name: _plain(value) for name, value in numbers.items()}), fields[
        "revision"
    ]


# Hashing some 30 MB takes a while; models don't change.
_digests: WeakKeyDictionary[torch.nn.Module, bytes] = WeakKeyDictionary()


def revision_of(codec: Codec, prior: "Prior | GaussianPrior") -> str:
    """12 hex digits that stand for all weights in play: the beginning of a sha256 of their names and values."""
    return hashlib.sha256(_digest(codec) + _digest(prior)).hexdigest()[:12]


def _digest(part: object) -> bytes:
    if not isinstance(part, torch.nn.Module):
        return _hash({name: value for name, value in vars(part).items() if isinstance(value, Tensor)})
    if part not in _digests:
        _digests[part] = _hash(part.state_dict())
    return _digests[part]


def _hash(tensors: Mapping[str, Tensor]) -> bytes:
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        whole.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return whole.digest()


@dataclass(frozen=True, eq=False)
class Frame:
    """Pictures in the making, or made: `drawn` of `positions` tokens of each stand, after `seconds` in the prior.

    pictures: 8-bit RGB. tokens: (n,h,w) int64, -1 where nothing stands yet; None for vector codecs. z: (n,...), what
    the pictures were decoded from. Where no token stands yet, a picture shows a mean code.
    """

    pictures: tuple[Image.Image, ...]
    z: Tensor
    tokens: Tensor | None = None
    drawn: int = 1
    positions: int = 1
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return self.drawn == self.positions

    @property
    def rate(self) -> float | None:
        """Tokens a second, of all pictures together; None without tokens."""
        if self.tokens is None or self.seconds == 0:
            return None
        return len(self.tokens) * self.drawn / self.seconds


def sample(load: Load, load_prior: LoadPrior, settings: Settings) -> Frame:
    """The finished pictures. Picture i depends on (seed, i), the options and the weights alone. Raises ValueError."""
    *_, last = stream(load, load_prior, settings, interval=math.inf)
    return last


def stream(
    load: Load,
    load_prior: LoadPrior,
    settings: Settings,
    interval: float = INTERVAL,
    wanted: Callable[[], bool] = lambda: True,
) -> Iterator[Frame]:
    """Previews at least `interval` seconds apart, beginning with the first token; the last is `sample`'s.

    Once `wanted()` is false, it ends with what stands. Raises ValueError.
    """
    model = MODELS[settings.model]
    prior, codec = load_prior(model.prior, model.codec), load(model.codec)
    if model.gaussian:
        z = cast("GaussianPrior", prior).sample(settings.n, settings.seed, settings.temperature)
        yield Frame(decoded(codec, z), z)
    else:
        yield from _grow(codec, cast("Prior", prior), settings, interval, wanted)


def _grow(
    codec: Codec, prior: "Prior", settings: Settings, interval: float, wanted: Callable[[], bool]
) -> Iterator[Frame]:
    s, clock = settings, time.perf_counter
    positions, spent, due = math.prod(prior.grid), 0.0, math.inf if interval == math.inf else -math.inf
    grids = prior.stream(s.n, s.seed, s.temperature, s.top_k, s.top_p)
    start = clock()
    for drawn, tokens in enumerate(grids, 1):
        now = clock()
        spent += now - start
        going = wanted()
        if drawn == positions:
            z = looked_up(codec, tokens)
            yield Frame(decoded(codec, z), z, tokens, drawn, positions, spent)
        elif now >= due or not going:
            yield preview(codec, tokens, drawn, spent)
            # Where decoding is slow, previews become rare, so that they take a third of the time at most.
            due = clock() + max(interval, 2 * (clock() - now))
        if not going:
            return
        start = clock()


@torch.inference_mode()
def preview(codec: Codec, tokens_nhw: Tensor, drawn: int, seconds: float) -> Frame:
    """What stands of n grids, decoded together, which may differ from one by one in the last bit."""
    known = (tokens_nhw >= 0)[:, None]
    z = looked_up(codec, tokens_nhw.clamp(min=0))
    mean = cast(Tensor, codec.codebook).mean(0)[:, None, None].cpu()
    z = torch.where(known, z, mean)
    pictures = tuple(map(to_picture, codec.decode(z.to(device_of(codec))).cpu()))
    return Frame(pictures, z, tokens_nhw, drawn, tokens_nhw[0].numel(), seconds)


@torch.inference_mode()
def looked_up(codec: Codec, tokens_nhw: Tensor) -> Tensor:
    """(n,h,w) -> z (n,D,h,w), on the CPU."""
    return codec.lookup(tokens_nhw.to(device_of(codec))).cpu()


@torch.inference_mode()
def decoded(codec: Codec, z: Tensor) -> tuple[Image.Image, ...]:
    """Latents -> pictures, each decoded alone: a product of other size may round differently."""
    return tuple(to_picture(codec.decode(z_1.to(device_of(codec))).cpu()) for z_1 in z.split(1))


def complete(
    load: Load, load_prior: LoadPrior, model: Any, tokens: Any, cells: Any, seed: int
) -> tuple[Tensor, Image.Image]:
    """One grid with the given cells drawn anew: tokens (h,w) int64 and the picture.

    model: one with tokens. tokens: rows of codes. cells: [[row, column], ...]; None redraws everything. seed: as from
    `seed_of`. Raises ValueError.
    """
    row = model_of(model, TOKEN_MODELS, "tokenless")
    prior = cast("Prior", load_prior(row.prior, row.codec))
    grid = read_tokens(tokens, prior.codebook_size, least=1)
    if grid.shape != tuple(prior.grid):
        h, w = prior.grid
        raise SampleError("grid", h=h, w=w, rows=grid.shape[0], columns=grid.shape[1])
    mask = torch.from_numpy(read_cells(cells, grid))
    done = prior.complete(torch.from_numpy(grid)[None], mask, seed)
    codec = load(row.codec)
    return done[0], decoded(codec, looked_up(codec, done))[0]


def _plain(value: Any) -> Any:
    """JSON knows no integers: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < SEEDS else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
