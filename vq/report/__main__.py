"""python -m vq.report --cats PATH --photos PATH --perceptual PATH: write weights/README.md and its pictures."""

import argparse
import os
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError

from vq.catalogue import WEIGHTS
from vq.models.squeezenet import SqueezeNet
from vq.report import measure
from vq.report.page import page

PICTURES = WEIGHTS.parent / "docs" / "report"
COMMAND = "make report CATS=… PHOTOS=… PERCEPTUAL=…"


@torch.inference_mode()
def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        write(args)
    except ModuleNotFoundError as error:
        print(f"error: the plots need {error.name}: pip install -r requirements-test.txt", file=sys.stderr)
        return 2
    except (ValueError, OSError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out} is written")
    return 0


def write(args: argparse.Namespace) -> None:
    from vq.report import pictures  # matplotlib is a test requirement

    net = SqueezeNet.from_file(args.perceptual)
    args.pictures.mkdir(parents=True, exist_ok=True)
    drawn = measure.generators()
    pictures.reconstructions(args.cats).save(args.pictures / "reconstructions.png")
    pictures.samples(drawn).save(args.pictures / "samples.png")
    pictures.neighbours(drawn, args.cats, net).save(args.pictures / "neighbours.png")
    pictures.usage_plot(args.pictures / "usage.png")
    pictures.rate_plot(measure.rate_distortion(args.photos), args.pictures / "rate.png")
    pictures.distance_plot(measure.distances(drawn, args.cats, net, args.samples // 4), args.pictures / "distances.png")
    codecs = measure.codec_figures(args.cats, args.photos, net)
    generators = measure.generator_figures(drawn, args.cats, net, args.samples)
    where = os.path.relpath(args.pictures, args.out.parent)
    text = page(codecs, generators, measure.training_records(), COMMAND, where)
    args.out.write_text(text, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vq.report", description="One page on all that is shipped.")
    parser.add_argument("--cats", required=True, metavar="PATH", help="what AE, VAE and the priors were trained on")
    parser.add_argument("--photos", required=True, metavar="PATH", help="photographs for the grid codecs")
    parser.add_argument("--perceptual", type=Path, required=True, metavar="PATH", help="SqueezeNet 1.1 (safetensors)")
    parser.add_argument("--samples", type=int, default=2000, help="pictures each generator draws (default 2000)")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "README.md", metavar="FILE")
    parser.add_argument("--pictures", type=Path, default=PICTURES, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
