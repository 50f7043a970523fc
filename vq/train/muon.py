"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) in the parameters' own precision.

torch.optim.Muon orthogonalises in bfloat16, which processors without such units only emulate, tens of times slower.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Momentum whose update is replaced by the nearest orthogonal matrix. For hidden layers only.

    Matrices, and kernels taken as matrices with a row for each output channel."""

    def __init__(self, parameters: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"], group["momentum"])

    def _update(self, weight: Tensor, gradient: Tensor, lr: float, momentum: float) -> None:
        state = self.state[weight]
        average = state.setdefault("average", torch.zeros_like(weight))
        average.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(average, momentum).flatten(1)  # Nesterov's momentum
        # Tall matrices would otherwise move their outputs less than wide ones.
        scale = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
        weight.add_(orthogonal(ahead).view_as(weight), alpha=-lr * scale)


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """U V^T of the singular value decomposition, roughly: singular values end between about 0.7 and 1.2.

    A Newton-Schulz iteration with the coefficients of the source.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T
