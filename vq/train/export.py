"""What a run leaves behind: a weights folder that loads by one line and says how it came about.

    config.json, *.safetensors   the averaged network, stored in half precision
    statistics.safetensors       its latent space over the training pictures; see `vq.hub.load_statistics`
    training.json                recipe, command, time, learning curve, figures
    sheet.png, README.md         held-out pictures above their reconstructions; the model card

Everything measured is measured on what was stored.
"""

import copy
import dataclasses
import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vq import metrics
from vq.catalogue import WEIGHTS
from vq.codec import Codec
from vq.evaluate.codec import Figures, Squares, evaluate
from vq.hub import STATISTICS, load
from vq.image import PictureError, sheet
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet
from vq.train.autoencoders import Spec
from vq.train.card import card
from vq.train.priors import PriorSpec

# Three more bits of mantissa than bfloat16 in the same space; weights come nowhere near its range.
STORED = torch.float16
CURVE_POINTS = 200
SHEET_COLUMNS = 12
SNAPSHOT = "before_adversary"
DATA_NOTES = WEIGHTS / "DATA.md"


@dataclass(frozen=True)
class Account:
    """How a run went: what its card tells and its weights don't. Paths in `command` are shortened to file names.

    remarks: Markdown for the card, on what the command alone doesn't tell. left_out: names of pictures not trained on.
    """

    name: str
    command: str
    sources: Sequence[tuple[str, float]]
    spec: Spec | PriorSpec
    seed: int
    precision: str
    processes: int
    steps: int
    seconds: float
    remarks: str = ""
    left_out: frozenset[str] = frozenset()


def export(run: Path, model: nn.Module, account: Account, perceptual: SqueezeNet | None, notes: Path) -> Path:
    """Write RUN/weights from the averaged model (left as it is), measure it, and return the folder.

    notes: a Markdown file with a section for each source of pictures: where they come from, under which licence.
    """
    folder = run / "weights"
    shutil.rmtree(folder, ignore_errors=True)
    store(model, folder)
    codec = load(folder)
    save_file(statistics(codec, account.sources[0][0], account.left_out), folder / STATISTICS)
    contact_sheet(codec, [path for path, _ in account.sources]).save(folder / "sheet.png")
    record = run_record(account, model, run / "log.jsonl")
    record["figures"] = [measure(codec, path, perceptual) for path, _ in account.sources]
    if (run / SNAPSHOT).is_dir():
        record[SNAPSHOT] = [measure(load(run / SNAPSHOT), account.sources[0][0], perceptual)]
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "README.md").write_text(card(record, read_notes(notes, account.sources)))
    return folder


def store(model: nn.Module, folder: Path) -> None:
    """config.json and safetensors in half precision, a file at most 9 MB."""
    half = cast(Any, copy.deepcopy(model)).half()
    bad = [name for name, p in half.named_parameters() if not bool(p.isfinite().all())]
    if bad:
        raise ValueError(f"{bad[0]}: not finite in half precision; the run has diverged")
    half.save_pretrained(folder, max_shard_size="9MB")
    config = json.loads((folder / "config.json").read_text())
    config.pop("_name_or_path", None)  # of the folder a model was read from
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def measure(codec: Codec, path: str, perceptual: SqueezeNet | None) -> Figures:
    """`evaluate` on val/, at the size trained at; at twice that where the codec and the source's pictures allow it."""
    size = codec.image_size or 0
    if codec.factor is not None and _short_side(PictureSet(path, "val")) >= 2 * size:
        size *= 2
    return evaluate(codec, path, "val", size, perceptual)


