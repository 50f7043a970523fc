"""Finding and loading weights: a catalogue name, a folder, or a repository on the Hugging Face Hub.

The only module that speaks to the Hub, at the endpoint that HF_ENDPOINT names. Where that sends a request on to another
server, the request follows for the owner, without the token; for a visitor only among the Hub's own hosts. What is in
memory or in the cache is used without asking anybody; what is downloaded is kept once every file has matched its
checksum.

Settings, read from the environment at every call:
    VQ_WEIGHTS     org/prefix: the model NAME comes from the repository org/prefix-NAME instead of weights/
    VQ_MAX_BYTES   bytes of weights a model may have, 1 GB by default
    VQ_DEADLINE    seconds to wait for the next byte, 10 by default
    VQ_MAX_MODELS  models kept in memory, 8 by default
    VQ_MAX_GUESTS  visitors' checkpoints kept, in memory and on disk, besides: 4 by default
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx2
import torch
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status
from huggingface_hub.utils._http import default_client_factory
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vq import cache, weights
from vq.cache import Origin, Source
from vq.catalogue import CODECS, GAUSSIANS, PRIORS, PUBLIC
from vq.codec import Codec
from vq.messages import LoadError as LoadError
from vq.prior import GaussianPrior, Prior
from vq.sharing import Flights, Job, Overdue, Progress, Shelf, Stop, Stopped

log = logging.getLogger(__name__)

STATISTICS = "statistics.safetensors"
PATIENCE = 60  # seconds to wait for an answer while publishing, where the Hub has more to do
RETRIES = 2  # of a broken connection, as long as bytes keep coming

_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SHARD = re.compile(r"diffusion_pytorch_model-\d{5}-of-\d{5}\.safetensors")
# The Hub keeps large files on hosts of its own and sends whoever asks for one on to them.
_STORAGE = (".hf.co", ".huggingface.co")


@dataclass(frozen=True)
class Loaded:
    """A codec, and where it comes from."""

    codec: Codec
    origin: Origin

    @property
    def class_name(self) -> str:
        """As its config.json says."""
        return type(getattr(self.codec, "model", self.codec)).__name__

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in cast(nn.Module, self.codec).parameters())


_shelf: Shelf[Loaded] = Shelf(lambda: _setting("VQ_MAX_MODELS", 8))
_guests: Shelf[Loaded] = Shelf(lambda: _max_guests())
_priors: Shelf[Prior] = Shelf(lambda: _setting("VQ_MAX_MODELS", 8))
_statistics: Shelf[dict[str, Tensor]] = Shelf(lambda: _setting("VQ_MAX_MODELS", 8))
_flights = Flights()


def load(
    name: str | Path,
    device: str | torch.device = "cpu",
    *,
    subfolder: str = "",
    revision: str | None = None,
    progress: Progress | None = None,
    stop: Stop = None,
) -> Codec:
    """A codec by catalogue name ("vqgan", "taesd"), folder or repository ("org/repo"), looked for in this order.

    float32, eval mode, frozen. As long as it is in memory the same object comes back; it holds no state, so threads
    may share it. `progress` gets bytes done and bytes in all, in the calling thread; `stop`, an Event or a function,
    ends the waiting. A repository that is cached is not asked again: name a tag or commit to get another version.
    Raises LoadError.
    """
    return load_with_origin(name, device, subfolder=subfolder, revision=revision, progress=progress, stop=stop).codec


def load_with_origin(
    name: str | Path,
    device: str | torch.device = "cpu",
    *,
    subfolder: str = "",
    revision: str | None = None,
    progress: Progress | None = None,
    stop: Stop = None,
) -> Loaded:
    """As `load`, with what is known of where the codec comes from."""
    return open_source(resolve(name, subfolder, revision), device, progress, stop)


def open_source(
    source: Source | Path, device: str | torch.device = "cpu", progress: Progress | None = None, stop: Stop = None
) -> Loaded:
    """As `load_with_origin`, from a source. What visitors ask for never pushes out the page's own models."""
    visitor = isinstance(source, Source) and source.visitor
    shelf = _guests if visitor else _shelf
    key = (source if isinstance(source, Source) else source.resolve(), str(torch.device(device)))
    if (ready := shelf.get(key)) is not None:
        return ready

    def work(job: Job) -> Loaded:
        origin, model = _read(source, job)
        model = cast(Any, model).to(device=device, memory_format=torch.channels_last)
        loaded = Loaded(cast(Codec, model), origin)
        shelf.put(key, loaded)
        return loaded

    try:
        return _flights.run(key, work, progress, stop)
    except Stopped as error:
        raise LoadError("stopped", name=_name(source)) from error


