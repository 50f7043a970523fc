"""Tiny token priors with random weights everywhere, so that nothing a trained one uses is zero."""

import torch

from vq.models.pixelcnn import PixelCNN
from vq.models.transformer import Transformer
from vq.prior import Prior

CODES = 23
GRID = (4, 5)


def randomised(prior: Prior, seed: int = 0) -> Prior:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in prior.named_parameters():
            if "norm" in name:
                continue
            fan = p[0].numel() if p.ndim > 1 and "tokens" not in name else 1
            p.copy_(torch.randn(p.shape, generator=generator) * (1.5 / fan**0.5))
    return prior.eval().requires_grad_(False)


def tiny_transformer(grid: tuple[int, int] = GRID, codes: int = CODES, **config: object) -> Prior:
    return randomised(Transformer(codes, grid, width=24, depth=2, heads=3, **config))


def tiny_pixelcnn(grid: tuple[int, int] = GRID, codes: int = CODES, **config: object) -> Prior:
    return randomised(PixelCNN(codes, grid, width=12, code_width=6, depth=max(2, max(grid) // 2), kernel=5, **config))


TINY = {"transformer": tiny_transformer, "pixelcnn": tiny_pixelcnn}


def random_tokens(n: int, grid: tuple[int, int] = GRID, seed: int = 0) -> torch.Tensor:
    return torch.randint(CODES, (n, *grid), generator=torch.Generator().manual_seed(seed))
