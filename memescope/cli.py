"""The command line: a dict of verbs. Each verb is one module of `memescope.verbs`, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from memescope import __version__
from memescope.errors import MemescopeError, UsageError

VERBS = {
    "scan": "read a folder of memes: verdicts, reasons, duplicates, one report",
    "data": "bring in, check, look at and export meme datasets; draw harmless memes",
    "models": "which models and backbones there are; fetch one",
    "train": "train a model from a recipe",
    "rationales": "reasons for labels: written by a teacher, audited, judged",
    "eval": "measure a model on a prepared set, beside simple baselines",
    "table": "draw a table of results, or run the rows it lacks",
    "explain": "show what an answer rests on, drawn on the meme",
    "bench": "measure speed and memory on this machine",
    "doctor": "what is installed, what is missing, and how to get it",
}
"""Every verb and what it is for; the function is `memescope.verbs.VERB.app`."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it; typer ends so, too."""

_USAGE = "usage: memescope VERB [OPTIONS]\n\nRead memes: what they say, whether they harm, whom, and why.\n\nverbs:\n"
_ENDING = """

memescope VERB --help says more, with an example.   memescope --version

start with:  memescope scan FOLDER
"""


def usage() -> str:
    """The text of `memescope --help`."""
    lines = [f"  {verb:<10}  {what}" for verb, what in VERBS.items()]
    return _USAGE + "\n".join(lines) + _ENDING


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exit status: 0 done, 2 bad usage, 1 failure, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one verb and return its exit status; errors are one line on standard error."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if arguments[0] == "--version":
        print(f"memescope {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        print(f"memescope: no verb {verb!r}; there are: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    status = _call(verb, rest)
    if status == INTERRUPTED:
        print("\nstopped; what was finished is kept: the same command goes on from here", file=sys.stderr)
    return status


def _call(verb: str, rest: list[str]) -> int:
    try:
        app: Callable[..., object] = import_module(f"memescope.verbs.{verb}").app
        app(args=rest, prog_name=f"memescope {verb}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except UsageError as error:
        print(f"memescope {verb}: {error}", file=sys.stderr)
        return 2
    except MemescopeError as error:
        print(f"memescope {verb}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    main()