def _read(source: Source | Path, job: Job) -> tuple[Origin, nn.Module]:
    """Where a source's files are, and the model in them. Raises LoadError."""
    origin = fetch(source, job.report, job.cancelled)
    try:
        return origin, weights.read(origin.folder, max_bytes(), _name(source))
    except LoadError:
        # While it was read, what other visitors ask for may have taken its place on the disk: once more, then.
        if origin.commit is None or origin.folder.is_dir():
            raise
        origin = fetch(source, job.report, job.cancelled)
        return origin, weights.read(origin.folder, max_bytes(), _name(source))


def in_memory(source: Source, device: str | torch.device = "cpu") -> Loaded | None:
    """What a visitor's source gave before, if it is still there. Counts as a use of its files, too."""
    cache.find(source)
    return _guests.get((source, str(torch.device(device))))


def on_disk(source: Source) -> Source:
    """The source, if it can be opened without asking the network. Raises LoadError."""
    if cache.find(source) is None:
        raise LoadError("gone", name=source.name)
    return source


def load_prior(
    name: str | Path, codec: str | Path | None = None, device: str | torch.device = "cpu"
) -> Prior | GaussianPrior:
    """A prior by catalogue name ("pixelcnn", "transformer"), folder or repository: float32, eval mode, frozen, cached.

    With `codec`, it is checked that the prior was trained on that codec's codebook. "normal" and "fitted" are the
    Gaussians over the latent vectors of `codec`, "ae" or "vae". Raises LoadError or ValueError.
    """
    if name in GAUSSIANS:
        return _gaussian(str(name), codec)
    source = resolve(name)
    key = ("prior", source if isinstance(source, Source) else source.resolve(), str(torch.device(device)))

    def work(job: Job) -> Prior:
        folder = fetch(source, job.report, job.cancelled, weights.PRIORS).folder
        model = weights.read(folder, max_bytes(), _name(source), weights.PRIORS)
        prior = cast(Prior, model.to(device)).pack()
        _priors.put(key, prior)
        return prior

    prior = _priors.get(key) or _flights.run(key, work)
    if codec is not None:
        prior.check_codec(load(codec, device))
    return prior


def _gaussian(name: str, codec: str | Path | None) -> GaussianPrior:
    if codec is None:
        raise ValueError(f"{name}: name the codec it is for, codec='ae' or 'vae'")
    dim = getattr(load(codec), "latent_dim", None)
    if dim is None:
        raise ValueError(f"{name}: expected a codec with a vector latent ('ae', 'vae'), got '{codec}'")
    if name == "normal":
        return GaussianPrior.normal(str(codec), dim)
    statistics = load_statistics(codec)
    if statistics is None:
        raise ValueError(f"{name}: the weights of '{codec}' come without {STATISTICS}; export them again")
    return GaussianPrior.fitted(str(codec), statistics)


def locate(name: str | Path, classes: weights.Classes = weights.CODECS) -> Path:
    """The folder of a catalogue name, folder or repository, downloaded if need be. Raises LoadError.

    `classes`: those that a download may be of.
    """
    return fetch(resolve(name), classes=classes).folder


def load_statistics(name: str | Path) -> dict[str, Tensor] | None:
    """What a codec's training pictures look like in its latent space; None if the folder has no statistics.

    Vector codecs: mean (D,), components (D,D), its rows the principal directions from strongest to weakest, and std
    (D,) along each. Quantised codecs: counts (K,) int64, how often each code occurs. The same tensors come back until
    the file changes: don't write to them. Raises LoadError.
    """
    path = locate(name) / STATISTICS
    try:
        stat = path.stat()
        key = (path.resolve(), stat.st_size, stat.st_mtime_ns)
        if (known := _statistics.get(key)) is None:
            _statistics.put(key, known := load_file(path))
        return known
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        raise LoadError("broken", name=Path(name).name, file=STATISTICS) from error


