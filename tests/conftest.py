"""Tiny codecs with random weights, and the page over them: what a test needs when training isn't the point."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# A page that ends removes its files; those of another process, named by what is in them, may be the same.
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="vq-tests-")
# Several processes with a thread for every core each wait for one another.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from vq.codec import Codec

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

FILES = os.environ["GRADIO_TEMP_DIR"]
NAMES = ("ae", "vae", "vqvae", "vqgan")


def pytest_unconfigure() -> None:
    shutil.rmtree(FILES, ignore_errors=True)


@pytest.fixture(scope="session")
def codecs() -> dict[str, Codec]:
    """The four families, each a few thousand parameters; AE and VAE at 64 px, VQ-VAE f4, VQ-GAN f8."""
    from vq.models.autoencoder import AE, VAE
    from vq.models.vqvae import VQVAE

    torch.manual_seed(0)
    vector = {"latent_dim": 16, "widths": (8, 8, 8, 8), "depths": (0, 0, 0, 0)}
    models = {
        "ae": AE(**vector),
        "vae": VAE(**vector),
        "vqvae": VQVAE(codebook_size=32, code_dim=4, widths=(8, 8), decoder_depths=(0, 1)),
        "vqgan": VQVAE(
            codebook_size=32, code_dim=4, widths=(8, 8, 8), encoder_depths=(0, 0, 1), decoder_depths=(0, 0, 1)
        ),
    }
    return {name: model.eval().requires_grad_(False) for name, model in models.items()}


@pytest.fixture(scope="session")
def load(codecs: dict[str, Codec]) -> Callable[[str], Codec]:
    def load(name: str) -> Codec:
        if name not in codecs:
            raise ValueError(f"no codec {name}")
        return codecs[name]

    return load


@pytest.fixture(scope="session")
def load_prior(load, statistics) -> Callable[[str, str | None], Any]:
    """The two token priors over the tiny codecs' 32 codes, and the Gaussians of AE and VAE."""
    from tiny_priors import tiny_pixelcnn, tiny_transformer

    from vq.prior import GaussianPrior

    priors = {
        "pixelcnn": tiny_pixelcnn((16, 16), codes=32, codec="vqvae"),
        "transformer": tiny_transformer((8, 8), codes=32, codec="vqgan"),
    }

    def load_prior(name: str, codec: str | None = None) -> Any:
        if name == "normal":
            return GaussianPrior.normal(codec, load(codec).latent_dim)
        return GaussianPrior.fitted(codec, statistics(codec)) if name == "fitted" else priors[name]

    return load_prior


@pytest.fixture(scope="session")
def statistics() -> Callable[[str], dict[str, Tensor] | None]:
    """Principal directions for AE and VAE: random ones, orthonormal as real ones are."""
    generator = torch.Generator().manual_seed(1)
    components = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    table = {"mean": torch.randn(16, generator=generator), "components": components, "std": torch.linspace(2, 0.1, 16)}
    return lambda name: table if name in ("ae", "vae") else None


@pytest.fixture(scope="session")
def page_url(load, load_prior, statistics) -> Iterator[str]:
    """The page over the tiny codecs, served on a free port."""
    from vq.ui import build_app, launch_options

    page = build_app(load, load_prior, statistics)
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    yield url.rstrip("/")
    page.close()


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """work(*given) in a thread of its own: where Playwright has been started, its loop occupies this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *given).result()


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Iterator[Any]:
    """The real program over the bundled weights, in a process of its own; see program.Program."""
    from program import running

    with running(tmp_path_factory.mktemp("program")) as server:
        yield server
