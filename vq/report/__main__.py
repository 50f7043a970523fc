"""python -m vq.report --cats PATH --photos PATH --perceptual PATH: write weights/README.md and its pictures."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.utils import logging
from safetensors import SafetensorError

from vq.catalogue import CODECS, WEIGHTS
from vq.evaluate.reference import Reference
from vq.models.squeezenet import SqueezeNet
from vq.report import measure, trials
from vq.report.page import page

PICTURES = WEIGHTS.parent / "docs" / "report"
COMMAND = "make report CATS=… PHOTOS=… PERCEPTUAL=…"
SIZE = 64  # side of the pictures the bundled models were trained on


@torch.inference_mode()
def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        write(args, clock())
    except ModuleNotFoundError as error:
        print(f"error: the plots need {error.name}: pip install -r requirements-test.txt", file=sys.stderr)
        return 2
    except (ValueError, OSError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out} is written")
    return 0


def write(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    from vq.report import pictures  # matplotlib is a test requirement

    if args.samples < measure.COLUMNS:
        raise ValueError(f"--samples: expected {measure.COLUMNS} or more, a row of a sheet, got {args.samples}")
    logging.disable_progress_bar()  # of loading, between the lines of `say`
    # All at the start: weights that are replaced while this runs are not half in it.
    generators, records = measure.generators(), measure.training_records()
    reference = Reference(args.cats, SIZE, SqueezeNet.from_file(args.perceptual))
    args.pictures.mkdir(parents=True, exist_ok=True)
    if studies := trials.read():
        pictures.trials_plot(studies, args.pictures / "trials.png")
    say("rates of JPEG, WebP and the grid codecs")
    pictures.rate_plot(measure.rate_distortion(args.photos), args.pictures / "rate.png")
    pictures.usage_plot(args.pictures / "usage.png")
    say("features of every training picture and its mirror image")
    _ = reference.train
    codecs = {}
    for name in CODECS:
        say(f"figures of the codec {CODECS[name].title}")
        codecs[name] = measure.codec_figures(name, args.cats, args.photos, reference)
    pictures.save_sheet(pictures.reconstructions(reference), args.pictures / "reconstructions.jpg")
    drawn = []
    for of, prior, codec in generators:
        say(f"{args.samples:,} samples of {of.title}")
        drawn.append(measure.generate(of, prior, codec, args.cats, reference, args.samples))
    say("samples beside training pictures")
    pictures.save_sheet(pictures.samples(drawn), args.pictures / "samples.jpg")
    pictures.save_sheet(pictures.neighbours(drawn, reference), args.pictures / "neighbours.jpg")
    pictures.save_sheet(pictures.equal_tokens(drawn, reference), args.pictures / "tokens.jpg")
    pictures.distance_plot(measure.distances(drawn, reference), args.pictures / "distances.png")
    where = os.path.relpath(args.pictures, args.out.parent)
    text = page(codecs, {d.of.title: d.figures for d in drawn}, records, COMMAND, where)
    args.out.write_text(text, encoding="utf-8")
    say("done")


def clock() -> Callable[[str], None]:
    """What tells of progress: a line each, with the seconds since the start."""
    start = time.monotonic()
    return lambda text: print(f"{time.monotonic() - start:5.0f} s  {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vq.report", description="One page on all that is shipped.")
    parser.add_argument("--cats", required=True, metavar="PATH", help="what AE, VAE and the priors were trained on")
    parser.add_argument("--photos", required=True, metavar="PATH", help="photographs for the grid codecs")
    parser.add_argument("--perceptual", type=Path, required=True, metavar="PATH", help="SqueezeNet 1.1 (safetensors)")
    parser.add_argument(
        "--samples", type=int, default=2000, help="pictures each generator draws, 10 or more (default 2000)"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS / "README.md", metavar="FILE")
    parser.add_argument("--pictures", type=Path, default=PICTURES, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