def resolve(name: str | Path, subfolder: str = "", revision: str | None = None) -> Source | Path:
    """Where a name's weights are: a folder that has a config.json, or a place on the Hub. Asks nobody.

    Raises LoadError.
    """
    text = str(name)
    entry = (CODECS | PUBLIC | PRIORS).get(text)
    if entry is not None and entry.repo is not None:
        pins = tuple(entry.sha256.items()) if revision in (None, entry.revision) else ()
        return Source(entry.repo, subfolder or entry.subfolder, revision or entry.revision, pins)
    prefix = os.environ.get("VQ_WEIGHTS", "").strip("/")
    if entry is not None and prefix:
        return Source(f"{prefix}-{entry.name}", subfolder, revision or "main")
    folder = (entry.folder if entry is not None else Path(name)) / subfolder
    if (folder / weights.CONFIG).is_file():
        return folder
    if entry is not None:
        raise LoadError("missing", name=entry.name, folder=f"weights/{entry.name}")
    if isinstance(name, str) and _REPO.fullmatch(text) and not Path(name).is_dir():
        return Source(text, subfolder, revision or "main")
    raise LoadError("unknown", name=Path(name).name or text, names=", ".join(CODECS | PUBLIC))


def fetch(
    source: Source | Path,
    progress: Progress | None = None,
    stop: Stop = None,
    classes: weights.Classes = weights.CODECS,
) -> Origin:
    """Where the files of a source are on this machine, after one download whoever else asks. Raises LoadError."""
    if isinstance(source, Path):
        return Origin(source)
    if (cached := cache.find(source)) is not None:
        return cached
    try:
        return _flights.run(("files", source), lambda job: _obtain(source, job, classes), progress, stop)
    except Overdue as error:
        raise _hanging() from error
    except Stopped as error:
        raise LoadError("stopped", name=source.name) from error


def upload(folder: Path, files: list[str], repo: str, private: bool = False) -> tuple[str, str]:
    """Upload files of a folder to a repository, made if need be: the commit and its address. Raises LoadError.

    Weights that lie there and aren't among the files go, so that old and new ones never mix.
    """
    try:
        with asking(repo, seconds=_patience()):
            api = HfApi(endpoint())
            api.create_repo(repo, private=private or None, exist_ok=True)
            if private and not api.model_info(repo, timeout=_deadline()).private:
                raise LoadError("public", repo=repo, host=host())
            commit = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                allow_patterns=files,
                delete_patterns=["*.safetensors", "*.safetensors.index.json"],
                commit_message=f"Upload {folder.resolve().name}",
            )
    except LoadError as error:
        if error.code == "gated":  # what keeps a reader out is, for a writer, a matter of rights
            raise LoadError("refused", repo=repo, host=host()) from error
        raise
    except (ValueError, OSError) as error:  # a card the Hub doesn't accept, a file that can't be read
        raise LoadError("upload", repo=repo, detail=" ".join(str(error).split())[:200]) from error
    return commit.oid, commit.commit_url


def max_bytes() -> int:
    """Bytes of weights that a model may have."""
    return _setting("VQ_MAX_BYTES", 1_000_000_000)


def endpoint() -> str:
    """The one address that is ever asked."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host() -> str:
    """The endpoint as people name it."""
    return urlsplit(endpoint()).netloc or endpoint()


def _setting(name: str, default: int) -> int:
    try:
        return int(float(os.environ[name]))
    except (KeyError, ValueError, OverflowError):
        return default


def _max_guests() -> int:
    return max(1, _setting("VQ_MAX_GUESTS", 4))


def _deadline() -> int:
    return max(1, _setting("VQ_DEADLINE", 10))


def _patience() -> int:
    return max(PATIENCE, _deadline())


def _name(source: Source | Path) -> str:
    return source.name if isinstance(source, Source) else source.resolve().name


class _Elsewhere(Exception):  # noqa: N818
    """A visitor's request would leave the Hub."""


# Whether this thread asks for somebody who isn't the owner.
_for_visitor: ContextVar[bool] = ContextVar("for_visitor", default=False)


def _stay_home(request: httpx2.Request) -> None:
    """Raise _Elsewhere if a visitor's request has been sent on to a place that isn't the Hub's."""
    if _for_visitor.get() and not is_the_hubs(request.url):
        raise _Elsewhere


def is_the_hubs(url: httpx2.URL) -> bool:
    """Whether an address is at the endpoint or, if that is a public one, at a host that keeps the Hub's files."""
    home = httpx2.URL(endpoint())
    if (url.scheme, url.host, url.port) == (home.scheme, home.host, home.port):
        return True
    return url.scheme == home.scheme == "https" and url.port is None and url.host.endswith((f".{home.host}", *_STORAGE))


