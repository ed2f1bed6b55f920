"""`memescope explain`: what a model's answers for one meme rest on, as JSON and drawn on the meme."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memescope.errors import MissingExtra, UsageError
from memescope.meme import Answer, Meme

if TYPE_CHECKING:
    from memescope.models import Model

INSIDE = {"mmorient": "memescope.models.mmorient.inside:write_inside"}
"""Family -> the function that writes what its models attend to, imported when it is asked for."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def explain(
    image: Annotated[Path, typer.Argument(help="The picture of the meme.")],
    text: Annotated[str | None, typer.Option(help="Its text. Default: what OCR reads in the picture.")] = None,
    model: Annotated[str, typer.Option(help="A packaged model, a run folder, or openai:URL.")] = "starter",
    task: Annotated[list[str] | None, typer.Option(help="Explain this task; repeat for several. Default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files. Default: IMAGE's name + -explained.")] = None,
    method: Annotated[
        str,
        typer.Option(
            help="occlusion, or an inside view: gradcam, hidden-attention (family mamba), attention (mmorient)."
        ),
    ] = "occlusion",
    check: Annotated[
        int, typer.Option(help="IMAGE is a prepared set: how far so many of its test memes bear the methods out.")
    ] = 0,
    inside: Annotated[
        bool,
        typer.Option("--inside", help="Also draw what the model attends to and whom it relates the meme to."),
    ] = False,
    data: Annotated[
        list[Path] | None, typer.Option(help="With --inside: a prepared set with the related memes' pictures; repeat.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Show what each answer rests on: words and picture regions, measured by taking them out, and one sentence.

    Writes explain.json and, with the extra 'data', one PNG for each task. A model that was taught to write reasons is
    asked for them, too, by task where --task names some; where it never learnt to explain a task, its text is marked.
    With --check the areas under deletion and insertion curves of every method the model has, beside those of random
    orders.

    Example:  memescope explain examples/memes/m00000-en.jpg --task harmful
    """
    from memescope.curation.markdown import plain
    from memescope.explanation.draw import draw_evidence
    from memescope.models import heat, load
    from memescope.models.reasons import reasons_of, written_for
    from memescope.perception.pictures import open_picture

    loaded = load(model)
    tasks = chosen(task or [], loaded.tasks)
    if check:
        from memescope.verbs.faithfulness import report

        report(loaded, image, tasks, check, out, as_json)
        return
    picture = open_picture(image)
    if text is None:
        from memescope.perception.ocr import load_ocr

        text = load_ocr().read(picture).text
    meme = Meme(image=picture, text=text, id=image.name)
    reading = loaded.answer([meme])[0]
    evidence = loaded.explain(meme, tasks)
    heats = {name: heat(loaded, meme, name, method) for name in tasks} if method != "occlusion" else {}
    said = written_for(loaded, meme, task or [])
    folder = out or Path(f"{image.stem}-explained")
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "image": str(image),
        "text": text,
        "model": f"{loaded.name} {loaded.version}",
        "tasks": {
            name: {"answer": asdict(reading.answers[name]), "evidence": asdict(evidence[name])} for name in tasks
        },
    }
    record["rationale"] = reasons_of(loaded, meme) if not said else None
    for name, text_of in said.items():
        record["tasks"][name]["written"] = {"text": text_of.text, "trained": text_of.trained}
    for name, its in heats.items():
        places = None if its.places is None else its.places.round(6).tolist()
        record["tasks"][name][method] = {"words": [asdict(span) for span in its.words], "places": places}
    (folder / "explain.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    files = "explain.json"
    try:
        for name in tasks:
            drawing = draw_evidence(picture.pixels, title(name, reading.answers[name]), evidence[name])
            drawing.save(folder / f"{name}.png")
            if name in heats:
                from memescope.explanation.heat import draw_heat

                view = draw_heat(picture.pixels, title(name, reading.answers[name]), heats[name], method)
                view.save(folder / f"{name}-{method}.png")
        files += f" and {len(tasks)} drawings"
    except MissingExtra as error:  # the evidence itself needs no extra
        print(f"memescope explain: nothing drawn: {error}", file=sys.stderr)
    if inside:
        files += f", {', '.join(look_inside(model, loaded, meme, folder, data or []))}"
    if as_json:
        print(json.dumps(record | {"folder": str(folder)}, ensure_ascii=False))
        return
    for name in tasks:
        print(f"{title(name, reading.answers[name])}\n    {evidence[name].says}")
        if name in said:
            taught = "" if said[name].trained else ", never taught to explain this task"
            print(f"    The model writes{taught}: {plain(said[name].text)}")
    if record["rationale"]:
        print(f"The model writes: {plain(record['rationale'])}")
    print(f"memescope explain: {files} in {folder}", file=sys.stderr)


def look_inside(name: str, loaded: Model, meme: Meme, folder: Path, data: list[Path]) -> list[str]:
    """What a family shows of its inside, written into the folder; `UsageError` for a family that shows nothing."""
    from memescope.models import family_of

    family = family_of(name)
    if family not in INSIDE:
        raise UsageError(f"--inside: models of the family {family} show nothing; those that do: {', '.join(INSIDE)}")
    module, function = INSIDE[family].split(":")
    write: Callable[..., list[str]] = getattr(import_module(module), function)
    return write(loaded, meme, folder, data)


def chosen(asked: list[str], known: tuple[str, ...]) -> list[str]:
    """The asked tasks, each once, or all; `UsageError` for one the model does not answer."""
    for name in asked:
        if name not in known:
            raise UsageError(f"the model has no task {name!r}; it answers: {', '.join(known)}")
    return list(dict.fromkeys(asked)) or list(known)


def title(task: str, answer: Answer) -> str:
    """For example: "harmful: harmful .83", "propaganda_techniques: smears, loaded-language (not sure)"."""
    from memescope.explanation.says import number

    if isinstance(answer.label, str):
        said = f"{answer.label} {number(answer.confidence)}"
    else:
        said = ", ".join(f"{label} {number(answer.probabilities[label])}" for label in answer.label) or "none"
    return f"{task}: {said}{' (not sure)' if answer.abstain else ''}"
