"""python -m vq.publish NAME --to org/repo: upload a weights folder with its card to the Hub.

NAME is a model in weights/ or a folder, say a run of your own. What doesn't load isn't uploaded. The token comes from
HF_TOKEN or `hf auth login`. Afterwards `load("org/repo")` opens it anywhere; published as org/prefix-NAME it is
what VQ_WEIGHTS=org/prefix makes the page use.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vq import cache, hub, weights
from vq.catalogue import CODECS, PRIORS
from vq.messages import LoadError

CARD = "README.md"
BESIDE = (weights.INDEX, *cache.EXTRAS, "training.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m vq.publish", description="Upload a weights folder to the Hub.")
    parser.add_argument("name", help=f"{', '.join(CODECS | PRIORS)} or a folder")
    parser.add_argument("--to", required=True, metavar="ORG/REPO", help="made if it isn't there")
    parser.add_argument("--private", action="store_true", help="make it a private repository")
    parser.add_argument("--dry-run", action="store_true", help="check everything, upload nothing")
    args = parser.parse_args(arguments)
    try:
        publish(args.name, args.to, args.private, args.dry_run)
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def publish(name: str, to: str, private: bool = False, dry_run: bool = False) -> None:
    """Check a folder and upload it, telling what happens. Raises LoadError."""
    repo = cache.Source(to).repo
    folder = folder_of(name)
    files = contents(folder)
    for file in files:
        print(f"{file}  {weights.human((folder / file).stat().st_size)}")
    if dry_run:
        print(f"It loads. Nothing was uploaded to {hub.host()}/{repo}.")
        return
    commit, address = hub.upload(folder, files, repo, private)
    print(f'{repo}: commit {commit}\n{address}\nIt opens with load("{repo}").')


def folder_of(name: str) -> Path:
    """The folder of a bundled model or a folder itself; never the Hub's copy. Raises LoadError."""
    entry = (CODECS | PRIORS).get(name)
    folder = entry.folder if entry is not None else Path(name)
    if (folder / weights.CONFIG).is_file():
        return folder
    if entry is not None:
        raise LoadError("missing", name=name, folder=f"weights/{name}")
    raise LoadError("unknown", name=name, names=", ".join(CODECS | PRIORS))


def contents(folder: Path) -> list[str]:
    """The files that belong to a model, after it has loaded from them. Raises LoadError."""
    name = folder.resolve().name
    weights.read(folder, hub.max_bytes(), name, {**weights.CODECS, **weights.PRIORS})
    if not (folder / CARD).is_file():
        raise LoadError("card", folder=name)
    parts = [file.name for file in weights.weight_files(folder, name)]
    return [weights.CONFIG, *parts, *(file for file in (*BESIDE, CARD) if (folder / file).is_file())]


if __name__ == "__main__":
    sys.exit(main())
