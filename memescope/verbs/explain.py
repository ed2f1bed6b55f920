"""`memescope explain`: what a model's answers for one meme rest on, as JSON and drawn on the meme."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memescope.errors import MissingExtra, UsageError
from memescope.meme import Answer, Evidence, Meme
from memescope.verbs.options import AllowRemote, KeyEnv, refuse

if TYPE_CHECKING:
    import numpy as np

    from memescope.explanation.heat import Heat
    from memescope.models import Model
    from memescope.models.reasons import Explanation

OCCLUSION = "occlusion"
INSIDE = {"mmorient": "memescope.models.mmorient.inside:write_inside"}
"""Family -> the function that writes what its models attend to, imported when it is asked for."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def explain(
    image: Annotated[Path, typer.Argument(help="The picture of the meme.")],
    text: Annotated[str | None, typer.Option(help="Its text. Default: what OCR reads in the picture.")] = None,
    model: Annotated[str, typer.Option(help="A packaged model, a run folder, or openai:URL.")] = "starter",
    allow_remote: AllowRemote = None,
    key_env: KeyEnv = None,
    aspect: Annotated[
        str | None, typer.Option(metavar="PHRASE", help="What a task on a phrase (aspect_sentiment) is about.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Explain this task; repeat for several. Default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files. Default: IMAGE's name + -explained.")] = None,
    method: Annotated[
        str,
        typer.Option(
            help="occlusion, or an inside view: gradcam, hidden-attention (family mamba), attention (mmorient)."
        ),
    ] = OCCLUSION,
    check: Annotated[
        int,
        typer.Option(min=0, help="IMAGE is a prepared set: how far so many of its test memes bear the methods out."),
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
    from memescope.models import load, with_access
    from memescope.perception.pictures import open_picture

    if check:
        idle = {"--text": text, "--aspect": aspect, "--method": method != OCCLUSION, "--inside": inside, "--data": data}
        refuse("with --check", idle)
    if not inside:
        refuse("without --inside", {"--data": data})
    loaded = load(with_access(model, allow_remote, key_env))
    asked = list(dict.fromkeys(task or []))
    if strange := [name for name in asked if name not in loaded.tasks]:
        raise UsageError(f"the model has no task {strange[0]!r}; it answers: {', '.join(loaded.tasks)}")
    if check:
        from memescope.verbs.faithfulness import report

        report(loaded, image, asked, check, out, as_json)
        return
    picture = open_picture(image)
    if text is None:
        from memescope.perception.ocr import load_ocr

        text = load_ocr().read(picture).text
    meme = Meme(image=picture, text=text, id=image.name, aspect=aspect)
    found = explained(loaded, meme, asked, method)
    record = {"image": str(image), "text": text, "model": f"{loaded.name} {loaded.version}"} | found.record(method)
    folder = out or Path(f"{image.stem}-explained")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "explain.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    files = "explain.json"
    try:
        found.draw(picture.pixels, folder, method)
        files += f" and {len(found.answers)} drawings"
    except MissingExtra as error:  # the evidence itself needs no extra
        print(f"memescope explain: nothing drawn: {error}", file=sys.stderr)
    if inside:
        files += f", {', '.join(look_inside(model, loaded, meme, folder, data or []))}"
    if as_json:
        print(json.dumps(record | {"folder": str(folder)}, ensure_ascii=False))
        return
    print("\n".join(found.lines()))
    print(f"memescope explain: {files} in {folder}", file=sys.stderr)


@dataclass(frozen=True)
class Explained:
    """What there is to show of a meme, by task; `heats` of an inside view, `written` where the model was asked to write
    about the task, `rationale` where it was not and writes of its own accord."""

    answers: dict[str, Answer]
    evidence: dict[str, Evidence]
    heats: dict[str, Heat]
    written: dict[str, Explanation]
    rationale: str | None

    def record(self, method: str) -> dict[str, Any]:
        """As JSON values."""
        tasks: dict[str, dict[str, Any]] = {
            name: {"answer": asdict(answer), "evidence": asdict(self.evidence[name])}
            for name, answer in self.answers.items()
        }
        for name, said in self.written.items():
            tasks[name]["written"] = {"text": said.text, "trained": said.trained}
        for name, its in self.heats.items():
            places = None if its.places is None else its.places.round(6).tolist()
            tasks[name][method] = {"words": [asdict(span) for span in its.words], "places": places}
        return {"tasks": tasks, "rationale": self.rationale}

    def draw(self, pixels: np.ndarray, folder: Path, method: str) -> None:
        """TASK.png for each task, TASK-METHOD.png for each inside view."""
        from memescope.explanation.draw import draw_evidence

        for name, answer in self.answers.items():
            draw_evidence(pixels, title(name, answer), self.evidence[name]).save(folder / f"{name}.png")
        for name, its in self.heats.items():
            from memescope.explanation.heat import draw_heat

            draw_heat(pixels, title(name, self.answers[name]), its, method).save(folder / f"{name}-{method}.png")

    def lines(self) -> list[str]:
        """For people."""
        from memescope.curation.markdown import plain

        found = []
        for name, answer in self.answers.items():
            found += [title(name, answer), f"    {self.evidence[name].says}"]
            if said := self.written.get(name):
                taught = "" if said.trained else ", never taught to explain this task"
                found.append(f"    The model writes{taught}: {plain(said.text)}")
        if self.rationale:
            found.append(f"The model writes: {plain(self.rationale)}")
        return found


def explained(model: Model, meme: Meme, asked: list[str], method: str) -> Explained:
    """What there is to show of the tasks asked for; of all that are answered, where none is.

    `UsageError` where one that is asked for, or every one, gets no answer.
    """
    from memescope.models import heat
    from memescope.models.reasons import reasons_of, written_for

    answered = model.answer([meme])[0].answers
    tasks = asked or [name for name in model.tasks if name in answered]
    if silent := [name for name in tasks or model.tasks if name not in answered]:
        raise UsageError(f"{model.name} gives this meme no answer to {', '.join(silent)}: name its --aspect")
    written = written_for(model, meme, asked)
    return Explained(
        answers={name: answered[name] for name in tasks},
        evidence=model.explain(meme, tasks),
        heats={name: heat(model, meme, name, method) for name in tasks} if method != OCCLUSION else {},
        written=written,
        rationale=None if written else reasons_of(model, meme),
    )


def look_inside(name: str, loaded: Model, meme: Meme, folder: Path, data: list[Path]) -> list[str]:
    """What a family shows of its inside, written into the folder; `UsageError` for a family that shows nothing."""
    from memescope.models import family_of

    family = family_of(name)
    if family not in INSIDE:
        raise UsageError(f"--inside: models of the family {family} show nothing; those that do: {', '.join(INSIDE)}")
    module, function = INSIDE[family].split(":")
    write: Callable[..., list[str]] = getattr(import_module(module), function)
    return write(loaded, meme, folder, data)


def title(task: str, answer: Answer) -> str:
    """For example: "harmful: harmful .83", "propaganda_techniques: smears, loaded-language (not sure)"."""
    from memescope.explanation.says import number

    if isinstance(answer.label, str):
        said = f"{answer.label} {number(answer.confidence)}"
    else:
        said = ", ".join(f"{label} {number(answer.probabilities[label])}" for label in answer.label) or "none"
    return f"{task}: {said}{' (not sure)' if answer.abstain else ''}"
