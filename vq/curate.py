"""python -m vq.curate --data PATH --perceptual PATH --out FILE: which training pictures to leave out, by two rules.

padded    a corner of the picture is plain mid-grey: it was turned or shifted beyond its edge, and filled up
faceless  at least LIKE of the NEIGHBOURS training pictures with the most similar features are padded. Whoever cropped
          those cropped others alike: fur, whiskers, a mouth or one eye, with no corner showing

The features are SqueezeNet's, pooled, similar by the angle between them: the vote of nearest neighbours (Cover & Hart
1967, doi:10.1109/TIT.1967.1053964), with the padded pictures as the only examples it needs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from vq.evaluate.codec import Squares
from vq.image import sheet
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet

SIZE = 64
GREY, WITHIN, CORNER = 128, 4, 2  # of 255; pixels a side
NEIGHBOURS, LIKE = 20, 7
COLUMNS = 24


@torch.inference_mode()
def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        pictures = PictureSet(args.data, "train")
        squares = Squares(pictures, SIZE)
        corners, features = look(squares, SqueezeNet.from_file(args.perceptual))
        padded = is_padded(corners)
        faceless = among_padded(features, padded) & ~padded
        names = [pictures.names[i] for i in squares.kept]
        args.out.write_text(listed(args.data, names, padded, faceless), encoding="utf-8")
        if args.sheet:
            for title, chosen in (("padded", padded), ("faceless", faceless)):
                contact_sheet(squares, chosen, args.sheet / f"{title}.png")
    # DataError is a ValueError; safetensors has its own for a damaged file.
    except (ValueError, OSError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {int(padded.sum())} padded and {int(faceless.sum())} faceless of {len(names):,} pictures")
    return 0


def look(squares: Squares, perceptual: SqueezeNet) -> tuple[Tensor, Tensor]:
    """Of every picture, the corners (N,4,3,CORNER,CORNER) in [-1,1] and the features (N,512)."""
    corners, features = [], []
    for x in squares:
        top, bottom = x[:, :, :CORNER], x[:, :, -CORNER:]
        four = [part for edge in (top, bottom) for part in (edge[..., :CORNER], edge[..., -CORNER:])]
        corners.append(torch.stack(four, 1))
        features.append(perceptual.pooled(x))
    return torch.cat(corners), torch.cat(features)


def is_padded(corners_N43cc: Tensor) -> Tensor:
    """(N,) bool: every value of some corner is mid-grey."""
    values = (corners_N43cc + 1) * 127.5
    return ((values - GREY).abs() <= WITHIN + 1e-3).flatten(2).all(2).any(1)


def among_padded(features_ND: Tensor, padded_N: Tensor) -> Tensor:
    """(N,) bool: at least LIKE of the NEIGHBOURS others with the most similar features are padded."""
    unit, votes = F.normalize(features_ND, dim=1), []
    for start in range(0, len(unit), 1024):
        part = unit[start : start + 1024]
        similar = part @ unit.T
        rows = torch.arange(len(part))
        similar[rows, rows + start] = -torch.inf
        nearest = similar.topk(min(NEIGHBOURS, len(unit) - 1)).indices
        votes.append(padded_N[nearest].sum(1))
    return torch.cat(votes) >= LIKE


def listed(data: Path, names: Sequence[str], padded_N: Tensor, faceless_N: Tensor) -> str:
    """The file: what it is, then the names under the rule that chose them."""
    lines = [f"# Training pictures of {data.name} to leave out, by python -m vq.curate, which states the rules."]
    for title, chosen in (("padded", padded_N), ("faceless", faceless_N)):
        found = [name for name, left_out in zip(names, chosen.tolist(), strict=True) if left_out]
        lines += [f"# {title}: {len(found)} of {len(names)}", *found]
    return "\n".join(lines) + "\n"


def contact_sheet(squares: Squares, chosen_N: Tensor, file: Path) -> None:
    """The chosen pictures in the order of their names, for a person to judge. Nothing chosen, nothing written."""
    places = [place for place, wanted in zip(squares.kept, chosen_N.tolist(), strict=True) if wanted]
    if places:
        x = torch.cat(list(Squares(squares.pictures, squares.size, indices=places)))
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet(list(x.split(COLUMNS)), scale=1).save(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vq.curate", description="List training pictures to leave out.")
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="a folder or zip of 64 px pictures")
    parser.add_argument("--perceptual", type=Path, required=True, metavar="PATH", help="SqueezeNet 1.1 (safetensors)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the list")
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="contact sheets of what is left out, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
