"""VQ Studio: see how an image tokenizer works.

>>> from vq import load
>>> codec = load("vqvae")
>>> y = codec.decode(codec.encode(x).z)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vq.hub import load, load_prior

__all__ = ["load", "load_prior"]


def __getattr__(name: str) -> Any:
    # Loading pulls in diffusers, which takes longer than all the rest: only when asked for.
    if name in __all__:
        from vq import hub

        return getattr(hub, name)
    raise AttributeError(f"module 'vq' has no attribute {name!r}")
