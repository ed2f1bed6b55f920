"""memescope rationales: reasons for labels, from a teacher or from what others published. A module for each command."""

from __future__ import annotations

from collections.abc import Callable

import typer

from memescope.verbs.rationales.audit import audit_command
from memescope.verbs.rationales.change import change_command
from memescope.verbs.rationales.errors import errors_command
from memescope.verbs.rationales.generate import generate_command
from memescope.verbs.rationales.imports import import_command
from memescope.verbs.rationales.injection import injection_command
from memescope.verbs.rationales.instructions import instructions_command
from memescope.verbs.rationales.judge import judge_command
from memescope.verbs.rationales.serve import serve_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate_command,
    "import": import_command,
    "audit": audit_command,
    "change": change_command,
    "errors": errors_command,
    "judge": judge_command,
    "injection": injection_command,
    "instructions": instructions_command,
    "serve": serve_command,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


@app.callback()
def _rationales() -> None:
    """Reasons for labels: have a teacher write them, bring in published ones, have them judged."""
