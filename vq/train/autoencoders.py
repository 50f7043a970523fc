"""Recipes of the four autoencoders. The table SPECS is all that differs between two runs of one family."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import broadcast
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor, nn

from vq import metrics
from vq.codec import Codec
from vq.image import sheet
from vq.models.autoencoder import AE, VAE
from vq.models.discriminator import FeatureDiscriminator, PatchDiscriminator
from vq.models.quantizer import EMACodebook
from vq.models.squeezenet import TAP_CHANNELS, SqueezeNet, activation_distance, texture_distance
from vq.models.vqvae import VQVAE
from vq.prior import Prior
from vq.train.loop import copy_weights, cosine, descend
from vq.train.losses import discriminator_loss, gaussian_kl, generator_loss, log_error, sum_of_squares
from vq.train.processes import prepare, whole_batch


@dataclass(frozen=True)
class Spec:
    """One row: the network and how it trains.

    l1, perceptual: weights beside the mean squared error. log_mse: take the logarithm of each picture's error, as PSNR
    does (Chen et al. 2021, HINet, arXiv:2105.06086), so that easy pictures count as much as hard ones.
    kl: the VAE's beta. linear_scale: learning rate of the linear ways of AE and VAE, relative to lr.
    adversary_start: the share of the run after which encoder and codebook freeze and the decoder trains against the
    discriminator; 1 means never.
    adversarial, feature_adversarial: weights of its verdicts on pixels, and on what the perceptual network sees.
    adversarial_perceptual, adversarial_texture: weights of the feature and texture distances in that phase.
    redrawn: with a prior, that phase also shows the decoder pictures some of whose tokens the prior has drawn anew, up
    to this share of them, so that it learns to make pictures of samples, too.
    freeze_tokens: train the decoder alone, so that tokens, and priors trained on them, keep their meaning.
    restart_every: steps between restarts of codes used less than restart_below times the mean.
    """

    model: type[nn.Module]
    config: dict[str, Any] = field(default_factory=dict)
    batch: int = 16
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.999
    kl: float = 1.0
    linear_scale: float = 0.01
    l1: float = 0.0
    log_mse: bool = False
    perceptual: float = 0.0
    freeze_tokens: bool = False
    restart_every: int = 100
    restart_below: float = 0.03
    ema_codebook: bool = False
    adversary_start: float = 1.0
    adversarial: float = 0.05
    feature_adversarial: float = 0.0
    adversarial_form: str = "hinge"
    adversarial_perceptual: float = 0.08
    adversarial_texture: float = 0.0
    redrawn: float = 0.0
    decoder_lr: float = 2e-4
    discriminator_lr: float = 4e-4
    discriminator_widths: tuple[int, ...] = (64, 128, 256)


SPECS: dict[str, Spec] = {
    "ae": Spec(AE),
    "vae": Spec(VAE),
    # beta and gamma weigh the VQ terms up against the picture's: codes and encoder outputs stay close, see its card.
    "vqvae": Spec(
        VQVAE,
        {
            "widths": [48, 160],
            "encoder_depths": [2, 2],
            "decoder_depths": [2, 5],
            "unit_length": True,
            "beta": 16.0,
            "gamma": 4.0,
        },
        lr=1.2e-3,
        l1=0.02,
        log_mse=True,
    ),
    "vqgan": Spec(
        VQVAE,
        {
            "widths": [48, 128, 256],
            "encoder_depths": [0, 1, 1],
            "decoder_depths": [1, 2, 1],
            "unit_length": True,
        },
        restart_every=200,
        l1=0.1,
        perceptual=0.03,
        adversary_start=0.7,
    ),
}


class VectorRecipe:
    """AE and VAE: sum of squares, plus beta times the KL term."""

    def __init__(self, spec: Spec):
        self.spec = spec
        self.model = cast(AE, spec.model(**spec.config))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        linear = [*self.model.linear_encoder.parameters(), *self.model.linear_decoder.parameters()]
        stacks = [p for p in self.model.parameters() if all(p is not q for q in linear)]
        # The weights of the PCA are tiny: at full rate the first steps would wipe them out.
        groups = [{"params": stacks, "scale": 1.0}, {"params": linear, "scale": spec.linear_scale}]
        self.optimizer = torch.optim.AdamW(groups, spec.lr, spec.betas, weight_decay=0)
        self.ema = EMAModel(self.model.parameters(), decay=spec.ema)

    def prepare(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.net, self.optimizer = prepare(accelerator, self.ema, self.model, self.optimizer)
        accelerator.register_for_checkpointing(self.ema)

    def start(self, x_N3HW: Tensor) -> None:
        """Begin as the PCA of these pictures. Raises ValueError if there are too few of them."""
        if len(x_N3HW) <= self.model.latent_dim:
            raise ValueError(f"--data: more than {self.model.latent_dim} pictures are needed, got {len(x_N3HW)}")
        self.model.start_from_pca(*metrics.principal_components(x_N3HW.flatten(1), self.model.latent_dim))
        self.ema = EMAModel(self.model.parameters(), decay=self.spec.ema)

    def grow_from(self, trained: nn.Module) -> None:
        """Begin as a trained model of the same network. Raises ValueError."""
        copy_weights(trained, cast(nn.Module, self.model))
        self.ema = EMAModel(self.model.parameters(), decay=self.spec.ema)

    def step(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        with self.accelerator.autocast():
            out = self.net(x)
        squares = sum_of_squares(out.x_hat.float(), x)
        terms = {"squares": squares}
        if isinstance(self.model, VAE):
            terms["kl"] = gaussian_kl(out.mean.float(), out.logvar.float()).mean()
        loss = squares + self.spec.kl * terms.get("kl", torch.zeros(()))
        descend(self.accelerator, loss, (self.optimizer, self.spec.lr * cosine(progress)))
        self.ema.step(self.model.parameters())
        return terms

    def validate(self, x: Tensor) -> tuple[dict[str, float], Image.Image]:
        y = torch.cat([self.model.decode(self.model.encode(part).z) for part in x.split(32)])
        return {"psnr": float(metrics.psnr(x, y).mean())}, comparison(x, y)

    def milestone(self) -> str | None:
        return None


class VQRecipe:
    """VQ-VAE and VQ-GAN: reconstruction + VQ (+ perceptual) losses; the VQ-GAN's decoder then meets a PatchGAN.

    In the adversarial phase encoder and codebook stay as they are, so tokens keep their meaning.
    """

    def __init__(
        self,
        spec: Spec,
        perceptual: SqueezeNet | None = None,
        grow_from: VQVAE | None = None,
        prior: Prior | None = None,
    ):
        if perceptual is None and (spec.perceptual or spec.adversary_start < 1):
            raise ValueError("this recipe needs --perceptual PATH, the weights of SqueezeNet 1.1")
        if spec.freeze_tokens and grow_from is None:
            raise ValueError("freeze_tokens needs --grow: the model whose tokens are to stay")
        if not 0 <= spec.redrawn <= 1:
            raise ValueError(f"redrawn: expected a share in [0,1], got {spec.redrawn!r}")
        if bool(spec.redrawn) != (prior is not None):
            raise ValueError("redrawn needs --prior, and --prior needs redrawn: how many tokens it is to draw anew")
        self.spec, self.perceptual, self.prior = spec, perceptual, prior
        self.model = cast(VQVAE, spec.model(**spec.config | ({"beta": 0.0} if spec.ema_codebook else {})))
        if grow_from is not None:
            self.model.grow_from(grow_from)
        if prior is not None:
            prior.check_codec(cast(Codec, self.model))
        self.discriminator = Critics(spec)
        for module in (self.model, self.discriminator):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = EMAModel(self.model.parameters(), decay=spec.ema)
        self.codes = CodebookKeeper(self.model, spec)
        self.codes.started.fill_(grow_from is not None)
        if spec.freeze_tokens:
            self._freeze_tokens()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), spec.lr, spec.betas, weight_decay=0)
        self.decoder_optimizer = torch.optim.Adam(self.model.decoder.parameters(), spec.decoder_lr, (0.5, 0.9))
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), spec.discriminator_lr, (0.5, 0.9))
        self._milestone: str | None = None

    def prepare(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        if self.perceptual is not None:
            self.perceptual.to(accelerator.device)
        optimizers = self.optimizer, self.decoder_optimizer, self.d_optimizer
        self.net, self.d_net, self.optimizer, self.decoder_optimizer, self.d_optimizer = prepare(
            accelerator, self.ema, self.model, self.discriminator, *optimizers
        )
        self.codes.to(accelerator.device)
        accelerator.register_for_checkpointing(self.ema, self.codes)

    def step(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        if progress < self.spec.adversary_start:
            return self._reconstruct(x, progress / self.spec.adversary_start)
        return self._compete(x, (progress - self.spec.adversary_start) / (1 - self.spec.adversary_start))

    def milestone(self) -> str | None:
        name, self._milestone = self._milestone, None
        return name

    def validate(self, x: Tensor) -> tuple[dict[str, float], Image.Image]:
        encoded = [self.model.encode(part) for part in x.split(32)]
        y = torch.cat([self.model.decode(e.z) for e in encoded])
        counts = metrics.code_counts(torch.cat([cast(Tensor, e.tokens) for e in encoded]), self.model.codebook_size)
        figures = {
            "psnr": float(metrics.psnr(x, y).mean()),
            "usage": metrics.usage(counts),
            "perplexity": metrics.perplexity(counts),
        }
        return figures, comparison(x, y)

    def _reconstruct(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        self.codes.before_step(self, x)
        with self.accelerator.autocast():
            out = self.net(x)
            terms = self._distances(out.x_hat, x, self.spec.perceptual)
        gather = self.accelerator.gather
        squares = log_error(out.x_hat.float(), x, gather) if self.spec.log_mse else terms["mse"]
        loss = squares + self.spec.l1 * terms["l1"] + out.quantized.loss
        if "perceptual" in terms:
            loss = loss + self.spec.perceptual * terms["perceptual"]
        descend(self.accelerator, loss, (self.optimizer, self.spec.lr * cosine(progress)))
        self.codes.after_step(self, out.pre, out.quantized.tokens, progress)
        self.ema.step(self.model.parameters())
        return terms | {"commitment": out.quantized.commitment}

    def _compete(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        self._freeze()
        spec, rate, perceptual = self.spec, cosine(progress), cast(SqueezeNet, self.perceptual)
        self.discriminator.requires_grad_(False)  # the decoder's step leaves no gradient in it
        with self.accelerator.autocast():
            fakes = self._fakes(x)
            real, fake = perceptual.activations(x), perceptual.activations(fakes)
            pixels, *features = self.d_net(fakes, fake)
        rebuilt, *redrawn = zip(*(a.split(len(x)) for a in fake), strict=True)
        terms = {
            "l1": (fakes[: len(x)] - x).abs().mean(),
            "perceptual": activation_distance(real, rebuilt).mean(),
            "texture": mean([texture_distance(real, part).mean() for part in (rebuilt, *redrawn)]),
            "adversarial": generator_loss(pixels.float(), spec.adversarial_form),
        }
        loss = terms["l1"] + spec.adversarial_perceptual * terms["perceptual"]
        loss = loss + spec.adversarial_texture * terms["texture"]
        # The discriminator starts from nothing: its first verdicts count for little.
        trust = min(1.0, progress / 0.05)
        loss = loss + trust * spec.adversarial * terms["adversarial"]
        if features:
            terms["features"] = mean([generator_loss(f.float(), spec.adversarial_form) for f in features])
            loss = loss + trust * spec.feature_adversarial * terms["features"]
        descend(self.accelerator, loss, (self.decoder_optimizer, spec.decoder_lr * rate))
        self.discriminator.requires_grad_(True)
        with self.accelerator.autocast():
            # One pass for both sides: every verdict depends on its own picture alone.
            both = [torch.cat([a, b.detach()]) for a, b in zip([x, *real], [fakes, *fake], strict=True)]
            sizes = [len(x), len(fakes)]
            sides = [verdicts.float().split(sizes) for verdicts in self.d_net(both[0], both[1:])]
        pixels, *features = [discriminator_loss(a, b, spec.adversarial_form) for a, b in sides]
        d_loss = pixels + (mean(features) if features else 0)
        descend(self.accelerator, d_loss, (self.d_optimizer, spec.discriminator_lr * rate))
        self.ema.step(self.model.parameters())
        return terms | {"discriminator": d_loss}

    def _fakes(self, x: Tensor) -> Tensor:
        """What is to pass for pictures: (B,3,H,W) reconstructions, and with a prior as many of redrawn tokens."""
        out = self.net(x)
        if self.prior is None:
            return out.x_hat.float()
        tokens = redraw(self.prior, out.quantized.tokens, self.spec.redrawn)
        return torch.cat([out.x_hat, self.model.decoder(self.model.lookup(tokens))]).float()

    def _distances(self, x_hat: Tensor, x: Tensor, perceptual: float) -> dict[str, Tensor]:
        x_hat = x_hat.float()
        terms = {"mse": (x_hat - x).square().mean(), "l1": (x_hat - x).abs().mean()}
        if perceptual and self.perceptual is not None:
            terms["perceptual"] = self.perceptual.distance(x_hat, x).mean()
        return terms

    def _freeze(self) -> None:
        """Enter the adversarial phase: continue from the averaged weights; only the decoder moves from here on."""
        self._freeze_tokens()
        if not self.codes.frozen:
            self.codes.frozen.fill_(True)
            self.ema.copy_to(self.model.parameters())
            self._milestone = "before_adversary"

    def _freeze_tokens(self) -> None:
        self.model.encoder.requires_grad_(False)
        self.model.quantizer.requires_grad_(False)


class CodebookKeeper(nn.Module):
    """Keeps the codebook alive: places it on real encoder outputs at the start, restarts codes that fall out of use.

    It sees the whole batch: every process keeps the same codebook. Its buffers make a resumed run exact. `frozen` tells
    that the adversarial phase has begun.
    """

    counts: Tensor
    started: Tensor
    since: Tensor
    frozen: Tensor

    def __init__(self, model: VQVAE, spec: Spec):
        super().__init__()
        self.spec = spec
        self.average = EMACodebook(model.quantizer) if spec.ema_codebook else None
        self.register_buffer("counts", torch.zeros(model.codebook_size, dtype=torch.int64))
        self.register_buffer("since", torch.zeros((), dtype=torch.int64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool))

    def before_step(self, recipe: VQRecipe, x: Tensor) -> None:
        """On the first step, place every code on an encoder output."""
        if self.started:
            return
        with torch.no_grad():
            pre = recipe.model.encoder(x).float()
            codes = torch.arange(recipe.model.codebook_size, device=x.device)
            self._place(recipe, codes, pre)
        self.started.fill_(True)

    def after_step(self, recipe: VQRecipe, pre: Tensor, tokens: Tensor, progress: float) -> None:
        """Count the codes used; every restart_every steps, move the unused ones. None move in the last fifth."""
        if self.spec.freeze_tokens:
            return
        model, tokens = recipe.model, whole_batch(recipe.accelerator, tokens)
        if self.average is not None:
            self.average.update(model.quantizer, whole_batch(recipe.accelerator, pre.detach()), tokens)
        self.counts += metrics.code_counts(tokens, model.codebook_size)
        self.since += 1
        if self.since < self.spec.restart_every:
            return
        dead = (self.counts < self.spec.restart_below * self.counts.float().mean()).nonzero()[:, 0]
        self.counts.zero_()
        self.since.zero_()
        if progress < 0.8 and len(dead):
            self._place(recipe, dead, pre.detach())
            _forget(recipe.optimizer, model.quantizer.codebook_KD, dead)
            index = next(i for i, p in enumerate(model.parameters()) if p is model.quantizer.codebook_KD)
            recipe.ema.shadow_params[index][dead] = model.quantizer.codebook_KD.detach()[dead]

    @torch.no_grad()
    def _place(self, recipe: VQRecipe, codes: Tensor, pre_BDhw: Tensor) -> None:
        outputs = whole_batch(recipe.accelerator, pre_BDhw).permute(0, 2, 3, 1).flatten(0, 2)
        vectors = outputs[torch.randint(len(outputs), (len(codes),), device=outputs.device)]
        # Codes placed on one and the same output would never part.
        vectors = vectors + 1e-3 * outputs.std() * torch.randn_like(vectors)
        vectors = broadcast(vectors)  # every process has drawn others: those of the first count
        recipe.model.quantizer.codebook_KD[codes] = vectors
        if self.average is not None:
            self.average.place(codes, vectors)


class Critics(nn.Module):
    """The discriminators of the adversarial phase: one of pixels, and with feature_adversarial one of features."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.pixels = PatchDiscriminator(spec.discriminator_widths)
        self.features = FeatureDiscriminator(TAP_CHANNELS) if spec.feature_adversarial else None

    def forward(self, x_B3HW: Tensor, activations: Sequence[Tensor]) -> list[Tensor]:
        """Logits on the picture, then on each of its activations."""
        return [self.pixels(x_B3HW), *(self.features(activations) if self.features is not None else [])]


