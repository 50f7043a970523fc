"""python -m vq.benchmark {codec,priors,ui,startup,load,all} [--json FILE] [--threads N] ..."""

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from vq.benchmark.report import as_json, environment

# name: module, what it measures. A part is imported only when asked for: peers are test requirements.
PARTS = {
    "codec": ("vq.benchmark.codec", "encode and decode, beside diffusers' VQModel of equal size"),
    "priors": ("vq.benchmark.priors", "sampling, beside the naive loop and transformers' GPT-2"),
    "ui": ("vq.benchmark.ui", "requests over HTTP beside the task alone; an edit from pointer to painted picture"),
    "startup": ("vq.benchmark.startup", "from the command to the first answer, beside the bare imports; memory"),
    "load": ("vq.benchmark.load", "1, 4, 16 and 64 visitors at once, for minutes: who gets what, and when"),
}
# Those that have figures of their own on a GPU.
ON_GPU = ("codec", "priors", "load")


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    names = "\n".join(f"  {name:<10}{about}" for name, (_, about) in PARTS.items())
    names += "\n  all       all of them but load, each in a process of its own"
    first = argparse.ArgumentParser(
        prog="python -m vq.benchmark", epilog=f"parts:\n{names}", formatter_class=argparse.RawTextHelpFormatter
    )
    first.add_argument(
        "part", choices=[*PARTS, "all"], metavar="PART", help="one of the parts below, then its own options"
    )
    part = first.parse_args(words[:1]).part
    return run_all(words[1:]) if part == "all" else run_part(part, words[1:])


def run_part(part: str, words: list[str]) -> int:
    module = importlib.import_module(PARTS[part][0])
    parser = argparse.ArgumentParser(prog=f"python -m vq.benchmark {part}", description=PARTS[part][1])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: its own choice)")
    module.add_arguments(parser)
    args = parser.parse_args(words)
    if args.threads:
        torch.set_num_threads(args.threads)
    begin = time.perf_counter()
    try:
        machine = environment(getattr(args, "device", "cpu"))
        tables = module.measure(args)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    machine["seconds"] = round(time.perf_counter() - begin)
    print("  ".join(f"{key} {value}" for key, value in machine.items() if value is not None))
    for table in tables:
        print(f"\n{table}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(as_json(part, tables, machine), indent=1) + "\n")
    return 0


def run_all(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m vq.benchmark all", description="All parts but load.")
    parser.add_argument("--json-dir", type=Path, metavar="DIR", help="write DIR/PART.json there, for vq.benchmark.plot")
    parser.add_argument("--device", default="cpu", help="cuda: those parts where it counts, as DIR/PART-cuda.json")
    args = parser.parse_args(words)
    gpu = args.device != "cpu"
    begin = time.perf_counter()
    for part in PARTS:
        if part == "load" or (gpu and part not in ON_GPU):
            continue
        command = [sys.executable, "-m", "vq.benchmark", part, *(["--device", args.device] if gpu else [])]
        if args.json_dir:
            name = f"{part}-{args.device}.json" if gpu else f"{part}.json"
            command += ["--json", str(args.json_dir / name)]
        print(f"\n== {part}", flush=True)
        if code := subprocess.run(command).returncode:
            return code
    print(f"\nall: {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
