"""The loss terms of the series, each as its formula reads. Terms of the quantiser are in vq/models/quantizer.py."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def sum_of_squares(x: Tensor, y: Tensor) -> Tensor:
    """||x - y||^2 summed over each picture, averaged over the batch: scalar."""
    return (x - y).square().flatten(1).sum(1).mean()


def log_error(x: Tensor, y: Tensor, gather: Callable[[Tensor], Tensor] = lambda errors: errors) -> Tensor:
    """Mean over the batch of the logarithm of each picture's mean squared error, on the scale of the error: scalar.

    PSNR up to sign and scale. Its gradient is that of the mean squared error with every picture weighed by the inverse
    of its own error; the small constant keeps a perfect picture from weighing infinitely. gather: brings the errors of
    this share of a batch together with those of the others, since the scale is that of the whole batch.
    """
    errors = (x - y).square().flatten(1).mean(1)
    return gather(errors.detach()).mean() * (errors + 1e-4).log().mean()


def gaussian_kl(mean_BD: Tensor, logvar_BD: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, I)) = 1/2 sum(mu^2 + sigma^2 - 2 log sigma - 1) for each picture, in nats: (B,).

    Kingma & Welling 2013, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean_BD.square() + logvar_BD.exp() - logvar_BD - 1).sum(1)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, form: str = "hinge") -> Tensor:
    """What the discriminator minimises: scalar. Call it on logits of detached fakes.

    "hinge": max(0, 1 - D(x)) + max(0, 1 + D(x^)) (Lim & Ye 2017, arXiv:1705.02894).
    "log": -log D(x) - log(1 - D(x^)) with D the sigmoid of the logits (Goodfellow et al. 2014, arXiv:1406.2661).
    """
    if form == "hinge":
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
    if form == "log":
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    raise ValueError(f'form: expected "hinge" or "log", got {form!r}')


def generator_loss(fake_logits: Tensor, form: str = "hinge") -> Tensor:
    """What the decoder minimises: -D(x^) for "hinge", the non-saturating -log D(x^) for "log"."""
    if form == "hinge":
        return -fake_logits.mean()
    if form == "log":
        return F.softplus(-fake_logits).mean()
    raise ValueError(f'form: expected "hinge" or "log", got {form!r}')
