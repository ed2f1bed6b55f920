"""Recipes and tables of Mr.Harm: each loads, the paper's run to their end on tiny checkpoints, folds hold out."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import pytest
import tiny
from together import run_together

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from memescope.cli import run  # noqa: E402
from memescope.errors import UsageError  # noqa: E402
from memescope.evaluation.predictions import MODEL  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.models import load  # noqa: E402
from memescope.training.recipe import load_recipe  # noqa: E402
from memescope.training.run import train  # noqa: E402
from memescope.training.staged.folds import held_out, split_fold  # noqa: E402
from memescope.training.staged.keys import stage_keys  # noqa: E402
from memescope.training.staged.run import read_staged  # noqa: E402
from memescope.training.table import load_table, pieces  # noqa: E402
from memescope.training.table_errors import row_errors  # noqa: E402
from memescope.training.table_measured import measured, predictions, result_path  # noqa: E402
from memescope.training.table_run import missing  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes" / "mrharm").glob("*.yaml"))
TABLES = sorted((ROOT / "recipes" / "tables").glob("mrharm-*.yaml"))
PAPER = ("harmc-paper", "harmp-paper", "fhm-paper", "mrharm-as-released")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("hub")
    return {
        "t5": tiny.t5(folder / "t5"),
        "llama": tiny.llama(folder / "llama"),
        "deep": tiny.llama(folder / "deep", layers=12),
        "clip": tiny.clip(folder / "clip"),
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sets: pictures without much blue are harmful. Train memes 0 and 12 say the same, 1 and 13 show the same."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("root")
    reasons = {}
    for name, task, labels in (
        ("drawn", "harmful", ("not-harmful", "harmful")),
        ("harmc", "harmful", ("not_harmful", "harmful")),
        ("harmp", "harmful", ("not_harmful", "harmful")),
        ("fhm", "hate", ("not_hateful", "hateful")),
    ):
        (root / name).mkdir()
        for number, (split, count) in enumerate((("train", 24), ("val", 8), ("test", 8))):
            rows = []
            for i in range(count):
                noise = np.random.default_rng([number, 1 if (split, i) == ("train", 13) else i])
                pixels = noise.integers(0, 200, (16, 16, 3), dtype=np.uint8)
                pixels[..., 2 if i % 2 else 0] //= 4
                image = f"{split}-{i}.png"
                Image.fromarray(pixels).resize((160, 160), Image.Resampling.BICUBIC).save(root / name / image)
                words = 0 if (split, i) == ("train", 12) else i
                text = f"{tiny.TEXTS[words % 8]} number {words} of {split}"
                row = {"id": f"{split}{i}", "image": image, "text": text, "labels": {task: labels[i % 2]}}
                rows.append(json.dumps(row) + "\n")
                reasons[f"{split}{i}"] = tiny.RATIONALES[i % 4]
            (root / name / f"{split}.jsonl").write_text("".join(rows))
    (root / "reasons.json").write_text(json.dumps(reasons))
    return root


def _settings(root: Path, out: Path, language: str, vision: str, *more: str) -> list[str]:
    return [
        f"data.root={root}",
        f"data.rationales={root / 'reasons.json'}",
        f"out={out}",
        f"model.language={language}",
        f"model.vision={vision}",
        "train.max_steps=2",
        *more,
    ]


# what ships ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path: Path) -> None:
    recipe: Any = load_recipe(path)
    assert recipe.name.startswith("mrharm")
    assert str(recipe.out) == f"runs/{recipe.name}"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_row_of_every_table_loads_with_its_settings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table = load_table(str(path))
    assert table.name == path.stem
    stems = [result_path(table, piece.name, 0).name for row in table.rows for piece in pieces(row)]
    assert len(set(stems)) == len(stems)
    for row in table.rows:
        for piece in pieces(row) if row.recipe else ():
            recipe: Any = load_recipe(piece.recipe, piece.settings)
            assert (recipe.data.folds, recipe.data.sets) == (row.folds, (table.data,))
        if row.of is not None:
            home = load_table(row.of)
            same = next(one for one in home.rows if one.name == row.name)
            assert (same.recipe, same.settings, same.seeds) == (row.recipe, row.settings, row.seeds)
            assert (home.data, home.split, home.text) == (table.data, table.split, table.text)


def test_the_published_settings_are_those_of_the_paper() -> None:
    for name in PAPER:
        recipe: Any = load_recipe(ROOT / "recipes" / "mrharm" / f"{name}.yaml")
        stages = [(s.objective, s.epochs, s.learning_rate, s.batch_size, s.accumulate, s.select) for s in recipe.stages]
        assert stages == [("rationale", 10, 5e-5, 32, 1, "loss"), ("label", 30, 5e-5, 32, 1, "accuracy")]
        assert all((s.weight_decay, s.warmup, s.schedule) == (0.01, 0.1, "linear") for s in recipe.stages)
        assert (recipe.model.language, recipe.model.vision) == ("google/flan-t5-base", "openai/clip-vit-base-patch32")
        assert (recipe.model.fusion_heads, recipe.model.fusion_layers, recipe.train.precision) == (
            1,
            "every",
            "float32",
        )
        assert recipe.model.as_released == (name == "mrharm-as-released")


def test_stages_that_were_trained_keep_their_folders() -> None:
    """Keys of the cache, as they were when the first rows were trained: a changed key trains hours of stages again."""
    memes = [Meme(text="some words", id="a", source="harmc", labels={"harmful": "harmful"}, rationale="a reason")]
    found = {
        name: stage_keys(load_recipe(ROOT / "recipes" / "mrharm" / f"{name}.yaml"), "1", memes, memes)  # type: ignore[arg-type]
        for name in ("harmc-offline", "harmc-offline-label-only")
    }
    assert found == KEYS
    folds: Any = load_recipe(ROOT / "recipes/mrharm/harmc-offline.yaml", ["data.folds=3", "data.fold=2"])
    assert stage_keys(folds, "1", memes, memes) == KEYS["harmc-offline"]  # other memes make another key, not the fold


KEYS = {
    "harmc-offline": ["11449788d8a0e15f23d9382b", "0c3fb63f89f34c39b89a6709"],
    "harmc-offline-label-only": ["278dafe1edff4a3539d230ff"],
}


# paper settings to their end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAPER)
def test_paper_recipes_run_to_their_end_on_tiny_checkpoints(
    name: str, hub: dict[str, str], drawn: Path, tmp_path: Path
) -> None:
    path = ROOT / "recipes" / "mrharm" / f"{name}.yaml"
    found = train(path, *_settings(drawn, tmp_path / "run", hub["t5"], hub["clip"]))
    assert [stage["stage"] for stage in found.metrics["stages"]] == ["reason", "judge"]
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert ("CLIP's own statistics" in card) == (name != "mrharm-as-released")
    assert ("The text of FHM stands alone" in card) == (name == "fhm-paper")
    model: Any = load(tmp_path / "run")
    assert (model.config.max_text, model.config.max_rationale) == ((40, 40) if "released" in name else (128, 256))
    (reading,) = model.answer([Meme(text="Have a lovely day")], rationale=True)
    assert list(reading.answers) == ["hateful" if name == "fhm-paper" else "harmful"]


def test_a_label_stage_may_learn_the_scores(hub: dict[str, str], drawn: Path, tmp_path: Path) -> None:
    path = ROOT / "recipes" / "mrharm" / "harmc-paper.yaml"
    found = train(path, *_settings(drawn, tmp_path / "run", hub["t5"], hub["clip"], "model.label_loss=scores"))
    losses = [entry["eval_loss"] for entry in found.metrics["stages"][1]["val"] if "eval_loss" in entry]
    # the cross-entropy of two labels, not of the words of the vocabulary
    assert losses
    assert all(0 < loss < 2 for loss in losses)


ABLATIONS = [row for row in load_table(str(ROOT / "recipes" / "tables" / "mrharm-paper.yaml")).rows if row.settings]


@pytest.mark.parametrize("row", ABLATIONS, ids=lambda row: row.name)
def test_paper_ablations_run_to_their_end_on_tiny_checkpoints(
    row: Any, hub: dict[str, str], drawn: Path, tmp_path: Path
) -> None:
    settings = [one for one in row.settings if not one.startswith("model.language")]
    more = [*settings, "data.limit=8"]
    found = train(ROOT / row.recipe, *_settings(drawn, tmp_path / "run", hub["t5"], hub["clip"], *more))
    whole = ["reason", "judge"]
    stages = {"without distillation": ["judge"], "one-stage": ["both"]}.get(row.name, whole)
    assert [stage["stage"] for stage in found.metrics["stages"]] == stages
    model: Any = load(tmp_path / "run")
    assert model.config.fusion == {"concatenation": "concatenation", "text only": "none"}.get(
        row.name, "cross-attention"
    )


def test_reasons_are_written_by_the_weights_that_learnt_to_write_them(
    hub: dict[str, str], drawn: Path, tmp_path: Path
) -> None:
    path = ROOT / "recipes" / "mrharm" / "harmc-paper.yaml"
    fast = [f"stages.{i}.learning_rate=0.01" for i in range(2)]
    settings = _settings(drawn, tmp_path / "run", hub["t5"], hub["clip"], *fast, "model.max_rationale=16")
    train(path, *settings, "train.max_steps=30")
    judge: Any = load(tmp_path / "run")
    assert judge.reasons == tmp_path / "run" / "reasons"
    assert judge.writes
    memes = [Meme(text=tiny.TEXTS[i]) for i in range(4)]
    # the run of the first stage alone is the same model before it learnt the label
    one = "stages=[{name: reason, objective: rationale, epochs: 10, learning_rate: 0.01, batch_size: 32, select: loss}]"
    train(path, *settings, "train.max_steps=30", one, f"out={tmp_path / 'first'}")
    first: Any = load(tmp_path / "first")
    assert first.reasons is None
    first.bfloat16().float()  # as the weights are kept
    assert judge.generate(memes) == first.generate(memes)
    assert [reading.rationale for reading in judge.answer(memes, rationale=True)] == judge.generate(memes)
    # and the reasons go where the model goes
    judge.save_pretrained(tmp_path / "copy")
    again: Any = load(tmp_path / "copy")
    assert again.generate(memes) == judge.generate(memes)
    judge.reasons = None
    judge.__dict__.pop("_writer")
    assert judge.generate(memes) != first.generate(memes)


def test_a_run_that_learns_labels_alone_leaves_no_reasons_of_the_one_before(
    hub: dict[str, str], drawn: Path, tmp_path: Path
) -> None:
    path = ROOT / "recipes" / "mrharm" / "harmc-paper.yaml"
    settings = _settings(drawn, tmp_path / "run", hub["t5"], hub["clip"])
    train(path, *settings)
    assert load(tmp_path / "run").reasons is not None  # type: ignore[attr-defined]
    alone = "stages=[{name: judge, objective: label, epochs: 1, learning_rate: 0.01, batch_size: 8, select: loss}]"
    train(path, *settings, alone)
    assert load(tmp_path / "run").reasons is None  # type: ignore[attr-defined]


def test_a_meme_whose_picture_is_gone_is_left_out_and_told(
    hub: dict[str, str], drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    copytree(drawn, tmp_path / "sets")
    first = json.loads((tmp_path / "sets" / "drawn" / "train.jsonl").read_text().splitlines()[0])
    (tmp_path / "sets" / "drawn" / first["image"]).unlink()
    path = ROOT / "recipes" / "mrharm" / "harmc-offline-label-only.yaml"
    more = ["data.sets=[drawn]", "model.layers=2", "train.precision=float32", "train.max_steps=1"]
    made = train(path, *_settings(tmp_path / "sets", tmp_path / "run", hub["llama"], hub["clip"], *more))
    assert [Path(file).name for file in made.metrics["unread"]] == [Path(first["image"]).name]
    assert "selection memes were left out" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


# several processes ---------------------------------------------------------------------------------------------------


def test_two_processes_that_share_batches_learn_what_one_does(
    hub: dict[str, str], drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "recipes" / "mrharm" / "harmc-offline-label-only.yaml"
    more = ["data.sets=[drawn]", "model.layers=2", "train.precision=float32", "train.max_steps=4"]
    more += ["stages.0.batch_size=4", "stages.0.warmup=0", "stages.0.learning_rate=0.01"]
    where = {name: _settings(drawn, tmp_path / name, hub["llama"], hub["clip"], *more) for name in ("one", "two")}
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache-one"))
    train(path, *where["one"])
    said = run_together(["train", str(path), *where["two"]], MEMESCOPE_CACHE=str(tmp_path / "cache-two"))
    assert b"measure it with" in said[0]
    assert said[1] == b""
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()] for name in where
    )
    learnt = [(entry["loss"], entry["grad_norm"]) for entry in one if "grad_norm" in entry]
    assert len(learnt) == 4
    assert [(entry["loss"], entry["grad_norm"]) for entry in two if "grad_norm" in entry] == [
        (pytest.approx(loss, rel=1e-3), pytest.approx(norm, rel=1e-2)) for loss, norm in learnt
    ]
    assert load(tmp_path / "two").answer([Meme(text="Have a lovely day")])[0].answers


# rows of the offline tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mrharm-fusion", "mrharm-stages"])
def test_offline_ablations_train_on_a_tiny_language_model(
    name: str, hub: dict[str, str], drawn: Path, tmp_path: Path
) -> None:
    table = load_table(str(ROOT / "recipes" / "tables" / f"{name}.yaml"))
    rows = [row for row in table.rows if not row.of]
    for number, row in enumerate(rows):
        # half of SmolLM2's width, which the heads share; the tiny one's is 12
        assert 576 // 2 % load_recipe(ROOT / row.recipe, row.settings).model.fusion_heads == 0  # type: ignore[attr-defined]
        settings = [one.replace("heads=9", "heads=3") for one in row.settings if not one.startswith("data.rat")]
        more = ["model.layers=12", "data.limit=6", "train.max_steps=1", "train.precision=float32"]
        out = tmp_path / str(number)
        found = train(ROOT / row.recipe, *settings, *_settings(drawn, out, hub["deep"], hub["clip"], *more))
        model: Any = load(out)
        places = {"last four blocks": ["8", "9", "10", "11"], "last block": ["11"], "sixth block": ["5"]}
        if row.name in places:
            assert list(model.fusion.at) == places[row.name]
        if row.name == "labels twice":
            assert [stage["rows"] for stage in found.metrics["stages"]] == [6, 6]
            assert "accuracy" in found.metrics["stages"][0]["chosen"]


# folds ---------------------------------------------------------------------------------------------------------------


def _folds(root: Path, fold: int, folds: int = 3) -> Any:
    settings = [f"data.root={root}", "data.sets=[drawn]", f"data.folds={folds}", f"data.fold={fold}"]
    return load_recipe(ROOT / "recipes/mrharm/harmc-offline-label-only.yaml", settings)


def test_each_meme_is_held_out_once_and_never_learnt_from_then(drawn: Path) -> None:
    held: list[str] = []
    together = {}
    for fold in range(3):
        recipe = _folds(drawn, fold)
        out = [meme.id for meme in held_out(recipe.data)]
        learnt = [meme.id for meme in read_staged(recipe)[0]]
        assert not set(out) & set(learnt)
        assert len(out) + len(learnt) == 24
        assert abs(len(out) - 8) <= 1
        held += out
        together |= dict.fromkeys(out, fold)
    assert sorted(held) == sorted(f"train{i}" for i in range(24))
    assert together["train0"] == together["train12"]  # the same words
    assert together["train1"] == together["train13"]  # the same picture
    assert held_out(load_recipe(ROOT / "recipes/mrharm/harmc-offline-label-only.yaml").data) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (3, 3), (0, 1)])
def test_a_fold_that_is_not_there_is_named(drawn: Path, folds: int, fold: int) -> None:
    with pytest.raises(UsageError, match=f"fold {fold} of {folds} folds: expected 2 folds or more"):
        _folds(drawn, fold, folds)


def test_folds_of_several_sets_are_refused(drawn: Path) -> None:
    path = ROOT / "recipes/mrharm/harmc-offline-label-only.yaml"
    with pytest.raises(UsageError, match="folds are of one set's memes, and here are 2: harmc, fhm"):
        load_recipe(path, ["data.sets=[harmc, fhm]", "data.folds=2"])


def test_too_few_memes_for_the_folds_are_named() -> None:
    same = [Meme(text="all of these say the very same", id=str(i), source="x") for i in range(4)]
    with pytest.raises(UsageError, match=r"data\.folds=2: 4 training memes cannot be cut"):
        split_fold(same, 2, 0)


@pytest.fixture(scope="module")
def fold_table(hub: dict[str, str], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table of one row in folds, and the folder of its results."""
    folder = tmp_path_factory.mktemp("folded")
    settings = [
        "data.sets=[drawn]",
        f"model.language={hub['llama']}",
        "model.layers=2",
        f"model.vision={hub['clip']}",
        "train.precision=float32",
        "stages.0.epochs=2",
    ]
    row = {"recipe": str(ROOT / "recipes/mrharm/harmc-offline-label-only.yaml"), "settings": settings}
    table = {
        "name": "t",
        "title": "Out of fold",
        "data": "drawn",
        "split": "train",
        "tasks": ["harmful"],
        "figures": ["accuracy"],
        "rows": [{"name": "student", "folds": 3, **row}, {"name": "other", "folds": 3, "not_run": "later", **row}],
    }
    (folder / "t.yaml").write_text(json.dumps(table))
    return folder / "t.yaml", folder / "results"


