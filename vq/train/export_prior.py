"""What a prior's run leaves behind: its best validation state as a weights folder with a card.

    config.json, *.safetensors   stored in half precision; the sampling defaults with the smallest Fréchet distance
    training.json                recipe, command, time, learning curve, figures, the options that were tried
    sheet.png, README.md         samples with seeds 0, 1, 2, none picked out; the model card

Everything measured is measured on what was stored.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from vq import metrics
from vq.codec import Codec
from vq.evaluate.codec import Figures, Squares, frechet_sides
from vq.evaluate.prior import evaluate_prior, pictures
from vq.hub import load_prior
from vq.image import sheet
from vq.models.squeezenet import SqueezeNet
from vq.prior import Prior
from vq.sampling import Options
from vq.train.card import prior_card
from vq.train.export import Account, read_notes, run_record, store

# One direction at a time: a lower temperature, a smaller nucleus, fewer codes; and two of them together.
TRIED = (
    Options(),
    Options(temperature=0.9),
    Options(temperature=0.8),
    Options(top_p=0.95),
    Options(top_p=0.9),
    Options(top_p=0.8),
    Options(top_k=200),
    Options(temperature=0.9, top_p=0.95),
)
SHEET_COLUMNS = 12
# Enough to rank options, since all draw with the same seeds.
TUNED_ON = 500


def export_prior(
    run: Path, best: Prior, codec: Codec, account: Account, perceptual: SqueezeNet | None, samples: int, notes: Path
) -> Path:
    """Write RUN/weights from the best state, measure it and return the folder.

    With `perceptual`, the sampling defaults are chosen by TUNED_ON pictures each, then measured by `samples`.
    """
    folder = run / "weights"
    shutil.rmtree(folder, ignore_errors=True)
    source = account.sources[0][0]
    tried = tune(best, codec, source, perceptual, min(samples, TUNED_ON)) if perceptual else []
    chosen = min(tried, key=lambda row: row["frechet"]) if tried else {}
    prior = with_defaults(best, {key: chosen[key] for key in ("temperature", "top_k", "top_p") if key in chosen})
    store(cast(nn.Module, prior), folder)
    stored = cast(Prior, load_prior(folder))
    rows = [row for y in pictures(stored, codec, 3 * SHEET_COLUMNS) for row in y.split(SHEET_COLUMNS)]
    sheet(rows).save(folder / "sheet.png")
    record = run_record(account, cast(nn.Module, prior), run / "log.jsonl") | {"codec": stored.codec, "tried": tried}
    record["figures"] = [evaluate_prior(stored, codec, source, perceptual, samples)]
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "README.md").write_text(prior_card(record, read_notes(notes, account.sources)))
    return folder


def with_defaults(prior: Prior, defaults: dict[str, Any]) -> Prior:
    """The same network, drawing with other defaults unless told otherwise."""
    config = {k: v for k, v in cast(Any, prior).config.items() if not k.startswith("_")}
    fresh = type(prior)(**config | defaults)
    fresh.load_state_dict(prior.state_dict())
    return fresh.eval()


@torch.inference_mode()
def tune(
    prior: Prior, codec: Codec, data: str, perceptual: SqueezeNet, samples: int, tried: Sequence[Options] = TRIED
) -> list[Figures]:
    """The Fréchet distance of `samples` pictures to the first 2,000 of train/, for each of the options."""
    reference, _ = frechet_sides(data, codec.image_size or 0)
    real = _features(reference, perceptual)
    rows = []
    for options in tried:
        kwargs = dataclasses.asdict(options)
        drawn = torch.cat([perceptual.pooled(y) for y in pictures(prior, codec, samples, **kwargs)])
        rows.append(kwargs | {"samples": samples, "frechet": metrics.frechet(drawn, real)})
    return rows


def _features(squares: Squares, perceptual: SqueezeNet) -> Tensor:
    return torch.cat([perceptual.pooled(x) for x in squares])
