"""Where text may be sent: to this machine freely, anywhere else only where the user has named the host.

Local is an address that cannot leave the machine: a literal of 127.0.0.0/8 or ::1, or the name `localhost` as long as
it resolves to nothing else. Any other name is remote whatever it resolves to, since what it resolves to may change.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from memescope.errors import UsageError

OWN_KEY = "MEMESCOPE_TEACHER_KEY"
HOST_KEYS = {"api.openai.com": "OPENAI_API_KEY", ".azure.com": "AZURE_OPENAI_API_KEY"}
"""Hosts (or their endings) whose usual variable is read when `MEMESCOPE_TEACHER_KEY` is not set: a key made for one
host is never offered to another."""
_SECRET = re.compile(r"key|token|secret|sig|auth|passw", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A teacher's address, checked. `query` (Azure's `api-version`) goes with every request."""

    url: str
    host: str
    local: bool
    query: tuple[tuple[str, str], ...] = ()


def check_address(url: str, allow_remote: str | None = None, option: str = "--teacher") -> Address:
    """The address of an OpenAI-compatible endpoint, such as `http://127.0.0.1:8081/v1`; `option` is who named it.

    Raises `UsageError` naming the host for an address off this machine that `allow_remote` does not name, for
    plain http off this machine, and for an address that holds a key.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise UsageError(f"{option}: {error}; expected an address such as http://127.0.0.1:8081/v1") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"{option}: expected an address such as http://127.0.0.1:8081/v1, found {_shown(url)!r} (scheme http or "
            "https, then a host)"
        )
    query = tuple(parse_qsl(parts.query))
    if parts.username is not None or parts.password is not None or any(_SECRET.search(name) for name, _ in query):
        raise UsageError(
            f"{option}: the address of {host} holds a key or password; keys come from the environment only: set "
            f"{OWN_KEY} and leave it out of the address"
        )
    local = is_local(host)
    if not local:
        _check_remote(host, parts.scheme, allow_remote)
    place = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{place}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    return Address(base, host, local, query)


def _shown(url: str) -> str:
    """An address that did not parse, without what stands before an @."""
    return re.sub(r"[^/@]*@", "", url)[:80]


def _check_remote(host: str, scheme: str, allow_remote: str | None) -> None:
    if allow_remote is None or allow_remote.strip().rstrip(".").lower() != host:
        named = f"--allow-remote names {allow_remote!r}, not this host" if allow_remote else "it is not this machine"
        raise UsageError(
            f"teacher {host}: {named}; texts (and pictures, with --with-pictures) would leave this machine. If they "
            f"may, say --allow-remote {host}"
        )
    if scheme != "https":
        raise UsageError(f"teacher {host}: over plain http anybody on the way reads along; use https")


def is_local(host: str) -> bool:
    """Whether nothing sent to `host` can leave this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" and _resolves_here()
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _resolves_here() -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo("localhost", None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(one).is_loopback for one in found)


def key_for(address: Address, variable: str | None = None) -> str | None:
    """The key for this host from the environment: `variable`, else `MEMESCOPE_TEACHER_KEY`, else the host's usual one.

    None where none is set, as local servers need none. Raises `UsageError` where `variable` was named and is not set.
    """
    if variable:
        if not (key := os.environ.get(variable)):
            raise UsageError(f"--key-env: the environment has no {variable}")
        return key
    if key := os.environ.get(OWN_KEY):
        return key
    for host, name in HOST_KEYS.items():
        if address.host == host or (host.startswith(".") and address.host.endswith(host)):
            return os.environ.get(name)
    return None