@torch.no_grad()
def redraw(prior: Prior, tokens_Bhw: Tensor, most: float) -> Tensor:
    """Tokens of which the prior has drawn some anew, each as if all before it stood: (B,h,w).

    The share is another one for each picture, uniform in [0,most]. One pass of the network, where samples take one a
    token; and what comes out still is about the picture, which samples are not.
    """
    p = prior.forward(tokens_Bhw).float().softmax(-1)
    drawn = p.flatten(0, 2).multinomial(1).view_as(tokens_Bhw)
    share = most * torch.rand(len(tokens_Bhw), 1, 1, device=drawn.device)
    return torch.where(torch.rand(drawn.shape, device=drawn.device) < share, drawn, tokens_Bhw)


def mean(terms: list[Tensor]) -> Tensor:
    """The mean of scalars: scalar."""
    return torch.stack(terms).mean()


def comparison(x: Tensor, y: Tensor, count: int = 12) -> Image.Image:
    """A sheet: pictures above their reconstructions."""
    return sheet([x[:count], y[:count]], scale=2)


def _forget(optimizer: AcceleratedOptimizer | torch.optim.Optimizer, parameter: nn.Parameter, rows: Tensor) -> None:
    """Zero Adam's moments of these rows: they described the codes that stood there before."""
    state = optimizer.state.get(parameter, {})
    for key in ("exp_avg", "exp_avg_sq"):
        if key in state:
            state[key][rows] = 0
