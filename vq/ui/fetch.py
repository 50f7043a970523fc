"""A picture that a client names by its address: fetched from public hosts only, within bounds of bytes and time.

Gradio would fetch an address of any length, in whatever component it is sent.
"""

import asyncio
import ipaddress
import secrets
import socket
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import safehttpx
from gradio.utils import get_upload_folder
from gradio_client import utils as client_utils

from vq.ui.common import PictureInput
from vq.ui.texts import both

LARGEST = 100_000_000  # bytes
LONGEST = 20  # seconds
REDIRECTS = 5


async def localize(block: Any, value: Any) -> Any:
    """What a client sent for a component, without addresses: a picture's is fetched. Raises gr.Error."""
    if isinstance(block, PictureInput) and isinstance(value, dict) and is_address(value.get("path")):
        return value | {"path": str(await fetch(value["path"])), "url": None}
    found: list[Any] = []
    client_utils.traverse(value, lambda file: found.append(file.get("path")), client_utils.is_file_obj)
    if any(map(is_address, found)):
        raise gr.Error(both("bad_request"), print_exception=False)
    return value


def is_address(path: Any) -> bool:
    return isinstance(path, str) and client_utils.is_http_url_like(path)


async def fetch(address: str) -> Path:
    """The file at an address, in Gradio's folder under a name that nobody can guess. Raises gr.Error."""
    try:
        async with asyncio.timeout(LONGEST):
            data = await read(address)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise gr.Error(both("address_unusable"), print_exception=False) from error
    folder = Path(get_upload_folder()) / secrets.token_hex(32)
    folder.mkdir(parents=True)
    (folder / "picture").write_bytes(data)
    return folder / "picture"


async def read(address: str) -> bytes:
    """Up to LARGEST bytes, through redirects, each to a public host. Raises ValueError, OSError and httpx's own."""
    url = httpx.URL(address)
    for _ in range(REDIRECTS):
        transport = safehttpx.AsyncSecureTransport(await public(url.host))
        async with httpx.AsyncClient(transport=transport, timeout=LONGEST) as client, client.stream("GET", url) as got:
            if got.has_redirect_location:
                url = url.join(got.headers["location"])
                continue
            got.raise_for_status()
            data = bytearray()
            async for chunk in got.aiter_raw():
                data += chunk
                if len(data) > LARGEST:
                    raise ValueError("too large")
            return bytes(data)
    raise ValueError("too many redirects")


async def public(host: str) -> str:
    """A host's public IP address. Raises ValueError if it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError("unknown host") from error
    for *_, address in found:
        if allowed(str(address[0])):
            return str(address[0])
    raise ValueError("not a public host")


def allowed(ip: str) -> bool:
    """Whether an address is on the public internet. Shared address space (RFC 6598), which holds some clouds' own
    services, is private to nobody and public to none: only `is_global` tells."""
    return safehttpx.is_public_ip(ip) and ipaddress.ip_address(ip).is_global
