"""Downloaded weights on disk. Nothing here asks the network.

    ROOT/models/org--repo/COMMIT/SUBFOLDER   the files of a source and their record, origin.json; in names, %2F is /
    ROOT/models/org--repo/refs/REVISION      the commit that a branch or tag stood for
    ROOT/visitors/                           the same for what visitors asked for, the most recently used few
    ROOT/partial/                            downloads on their way

An entry gets its name once every file in it has been checked, so there are no incomplete ones; none is changed later.
ROOT is VQ_CACHE, or else HF_HOME/vq-studio.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from vq import weights
from vq.messages import LoadError

COMMIT = re.compile(r"[0-9a-f]{40}")
RECORD = "origin.json"
EXTRAS = ("statistics.safetensors",)  # what may lie beside the weights and belongs to them
MARGIN = 50_000_000  # bytes left free on the disk
DAY = 86400

# Neither becomes longer than a file's name may be.
_SUBFOLDER = re.compile(r"(?=.{1,80}$)(?!\.)[\w.-]+(/(?!\.)[\w.-]+){0,7}", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)\w[\w./+-]{0,79}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


# So that nobody tidies away a folder that is about to be filled.
_changing = threading.Lock()


@dataclass(frozen=True)
class Source:
    """A folder of a repository at a revision. pins: (file, sha256) of those known beforehand.

    visitor: whether somebody asks who isn't the owner. Such a source is read without the owner's token and has a cache
    of its own, where nothing that the owner's token opened can be found.
    """

    repo: str
    subfolder: str = ""
    revision: str = "main"
    pins: tuple[tuple[str, str], ...] = ()
    visitor: bool = False

    def __post_init__(self) -> None:
        """Raise LoadError for what can't be a repository, subfolder or revision: they become paths and addresses."""
        try:
            validate_repo_id(self.repo)
            named = self.repo.count("/") == 1
        except HFValidationError:
            named = False
        if not named:
            raise LoadError("source", field=("The repository", "仓库"), value=self.repo)
        if self.subfolder and not _SUBFOLDER.fullmatch(self.subfolder):
            raise LoadError("source", field=("The subfolder", "子文件夹"), value=self.subfolder)
        if not _REVISION.fullmatch(self.revision):
            raise LoadError("source", field=("The revision", "版本"), value=self.revision)

    @property
    def name(self) -> str:
        return f"{self.repo}/{self.subfolder}" if self.subfolder else self.repo

    def pin(self, file: str) -> str | None:
        return dict(self.pins).get(file)

    def path(self, file: str) -> str:
        """A file's path inside the repository."""
        return f"{self.subfolder}/{file}" if self.subfolder else file


@dataclass(frozen=True)
class Origin:
    """Where a model's files are and came from. commit: resolved, for Hub models. licence: as the repository says."""

    folder: Path
    repo: str | None = None
    subfolder: str = ""
    revision: str | None = None
    commit: str | None = None
    licence: str | None = None


def root() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("VQ_CACHE") or _hub_home() / "vq-studio").expanduser()


def _hub_home() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(home).expanduser()


