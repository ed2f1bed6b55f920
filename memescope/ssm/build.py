"""Compiles the kernel on first use with the C++ compiler at hand, once for each machine and version of the source.

The library lies in the cache folder (`memescope.cache`) under a name made of the sources, the flags, the compiler's
version and the machine's type; it uses nothing of torch or Python, so neither is in the name. It is written to a
temporary file and moved into place under a lock: processes that start together compile once, a kill leaves nothing
half-made. Where there is no compiler, or it fails, the reason is logged once and scans run in plain torch.
The environment variable MEMESCOPE_CXX names the compiler (`none` hides every one), MEMESCOPE_SSM_BUILD another folder
for the library.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from memescope.cache import cache_folder
from memescope.locks import lock

VARIABLE = "MEMESCOPE_CXX"
COMPILERS = ("c++", "g++", "clang++")
SOURCES = Path(__file__).parent
FILES = ("scan.h", "vectors.h", "tiles.h", "conv.h", "kernel.cpp", "scan.cpp")
FLAGS = (
    "-std=c++17", "-O2", "-fPIC", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-w", "-pthread",
)  # fmt: skip
BASE = ("base", "-DLANES=4")
X86 = (("avx2", "-DLANES=8", "-mavx2", "-mfma"), ("avx512", "-DLANES=16", "-mavx512f", "-mprefer-vector-width=512"))
LIMIT = 600
"""Seconds after which the compiler is given up."""

_log = logging.getLogger("memescope.ssm")


def library() -> tuple[ctypes.CDLL | None, str | None]:
    """The loaded kernel, or None and why not. Compiled at most once a process and place."""
    return _loaded(os.environ.get(VARIABLE, ""), os.environ.get("MEMESCOPE_SSM_BUILD") or str(cache_folder() / "ssm"))


@cache
def _loaded(wanted: str, folder: str) -> tuple[ctypes.CDLL | None, str | None]:
    try:
        return ctypes.CDLL(str(_built(_compiler(wanted), Path(folder)))), None
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        reason = str(error) or type(error).__name__
        _log.warning("selective scan: plain torch is used, as the kernel could not be compiled: %s", reason)
        return None, reason


def _compiler(wanted: str) -> str:
    if platform.system() == "Windows":
        raise RuntimeError("the kernel is not built for Windows")
    names = () if wanted == "none" else (wanted,) if wanted else COMPILERS
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        looked = "none, as MEMESCOPE_CXX says" if wanted == "none" else f"looked for {', '.join(names)}"
        raise RuntimeError(f"no C++ compiler ({looked}); install g++ or set {VARIABLE}")
    return found


def _built(compiler: str, folder: Path) -> Path:
    """The library's path, compiled if it is not there."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    sets = (BASE, *X86) if x86 else (BASE,)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    key = hashlib.sha256(repr((FLAGS, sets, version, platform.machine(), platform.system())).encode())
    for name in FILES:
        key.update((SOURCES / name).read_bytes())
    made = folder / f"scan-{key.hexdigest()[:20]}.so"
    if made.exists():
        return made
    with lock(folder / "lock", wait=True):
        if not made.exists():
            start = time.monotonic()
            _log.warning("selective scan: compiling the kernel into %s (once, about a quarter of a minute)", made)
            _compile(compiler, sets, x86, made)
            _log.info("selective scan: compiled in %.0f s", time.monotonic() - start)
    return made


def _compile(compiler: str, sets: tuple[tuple[str, ...], ...], x86: bool, made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent) as scratch:

        def kernel(one: tuple[str, ...]) -> str:
            name, *flags = one
            to = f"{scratch}/{name}.o"
            _run(compiler, *FLAGS, *flags, f"-DTABLE={name}_kernels", "-c", str(SOURCES / "kernel.cpp"), "-o", to)
            return to

        with ThreadPoolExecutor(len(sets)) as pool:
            objects = list(pool.map(kernel, sets))
        to = f"{scratch}/scan.so"
        _run(
            compiler, *FLAGS, *(["-DHAVE_X86"] if x86 else []), "-shared", str(SOURCES / "scan.cpp"), *objects, "-o", to
        )
        os.replace(to, made)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:1])} failed: {done.stderr.strip()[-600:] or done.returncode}")