def _client() -> httpx2.Client:
    client = default_client_factory()
    client.timeout = httpx2.Timeout(_patience())  # where the library names none
    client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], _stay_home]}
    return client


set_client_factory(_client)


def _hanging(seconds: int | None = None) -> LoadError:
    return LoadError("hanging", host=host(), seconds=seconds or _deadline())


@contextmanager
def asking(repo: str, revision: str = "main", file: str | None = None, seconds: int | None = None) -> Iterator[None]:
    """Turn what the Hub's client raises into a LoadError. `file`: what is being downloaded; `seconds`: the deadline."""
    try:
        yield
    except GatedRepoError as error:  # before its parent, RepositoryNotFoundError
        raise LoadError("gated", repo=repo, host=host()) from error
    except RevisionNotFoundError as error:
        raise LoadError("revision", repo=repo, revision=revision) from error
    except RepositoryNotFoundError as error:
        # Whom it doesn't know, the Hub may tell 401 for either.
        known = error.response.status_code == 404 or error.response.headers.get("X-Error-Code") == "RepoNotFound"
        raise LoadError("repo" if known else "gated", repo=repo, host=host()) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise LoadError("gated", repo=repo, host=host()) from error
        raise LoadError("server", host=host(), status=status) from error
    except httpx2.TimeoutException as error:
        raise _hanging(seconds) from error
    except httpx2.HTTPError as error:
        if file is not None and not isinstance(error, httpx2.ConnectError):
            raise LoadError("cut", host=host(), file=file) from error
        raise LoadError("down", host=host()) from error
    except _Elsewhere as error:
        raise LoadError("elsewhere", repo=repo, host=host()) from error
    except (OfflineModeIsEnabled, httpx2.InvalidURL) as error:
        raise LoadError("down", host=host()) from error


@dataclass(frozen=True)
class _Remote:
    """A file of the repository's folder: its name there, its bytes, and the digest it must have."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class _Listing:
    """What a repository holds at a revision: the files of the source's folder, and all folders with a config.json."""

    commit: str
    licence: str | None
    files: dict[str, _Remote]
    folders: list[str]


def _obtain(source: Source, job: Job, classes: weights.Classes) -> Origin:
    """Adopt, or download, check and install a source, in a thread of its own. Raises LoadError, Stopped."""
    _for_visitor.set(source.visitor)
    if (adopted := cache.adopt(source)) is not None:
        return adopted
    job.expect(_deadline())
    listing = _list(source)
    wanted = _choose(source, listing)
    total = sum(remote.size for remote in wanted)
    if total > max_bytes():
        raise weights.too_large(source.name, total, max_bytes())
    download = _Download(source, listing.commit, job, total)
    with cache.workplace(source, total) as work:
        download(wanted[0], work)
        job.expect(None)
        skeleton = weights.plan(work, max_bytes(), source.name, classes)
        job.expect(_deadline())
        for remote in wanted[1:]:
            download(remote, work)
            if remote.name == weights.INDEX:
                weights.shards(work, source.name)
        job.expect(None)
        weights.check_headers(work, skeleton, source.name)
        weights.check_numbers(work, source.name)
        job.check()
        digests = {remote.name: remote.digest for remote in wanted}
        origin = cache.install(source, listing.commit, listing.licence, work, digests)
    if source.visitor:
        cache.prune(_max_guests())
    log.info("%s: commit %s", source.name, listing.commit)
    return origin


def _list(source: Source) -> _Listing:
    """Ask the Hub what a source holds: one request. Raises LoadError."""
    with asking(source.repo, source.revision):
        try:
            info = HfApi(endpoint(), token=_token(source)).model_info(
                source.repo, revision=source.revision, timeout=_deadline(), files_metadata=True
            )
            return _Listing(
                commit=_commit(info.sha, source.revision),
                licence=_licence(info.card_data),
                files=_files(source, info.siblings or []),
                folders=sorted({p for f in info.siblings or [] for p in [_folder_of_config(f.rfilename)] if p}),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, LoadError | HfHubHTTPError):
                raise
            raise LoadError("server", host=host(), status=("not an answer of a Hub", "并非 Hub 的应答")) from error


def _token(source: Source) -> Literal[False] | None:
    """None: the owner's, if there is one; False: none at all."""
    return False if source.visitor else None


