"""What every prior answers: the generative half of a codec.

A token prior gives p(token | tokens before it in raster order) over its codec's grid; the vector priors are Gaussians
over a latent vector. Networks are in vq/models, the loops in vq/sampling.py.
"""

from collections.abc import Generator, Mapping

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor

from vq import sampling
from vq.codec import Codec, fingerprint
from vq.sampling import Options, Steps


class Prior(ModelMixin, ConfigMixin):
    """A network over the tokens of one grid codec, with its sampling. Subclasses give `forward` and `start`.

    codec is the name of its codec, codebook_sha256 the fingerprint of the codebook it was trained on (None: any).
    None for temperature, top_k or top_p means the default stored in the config. All methods are free of side effects:
    threads may share one prior. Tokens are int64 on the CPU.
    """

    codebook_size: int
    grid: tuple[int, int]
    codec: str
    codebook_sha256: str | None

    def forward(self, tokens_Bhw: Tensor) -> Tensor:
        """tokens (B,r,w), the first r <= h rows -> logits (B,r,w,K) of every token, given those before it."""
        raise NotImplementedError

    def nats(self, read_Bhw: Tensor, tokens_Bhw: Tensor) -> Tensor:
        """The mean cross-entropy (scalar) of tokens, each given those of `read` that stand before it; both (B,h,w)."""
        return sampling.nats_of(self.forward(read_Bhw), tokens_Bhw).mean()

    def start(self, n: int) -> Steps:
        """n empty grids, to be fed token by token."""
        raise NotImplementedError

    def begin(self, codebook_KD: Tensor) -> None:
        """Take from the codec's codebook (K,D) what a network can use before its training. Most can use nothing."""

    def pack(self) -> "Prior":
        """Lay the weights out in memory as sampling likes them; the values stay. Returns itself."""
        return self

    def describe(
        self, codebook_size: int, grid: tuple[int, int], codec: str, codebook_sha256: str | None, defaults: Options
    ) -> None:
        """Set what all token priors have; subclasses call it first. Raises ValueError."""
        h, w = grid
        for name, value in (("codebook_size", codebook_size), ("grid", h), ("grid", w)):
            sampling.check_count(name, value)
        self.codebook_size, self.grid, self.codec = codebook_size, (h, w), codec
        self.codebook_sha256, self.defaults = codebook_sha256, defaults

    def options(
        self, temperature: float | None = None, top_k: int | None = None, top_p: float | None = None
    ) -> Options:
        """The options asked for, the rest as stored. Raises ValueError."""
        d = self.defaults
        return Options(
            d.temperature if temperature is None else temperature,
            d.top_k if top_k is None else top_k,
            d.top_p if top_p is None else top_p,
        )

    def sample(
        self,
        n: int,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """n grids (n,h,w). Grid i depends on (seed, i) and the options alone. Raises ValueError."""
        h, w = self.grid
        (tokens,) = self.stream(n, seed, temperature, top_k, top_p, every=h * w)
        return tokens

    def stream(
        self,
        n: int,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        every: int = 1,
    ) -> Generator[Tensor, None, None]:
        """Growing grids (n,h,w), -1 where nothing stands yet, after each `every` tokens; the last one is `sample`'s.

        Closing the generator ends the work. Raises ValueError at the call, not at the first step.
        """
        return sampling.stream(self, n, seed, self.options(temperature, top_k, top_p), every)

    def complete(
        self,
        tokens: Tensor,
        mask: Tensor,
        seed: int = 0,
        candidates: int = 8,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """(n,h,w) redrawn where mask, bool (n,h,w) or (h,w), is True: the likeliest of `candidates` tries.

        Tokens outside the mask stay as they are. Raises ValueError.
        """
        return sampling.complete(self, tokens, mask, seed, candidates, self.options(temperature, top_k, top_p))

    def variants(
        self,
        tokens: Tensor,
        mask: Tensor,
        keep: int = 4,
        seed: int = 0,
        candidates: int = 16,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The `keep` likeliest different completions of one picture, likeliest first: (m,h,w) and their nats (m,).

        m < keep where fewer different ones were drawn. Raises ValueError.
        """
        options = self.options(temperature, top_k, top_p)
        return sampling.variants(self, tokens, mask, keep, seed, candidates, options)

    def surprisal(self, tokens: Tensor) -> Tensor:
        """(n,h,w) -> (n,h,w) float32: -log p of every token given those before it, in nats. Raises ValueError."""
        return sampling.surprisal(self, tokens)

    def check_codec(self, codec: Codec) -> None:
        """Raise ValueError if `codec` has another codebook than the one this prior was trained on."""
        if codec.codebook_size != self.codebook_size:
            raise ValueError(f"codec: this prior needs {self.codebook_size} codes, got {codec.codebook_size}")
        if self.codebook_sha256 is not None and fingerprint(codec) != self.codebook_sha256:
            raise ValueError(
                f"codec: this prior was trained on another codebook of '{self.codec}' "
                f"(sha256 {self.codebook_sha256[:12]}), got {fingerprint(codec)[:12]}"
            )

    def check_tokens(self, tokens_Brw: Tensor) -> None:
        """Raise ValueError unless tokens is (B,r,w) int64 with r <= h."""
        h, w = self.grid
        if tokens_Brw.ndim != 3 or not 0 < tokens_Brw.shape[1] <= h or tokens_Brw.shape[2] != w:
            raise ValueError(f"tokens: expected (B,r,{w}) with r <= {h}, got {tuple(tokens_Brw.shape)}")


class GaussianPrior:
    """A normal distribution over the latent vectors of a codec: z = mean + (e * std) @ components, e ~ N(0, I).

    components (D,D) holds one direction a row, std (D,) the deviation along each.
    """

    grid = None

    def __init__(self, codec: str, mean_D: Tensor, components_DD: Tensor, std_D: Tensor):
        dim = len(mean_D)
        if mean_D.shape != (dim,) or components_DD.shape != (dim, dim) or std_D.shape != (dim,):
            shapes = ", ".join(str(tuple(t.shape)) for t in (mean_D, components_DD, std_D))
            raise ValueError(f"statistics: expected mean (D,), components (D,D) and std (D,), got {shapes}")
        self.codec, self.dim = codec, dim
        self.mean_D, self.components_DD, self.std_D = mean_D.float(), components_DD.float(), std_D.float()

    @classmethod
    def normal(cls, codec: str, dim: int) -> "GaussianPrior":
        """N(0, I): what a VAE's KL term pulls its latents towards."""
        return cls(codec, torch.zeros(dim), torch.eye(dim), torch.ones(dim))

    @classmethod
    def fitted(cls, codec: str, statistics: Mapping[str, Tensor]) -> "GaussianPrior":
        """The Gaussian with the mean and covariance of the training latents."""
        return cls(codec, statistics["mean"], statistics["components"], statistics["std"])

    def sample(self, n: int, seed: int = 0, temperature: float | None = None) -> Tensor:
        """z (n,D) float32; row i depends on (seed, i) alone. temperature scales the deviations. Raises ValueError."""
        sampling.check_count("n", n)
        sampling.check_seed(seed)
        scale = Options(temperature=1.0 if temperature is None else temperature).temperature
        noise = np.stack([np.random.default_rng((seed, i)).standard_normal(self.dim) for i in range(n)])
        # One row at a time: a product of other size may round differently.
        rows = [self.mean_D + (e * scale * self.std_D) @ self.components_DD for e in torch.from_numpy(noise).float()]
        return torch.stack(rows)
