"""python -m vq.benchmark {codec,priors,ui,startup} [--json FILE] [--threads N] ..."""

import argparse
import importlib
import json
import sys
from pathlib import Path

import torch

from vq.benchmark.report import as_json, environment

# name: module, what it measures. A part is imported only when asked for: peers are test requirements.
PARTS = {
    "codec": ("vq.benchmark.codec", "encode and decode, beside diffusers' VQModel of equal size"),
    "priors": ("vq.benchmark.priors", "sampling, beside the naive loop and transformers' GPT-2"),
    "ui": ("vq.benchmark.ui", "requests over HTTP beside the task alone; an edit from pointer to painted picture"),
    "startup": ("vq.benchmark.startup", "from the command to the first answer, beside the bare imports; memory"),
}


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    names = "\n".join(f"  {name:<10}{about}" for name, (_, about) in PARTS.items())
    first = argparse.ArgumentParser(
        prog="python -m vq.benchmark", epilog=f"parts:\n{names}", formatter_class=argparse.RawTextHelpFormatter
    )
    first.add_argument("part", choices=list(PARTS), metavar="PART", help="one of the parts below, then its own options")
    part = first.parse_args(words[:1]).part
    module = importlib.import_module(PARTS[part][0])
    parser = argparse.ArgumentParser(prog=f"python -m vq.benchmark {part}", description=PARTS[part][1])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: its own choice)")
    module.add_arguments(parser)
    args = parser.parse_args(words[1:])
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = environment(getattr(args, "device", "cpu"))
    try:
        tables = module.measure(args)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("  ".join(f"{key} {value}" for key, value in machine.items() if value is not None))
    for table in tables:
        print(f"\n{table}")
    if args.json:
        args.json.write_text(json.dumps(as_json(part, tables, machine), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