@pytest.fixture(scope="module")
def folded(fold_table: tuple[Path, Path], drawn: Path) -> tuple[Path, Path]:
    """The same with its rows run, whichever test comes first."""
    path, results = fold_table
    assert run(["table", str(path), "--root", str(drawn), "--results", str(results), "--run"]) == 0
    return fold_table


def test_folds_are_run_one_by_one_and_become_one_row(
    fold_table: tuple[Path, Path], drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = fold_table
    options = ["table", str(path), "--root", str(drawn), "--results", str(results)]
    table = load_table(str(path))
    assert [row.name for row, _ in missing(table, (), results)] == [f"student fold {i}" for i in (1, 2, 3)]
    assert [row.name for row, _ in missing(table, ["student fold 2"], results)] == ["student fold 2"]
    assert run([*options, "--run", "--most", "1"]) == 0
    assert "| student | - | 1 of 3 folds run |" in capsys.readouterr().out
    first = (results / "t" / "student-fold-1-0.json").read_bytes()
    assert run([*options, "--run"]) == 0
    said = capsys.readouterr().out
    assert (results / "t" / "student-fold-1-0.json").read_bytes() == first
    assert "| student | ." in said or "| student | 1.000" in said
    assert "(n = 24)" in said
    assert "clean rows" not in said
    (one,) = measured(table, results)
    assert sorted(place for part in one.parts for place in part["held_out"]) == list(range(24))
    rows = predictions(table, results)["student"][0]
    assert [row.id for row in rows] == [str(i) for i in range(24)]
    assert [row.truth["harmful"] for row in rows] == [("not-harmful", "harmful")[i % 2] for i in range(24)]
    assert rows[0].cluster == rows[12].cluster
    assert len({row.cluster for row in rows}) == 22  # clusters of two folds are not mixed up
    assert all(MODEL in row.answers for row in rows)
    stage = one.content["training"]["stages"][0]
    assert [point["step"] for point in stage["train"]] == sorted({entry["step"] for entry in stage["val"]})


def test_errors_of_folds_carry_the_ids_of_their_memes(
    folded: tuple[Path, Path], drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = folded
    table = load_table(str(path))
    errors = row_errors(table, "student", drawn, results)["harmful"]
    assert errors.ids == tuple(f"train{i}" for i in range(24))
    said = predictions(table, results)["student"][0]
    wrong = [row.answers[MODEL]["harmful"].label != row.truth["harmful"] for row in said]
    assert errors.wrong.tolist() == [float(one) for one in wrong]
    audit = tmp_path / "audit.jsonl"
    audit.write_text(
        "".join(json.dumps({"id": f"train{i}", "flags": ["misquotes"][: i % 2]}) + "\n" for i in range(24))
    )
    options = [str(audit), "--table", str(path), "--root", str(drawn), "--results", str(results)]
    assert run(["rationales", "errors", *options, "--row", "student", "--against", "student"]) == 0
    page = capsys.readouterr().out
    assert "student: 24 memes with a rationale (22 distinct)" in page
    assert ".000 [.000, .000]" in page  # less itself
    assert run(["rationales", "errors", *options, "--row", "other"]) == 2
    assert "row 'other' has not been run" in capsys.readouterr().err
    assert run(["rationales", "errors", *options, "--row", "nobody"]) == 2
    assert "no row 'nobody'; there are: student, other" in capsys.readouterr().err
    some = tmp_path / "some"  # of a row in folds, what was run can be asked already
    (some / "t").mkdir(parents=True)
    copy(results / "t" / "student-fold-2-0.json", some / "t")
    part = row_errors(table, "student", drawn, some)["harmful"]
    (one,) = measured(table, some, whole=False)
    assert part.ids == tuple(f"train{place}" for place in one.parts[0]["held_out"])
    assert measured(table, some) == []
    (drawn / "fewer").mkdir(exist_ok=True)
    for split in ("train", "val", "test"):
        lines = (drawn / "drawn" / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (drawn / "fewer" / f"{split}.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(UsageError, match="its places name other memes"):
        row_errors(table.model_copy(update={"data": "fewer"}), "student", drawn, results)


def test_strata_and_curves_are_read_off_the_rows(
    folded: tuple[Path, Path], drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    path, results = folded
    options = ["table", str(path), "--root", str(drawn), "--results", str(results)]
    assert run([*options, "--by", "background"]) == 0
    assert "| names none | 24 | 22 | " in capsys.readouterr().out
    assert run([*options, "--by", "background", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["student"]["harmful"][0]["n"] == 24
    assert run([*options, "--by", "weather"]) == 2
    assert "--by weather: expected one of background" in capsys.readouterr().err
    assert run([*options, "--curves", str(tmp_path / "c.png")]) == 0
    page = capsys.readouterr().out
    assert page.count("| student, fold 2 | 0 | judge |") == 2
    assert page.count("(chosen)") == 3
    from PIL import Image

    with Image.open(tmp_path / "c.png") as picture:
        assert picture.width > picture.height > 200
    assert run([*options, "--curves", str(tmp_path / "c.png"), "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    stage = measured(load_table(str(path)), results)[0].parts[1]["training"]["stages"][0]
    losses = [entry["eval_loss"] for entry in stage["val"] if "eval_loss" in entry]
    assert [point["loss"] for point in curves[1]["points"]] == losses
    assert [point["train_loss"] for point in curves[1]["points"]] == [entry["loss"] for entry in stage["train"]]


def test_tables_that_cannot_be_run_so_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("{name: t, title: t, data: d, tasks: [harmful], rows: [{name: a, recipe: r.yaml, folds: 3}]}")
    with pytest.raises(UsageError, match="row 'a': folds are of a recipe's training memes: it needs split: train"):
        load_table(str(path))


def test_a_row_of_another_table_is_shown_and_not_run_here(
    folded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = folded
    content = json.loads(path.read_text())
    content |= {"name": "u", "rows": [content["rows"][0] | {"of": "t", "note": "from t"}]}
    (tmp_path / "u.yaml").write_text(json.dumps(content))
    assert list(missing(load_table(str(tmp_path / "u.yaml")), (), results)) == []
    assert run(["table", str(tmp_path / "u.yaml"), "--results", str(results)]) == 0
    assert " | from t |" in capsys.readouterr().out


def test_a_setting_reaches_one_stage_of_several() -> None:
    path = ROOT / "recipes" / "mrharm" / "harmc-offline.yaml"
    recipe: Any = load_recipe(path, ["stages.1.epochs=7", "stages.0.select=last"])
    assert [(stage.epochs, stage.select) for stage in recipe.stages] == [(2, "last"), (7, "macro_f1")]
    for key in ("stages.2.epochs=1", "stages.first.epochs=1"):
        with pytest.raises(UsageError, match=r"expected a number from 0 to 1, found '(2|first)'"):
            load_recipe(path, [key])
    with pytest.raises(UsageError, match="'objective' is a value, not a group of keys"):
        load_recipe(path, ["stages.0.objective.x=1"])