def _commit(sha: str | None, revision: str) -> str:
    """The resolved commit. Raises ValueError if it is none, or not the one that was asked for."""
    if sha is None or not cache.COMMIT.fullmatch(sha) or (cache.COMMIT.fullmatch(revision) and sha != revision):
        raise ValueError("no commit")
    return sha


def _licence(card: Any) -> str | None:
    licence = card.to_dict().get("license") if card is not None else None
    return str(licence)[:64] if licence else None


def _folder_of_config(path: str) -> str | None:
    folder, _, name = path.rpartition("/")
    return (folder or ".") if name == weights.CONFIG else None


def _files(source: Source, siblings: list[Any]) -> dict[str, _Remote]:
    """By name. The digest is the one that is pinned, else the one the Hub advertises: sha256 of what is in LFS."""
    files = {}
    for sibling in siblings:
        name = sibling.rfilename.removeprefix(source.path(""))
        if source.path(name) == sibling.rfilename and "/" not in name:
            advertised = sibling.lfs.sha256 if sibling.lfs is not None else str(sibling.blob_id)
            pin = source.pin(name)
            if pin is not None and len(advertised) == 64 and advertised != pin:
                raise LoadError("hash", file=name)
            if int(sibling.size) < 0:
                raise ValueError("no size")
            files[name] = _Remote(name, int(sibling.size), pin or advertised)
    return files


def _choose(source: Source, listing: _Listing) -> list[_Remote]:
    """The files to download, config.json first. Raises LoadError where the folder holds no usable weights."""
    files = listing.files
    if weights.CONFIG not in files:
        place = (
            (f"in '{source.subfolder}'", f"的“{source.subfolder}”中") if source.subfolder else ("at its top", "的顶层")
        )
        others = ", ".join(listing.folders[:8])
        found = (f", one of {others}", f"（有：{others}）") if others else ("", "")
        raise LoadError("files", repo=source.repo, file=weights.CONFIG, place=place, found=found)
    shards = [name for name in files if _SHARD.fullmatch(name)]
    if weights.SINGLE in files:
        parts = [weights.SINGLE]
    elif weights.INDEX in files and len(shards) > weights.MAX_FILES:
        raise LoadError("broken", name=source.name, file=weights.INDEX)
    elif weights.INDEX in files and shards:
        parts = [weights.INDEX, *sorted(shards)]
    else:
        raise weights.no_weights(source.name, files)
    extras = [] if source.visitor else [name for name in cache.EXTRAS if name in files]
    return [files[name] for name in (weights.CONFIG, *parts, *extras)]


class _Download:
    """Downloads files of a source, one after the other, each checked as it comes in."""

    def __init__(self, source: Source, commit: str, job: Job, total: int):
        self.source, self.commit, self.job, self.total = source, commit, job, total
        self.done = 0

    def __call__(self, remote: _Remote, folder: Path) -> None:
        """One file into a folder. Raises LoadError, OSError, Stopped."""
        hasher = cache.hasher(remote.digest, remote.size)
        got, retries = 0, RETRIES
        with (folder / remote.name).open("wb") as file, asking(self.source.repo, self.source.revision, remote.name):
            while True:
                start = got
                try:
                    for chunk in self._chunks(remote, start):
                        file.write(chunk)
                        hasher.update(chunk)
                        got += len(chunk)
                        self.job.report(self.done + min(got, remote.size), self.total)
                        if got > remote.size:
                            break
                    break
                except (httpx2.RemoteProtocolError, httpx2.ReadError):
                    retries -= 1
                    if retries < 0 or got == start:
                        raise
        self.done += got
        if got != remote.size:
            raise LoadError("truncated", file=remote.name, host=host(), got=got, size=remote.size)
        if hasher.hexdigest() != remote.digest:
            raise LoadError("hash", file=remote.name)

    def _chunks(self, remote: _Remote, start: int) -> Iterator[bytes]:
        """The bytes of a file from `start` on. Raises what the Hub's client raises."""
        url = hf_hub_url(self.source.repo, self.source.path(remote.name), revision=self.commit, endpoint=endpoint())
        headers = build_hf_headers(token=_token(self.source)) | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream("GET", url, headers=headers, timeout=_deadline()) as response:
            hf_raise_for_status(response)
            if start and response.status_code != 206:
                raise httpx2.RemoteProtocolError("the server can't go on where it broke off")
            yield from response.iter_bytes()
