"""memescope data: bring in, check, look at, export and draw meme datasets. One module for each command."""

from __future__ import annotations

from collections.abc import Callable

import typer

from memescope.verbs.data.atlas import atlas_command
from memescope.verbs.data.audit import audit_command
from memescope.verbs.data.export import export_command
from memescope.verbs.data.list import list_command
from memescope.verbs.data.perceive import perceive_command
from memescope.verbs.data.prepare import prepare_command
from memescope.verbs.data.stats import stats_command
from memescope.verbs.data.status import status_command
from memescope.verbs.data.synth import synth_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_command,
    "status": status_command,
    "prepare": prepare_command,
    "export": export_command,
    "atlas": atlas_command,
    "audit": audit_command,
    "perceive": perceive_command,
    "stats": stats_command,
    "synth": synth_command,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


@app.callback()
def _data() -> None:
    """Bring in, check, look at, export and draw meme datasets."""