def find(source: Source) -> Origin | None:
    """The entry of a source, if its files are still what was downloaded."""
    commit = source.revision
    try:
        if not COMMIT.fullmatch(commit):
            commit = _ref(source).read_text().strip()
        folder = _entry(source, commit)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        for name, file in record["files"].items():
            _check(folder / name, file["digest"], file["state"], source.pin(name))
        if source.visitor:
            os.utime(folder / RECORD)  # for `prune`, the time of its last use
        return Origin(folder, source.repo, source.subfolder, source.revision, commit, record["licence"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _check(path: Path, digest: str, state: list[int], pin: str | None) -> None:
    """Raise ValueError unless a file is as it was: it is read only if its size or time has changed."""
    changed = _state(path) != state
    for wanted in {digest} if pin is None else {digest, pin}:
        if (changed or wanted != digest) and digest_of(path, wanted) != wanted:
            raise ValueError(path.name)


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _repo(source: Source) -> Path:
    return _models(source.visitor) / source.repo.replace("/", "--")


def _models(visitor: bool) -> Path:
    return root() / ("visitors" if visitor else "models")


def _ref(source: Source) -> Path:
    return _repo(source) / "refs" / quote(source.revision, safe="")


def _entry(source: Source, commit: str) -> Path:
    return _repo(source) / commit / quote(f"/{source.subfolder}", safe="")


def hasher(digest: str, size: int) -> Any:
    """What computes digests of that kind: the Hub names large files by sha256, small ones by git's hash of a blob."""
    if len(digest) == 64:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def digest_of(path: Path, like: str) -> str:
    """The digest of a file, of the kind that `like` is."""
    computed = hasher(like, path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            computed.update(chunk)
    return computed.hexdigest()


@contextmanager
def workplace(source: Source, needed: int) -> Iterator[Path]:
    """A folder for one download, gone afterwards unless installed. Raises LoadError for what the disk can't do."""
    partial = root() / "partial"
    work: Path | None = None
    try:
        partial.mkdir(parents=True, exist_ok=True)
        _sweep(partial)
        if shutil.disk_usage(partial).free < needed + MARGIN:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        work = Path(tempfile.mkdtemp(dir=partial))
        yield work
    except OSError as error:
        # A full disk, a quota and a limit on files have the same remedy.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            size = weights.human(needed)
            raise LoadError("disk", name=source.name, folder=str(root()), needed=size) from error
        raise LoadError("unwritable", folder=str(root()), detail=error.strerror or str(error)) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _sweep(partial: Path) -> None:
    """Remove what a killed process left behind."""
    for left in partial.iterdir():
        if left.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(left, ignore_errors=True)


def install(source: Source, commit: str, licence: str | None, work: Path, digests: Mapping[str, str]) -> Origin:
    """Make a folder of checked files the entry of a source, in one step."""
    files = {name: {"digest": digest, "state": _state(work / name)} for name, digest in digests.items()}
    place = {"repo": source.repo, "subfolder": source.subfolder, "revision": source.revision, "commit": commit}
    record = {**place, "licence": licence, "files": files}
    (work / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    entry, reference = _entry(source, commit), _ref(source)
    (work / "ref").write_text(commit)
    with _changing:
        entry.parent.mkdir(parents=True, exist_ok=True)
        reference.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(entry, ignore_errors=True)
        os.replace(work / "ref", reference)
        os.replace(work, entry)
    return Origin(entry, source.repo, source.subfolder, source.revision, commit, licence)


def prune(keep: int) -> None:
    """Of the entries that visitors asked for, leave the `keep` most recently used."""

    def used(record: Path) -> float:
        try:
            return record.stat().st_mtime
        except OSError:  # another thread was faster
            return 0.0

    with _changing:
        for record in sorted(_models(True).glob(f"*/*/*/{RECORD}"), key=used, reverse=True)[max(1, keep) :]:
            shutil.rmtree(record.parent, ignore_errors=True)
        for repo in _models(True).iterdir():
            _tidy(repo)


def _tidy(repo: Path) -> None:
    """Remove what a repository's entries have left behind: empty folders, and names of commits that are gone."""
    with suppress(OSError):
        for reference in (repo / "refs").iterdir():
            if not any((repo / reference.read_text()).glob("*")):
                reference.unlink()
    for folder in (*repo.iterdir(), repo):
        with suppress(OSError):  # it isn't empty
            folder.rmdir()


def adopt(source: Source) -> Origin | None:
    """An entry made of links into the Hub client's cache, where a Space's build or another program left the files.

    There a file is named by the hash the Hub gave it, so it can be checked here; what fails is ignored.
    """
    # What lies there may have been opened by the owner's token.
    config = None if source.visitor else _in_hub_cache(source, weights.CONFIG)
    if config is None:
        return None
    folder = config.parent
    try:
        beside = [name for name in (weights.INDEX, *EXTRAS) if (folder / name).is_file()]
        names = [weights.CONFIG, *weights.shards(folder, source.name), *beside]
        digests = {name: (folder / name).resolve(strict=True).name for name in names}
        for name, digest in digests.items():
            if not _DIGEST.fullmatch(digest):
                return None
            for wanted in {digest, source.pin(name) or digest}:
                if digest_of(folder / name, wanted) != wanted:
                    return None
        commit = config.parents[len(Path(source.subfolder).parts)].name
        with workplace(source, 0) as work:
            for name in names:
                (work / name).symlink_to((folder / name).resolve())
            return install(source, commit, None, work, digests)
    except (OSError, LoadError):
        return None


def _in_hub_cache(source: Source, file: str) -> Path | None:
    folder = os.environ.get("HF_HUB_CACHE") or _hub_home() / "hub"
    found = try_to_load_from_cache(source.repo, source.path(file), cache_dir=folder, revision=source.revision)
    return Path(found) if isinstance(found, str) else None