def _short_side(pictures: PictureSet, sample: int = 20) -> int:
    """The median of the first few pictures' short sides; 0 if none can be read."""
    sides = []
    for i in range(min(sample, len(pictures))):
        try:
            sides.append(min(pictures.read(i).size))
        except PictureError:
            continue
    return sorted(sides)[len(sides) // 2] if sides else 0


@torch.inference_mode()
def statistics(codec: Codec, path: str, left_out: Collection[str] = ()) -> dict[str, Tensor]:
    """The latent space over the pictures trained on: mean, components and std of a vector codec, counts of a
    quantised one."""
    batches = Squares(PictureSet(path, "train", left_out), codec.image_size or 0)
    encoded = [codec.encode(x) for x in batches]
    if codec.codebook_size:
        tokens = torch.cat([e.tokens.flatten() for e in encoded if e.tokens is not None])
        return {"counts": metrics.code_counts(tokens, codec.codebook_size)}
    z = torch.cat([e.z for e in encoded])
    mean, components, std = metrics.principal_components(z, z.shape[1])
    return {"mean": mean, "components": components, "std": std}


@torch.inference_mode()
def contact_sheet(codec: Codec, paths: Sequence[str]) -> Image.Image:
    """For each source a row of held-out pictures, evenly spread, above a row of their reconstructions."""
    rows = []
    for path in paths:
        pictures = PictureSet(path, "val")
        count = min(SHEET_COLUMNS, len(pictures))
        spread = [i * len(pictures) // count for i in range(count)]
        for x in Squares(pictures, codec.image_size or 0, indices=spread):
            rows += [x, codec.decode(codec.encode(x).z)]
    return sheet(rows)


def _described(path: str, weight: float, left_out: frozenset[str]) -> dict[str, Any]:
    """How many pictures of a source were trained on, and how many were held out."""
    trained, held_out = PictureSet(path, "train", left_out), PictureSet(path, "val")
    return {"name": Path(path).name, "weight": weight, "train": len(trained), "val": len(held_out)}


def run_record(account: Account, model: nn.Module, log: Path) -> dict[str, Any]:
    """What training.json tells of a run, its figures apart."""
    spec = dataclasses.asdict(account.spec)
    pictures = account.steps * account.spec.batch
    return {
        "model": account.name,
        "class": spec.pop("model").__name__,
        "codebook_size": getattr(model, "codebook_size", None),
        "parameters": sum(p.numel() for p in model.parameters()),
        "stored": str(STORED).removeprefix("torch."),
        "command": account.command,
        "data": [_described(path, weight, account.left_out) for path, weight in account.sources],
        "remarks": account.remarks,
        "seed": account.seed,
        "precision": account.precision,
        "processes": account.processes,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps": account.steps,
        "seconds": round(account.seconds),
        "pictures": pictures,
        "pictures_per_second": round(pictures / max(account.seconds, 1e-9), 1),
        "recipe": spec,
        **curve(log),
    }


def curve(log: Path) -> dict[str, list[dict[str, Any]]]:
    """The log of a run, thinned out: training losses under "curve", held-out figures under "held_out".

    A run killed after its last checkpoint repeats steps when resumed: the later account of them counts.
    """
    lines = log.read_text().splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    return {"curve": _series(rows, "loss"), "held_out": _series(rows, "val")}


def _series(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    series: list[dict[str, Any]] = []
    for row in rows:
        if key not in row:
            continue
        while series and series[-1]["step"] >= row["step"]:
            series.pop()
        series.append({"step": row["step"], "seconds": row["seconds"], **row[key]})
    return [_rounded(row) for row in _thin(series)]


def _thin(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most CURVE_POINTS rows, evenly spaced, the last one among them."""
    stride = -(-len(rows) // CURVE_POINTS) or 1
    return rows[::-1][::stride][::-1]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def read_notes(notes: Path, sources: Sequence[tuple[str, float]]) -> dict[str, str]:
    """File name of each source -> what the notes say under its stem, or a line that says nothing is known."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in notes.read_text().splitlines() if notes.is_file() else []:
        if line.startswith("## "):
            title = line.removeprefix("## ").strip()
        else:
            sections.setdefault(title, []).append(line)
    names = [Path(path).name for path, _ in sources]
    return {n: "\n".join(sections.get(Path(n).stem, ["Origin and licence not recorded."])).strip() for n in names}
