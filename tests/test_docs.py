"""Every verb and option is documented, every documented file exists, README shows the two first commands first."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from memescope.cli import VERBS, run, usage
from memescope.training.table import load_table
from memescope.training.table_measured import digest

ROOT = Path(__file__).resolve().parent.parent


def _commands(verb: str) -> list:
    command = typer.main.get_command(import_module(f"memescope.verbs.{verb}").app)
    return list(command.commands.values()) if hasattr(command, "commands") else [command]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_a_page_that_names_every_option(verb: str) -> None:
    own = (ROOT / "docs" / f"{verb}.md").read_text("utf-8")
    assert own.startswith(f"# memescope {verb}\n")
    for command in _commands(verb):
        # A command of a group may have a page of its own.
        further = ROOT / "docs" / verb / f"{command.name}.md"
        page = further.read_text("utf-8") if further.is_file() else own
        for parameter in command.params:
            for option in getattr(parameter, "opts", []):
                if option.startswith("--"):
                    assert f"`{option}" in page or f" {option}" in page, f"docs/{verb}.md does not name {option}"


@pytest.mark.parametrize("verb", VERBS)
def test_each_command_shows_an_example(verb: str) -> None:
    for command in _commands(verb):
        assert f"memescope {verb}" in (command.help or ""), f"{verb} {command.name}: no example in --help"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_prints(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    assert verb in capsys.readouterr().out


def test_usage_names_every_verb_and_wrong_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(f"  {verb} " in usage() for verb in VERBS)
    assert run([]) == 0
    assert run(["scna"]) == 2
    assert "no verb 'scna'" in capsys.readouterr().err
    assert run(["scan", "--nope"]) == 2


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_shows_demo_and_test_first_and_every_verb() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    first = readme.split("```")[1].split("\n")
    assert [line.split("#")[0].strip() for line in first if line.strip()] == ["make demo", "make test"]
    assert all(f"docs/{verb}.md" in readme for verb in VERBS)


def test_every_recipe_is_named_in_the_documentation() -> None:
    pages = "".join(page.read_text("utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    for recipe in (ROOT / "recipes").rglob("*.yaml"):
        assert str(recipe.relative_to(ROOT)) in pages
        for number, line in enumerate(recipe.read_text("utf-8").splitlines(), 1):
            if re.match(r"\s*[\w.]+:\s*\S", line):
                above = recipe.read_text("utf-8").splitlines()[max(0, number - 2)]
                assert "#" in line or above.strip().startswith("#"), f"{recipe.name}:{number} has no comment"


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes" / "tables").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_table_is_drawn_from_the_rows_that_are_there(recipe: Path) -> None:
    page = (ROOT / "docs" / "tables" / f"{recipe.stem}.md").read_text("utf-8")
    rows = digest(load_table(str(recipe)), ROOT / "docs" / "results")
    assert (f"Rows: digest {rows}." if rows else "No row has been run") in page, "run: make tables"
