"""MemeLens' recipes for tools of others: the same rows as our own training, keys that those tools know."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from memescope.errors import UsageError
from memescope.training.memelens import MemeLensRecipe
from memescope.training.memelens_export import export_recipe
from memescope.training.recipe import load_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    def made(*overrides: str) -> MemeLensRecipe:
        folder = tmp_path / "sets" / "own"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for split, count in (("train", 5), ("val", 2)):
            lines = []
            for i in range(count):
                Image.new("RGB", (8, 8)).save(folder / "images" / f"{split}{i}.png")
                labels = {"hateful": "hateful" if i % 2 else "not-hateful", "targets": ["society"]}
                row = {"id": f"{split}{i}", "image": f"images/{split}{i}.png", "text": f"<image> words {i}"}
                row |= {"rationale": f"Own reasons {i}."}
                lines.append(json.dumps(row | {"labels": labels, "lang": "de"}))
            (folder / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
        (tmp_path / "why.json").write_text(json.dumps({"train1": "Because.", "val1": "So it is."}), "utf-8")
        found = load_recipe(
            "recipes/memelens/paper.yaml",
            [
                f"data.root={tmp_path / 'sets'}", "data.sets=[own]", "data.tasks=[hateful, targets]", f"out={tmp_path}",
                f"data.reasons={{own: {{file: {tmp_path / 'why.json'}, task: hateful}}}}", "model.parts=2", *overrides,
            ],
        )  # fmt: skip
        assert isinstance(found, MemeLensRecipe)
        return found

    return made


def test_ms_swift_gets_messages_and_flags(recipe: Any, tmp_path: Path) -> None:
    counts = export_recipe(recipe(), "ms-swift", tmp_path / "swift")
    assert counts == {"label-train": 15, "label-val": 6, "explain-train": 1, "explain-val": 1}  # a task, two parts
    rows = [json.loads(line) for line in (tmp_path / "swift" / "label-train.jsonl").read_text("utf-8").splitlines()]
    assert all([m["role"] for m in row["messages"]] == ["system", "user", "assistant"] for row in rows)
    assert all(row["messages"][1]["content"].count("<image>") == len(row["images"]) == 1 for row in rows)
    assert all(Path(row["images"][0]).is_file() for row in rows)
    assert {row["messages"][2]["content"] for row in rows} <= {
        "Label: hasserfüllt", "Label: nicht hasserfüllt", "Label: no", "Label: yes"
    }  # fmt: skip
    (why,) = [json.loads(line) for line in (tmp_path / "swift" / "explain-train.jsonl").read_text("utf-8").splitlines()]
    assert why["messages"][2]["content"] == "Label: hasserfüllt\nExplanation: Because."
    script = (tmp_path / "swift" / "run.sh").read_text("utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in script.splitlines() if line.startswith("swift ")]
    assert [one[1] for one in commands] == ["sft", "export", "sft", "export"]
    flags = [dict(zip(one[2::2], one[3::2], strict=True)) for one in commands]
    assert flags[0]["--model"] == "Qwen/Qwen3-VL-8B-Instruct"
    assert (flags[0]["--num_train_epochs"], flags[0]["--learning_rate"]) == ("3", "0.0001")
    assert (flags[0]["--lora_rank"], flags[0]["--lora_alpha"], flags[0]["--target_modules"]) == (
        "16",
        "32",
        "all-linear",
    )
    assert flags[1]["--adapters"] == "label-out/best"
    assert flags[2]["--model"] == flags[1]["--output_dir"] == "label-merged"  # stage II from the merged stage I
    assert (flags[2]["--num_train_epochs"], flags[2]["--learning_rate"]) == ("6", "1e-05")
    assert "export MAX_PIXELS=1003520" in script


def test_explanations_of_the_prepared_set_are_exported_and_a_stage_without_any_is_told(
    recipe: Any, tmp_path: Path
) -> None:
    whole = recipe()
    own = whole.model_copy(update={"data": whole.data.model_copy(update={"reasons": {}})})
    counts = export_recipe(own, "ms-swift", tmp_path / "own")
    assert (counts["label-train"], counts["explain-train"], counts["explain-val"]) == (15, 15, 6)
    (tmp_path / "none.json").write_text(json.dumps({"val0": "Because."}), "utf-8")
    with pytest.raises(UsageError, match=r"stage 'explain' \(both\): no train meme"):
        export_recipe(recipe(f"data.reasons.own.file={tmp_path / 'none.json'}"), "ms-swift", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_llama_factory_gets_its_datasets_and_configurations(recipe: Any, tmp_path: Path) -> None:
    out = tmp_path / "factory"
    export_recipe(recipe(), "llama-factory", out)
    info = json.loads((out / "dataset_info.json").read_text("utf-8"))
    for name, entry in info.items():
        rows = json.loads((out / entry["file_name"]).read_text("utf-8"))
        assert set(entry["columns"].values()) == set(rows[0]), name
        assert [turn["from"] for turn in rows[0]["conversations"]] == ["human", "gpt"]
    first, second = (yaml.safe_load((out / f"{stage}.yaml").read_text("utf-8")) for stage in ("label", "explain"))
    assert {first["dataset"], first["eval_dataset"], second["dataset"]} <= set(info)
    assert (first["template"], first["image_max_pixels"], first["cutoff_len"]) == ("qwen3_vl_nothink", 1003520, 4096)
    assert second["model_name_or_path"] == yaml.safe_load((out / "label-merge.yaml").read_text("utf-8"))["export_dir"]
    assert (out / "run.sh").read_text("utf-8").count("llamafactory-cli") == 4


def test_what_cannot_be_exported_is_told(recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no form 'axolotl'"):
        export_recipe(recipe(), "axolotl", tmp_path / "a")
    with pytest.raises(UsageError, match="trained here alone"):
        export_recipe(recipe("model.vlm=tinyvlm"), "ms-swift", tmp_path / "b")
    with pytest.raises(UsageError, match="no template of LLaMA-Factory"):
        export_recipe(recipe("model.vlm=HuggingFaceTB/SmolVLM-256M-Instruct"), "llama-factory", tmp_path / "c")
    assert not (tmp_path / "c").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(UsageError, match="not an empty folder"):
        export_recipe(recipe(), "ms-swift", tmp_path / "full")


def test_settings_that_both_tools_have_are_exported(recipe: Any, tmp_path: Path) -> None:
    settings = [
        "stages.0.schedule=constant", "stages.0.select=last", "train.max_steps=7",
        "model.lora.targets=[q_proj, v_proj]", "model.picture.min_pixels=784",
    ]  # fmt: skip
    export_recipe(recipe(*settings), "ms-swift", tmp_path / "swift")
    script = (tmp_path / "swift" / "run.sh").read_text("utf-8").replace("\\\n", " ")
    assert "export MIN_PIXELS=784" in script
    commands = [shlex.split(line) for line in script.splitlines() if line.startswith("swift ")]
    first, merge, second, _ = (dict(zip(one[2::2], one[3::2], strict=True)) for one in commands)
    assert (first["--lr_scheduler_type"], first["--max_steps"]) == ("constant_with_warmup", "7")
    assert (first["--load_best_model_at_end"], second["--load_best_model_at_end"]) == ("false", "true")
    assert merge["--adapters"] == "label-out/last"
    assert "--target_modules" not in first
    layers = ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "self_attn.v_proj"]
    taken = [one for one in layers if re.fullmatch(first["--target_regex"], f"model.language_model.layers.3.{one}")]
    assert taken == ["self_attn.q_proj", "self_attn.v_proj"]
    assert not re.fullmatch(first["--target_regex"], "model.vision_model.encoder.layers.3.self_attn.q_proj")

    export_recipe(recipe(*settings), "llama-factory", tmp_path / "factory")
    config = yaml.safe_load((tmp_path / "factory" / "label.yaml").read_text("utf-8"))
    assert (config["lr_scheduler_type"], config["max_steps"]) == ("constant_with_warmup", 7)
    assert (config["lora_target"], config["image_min_pixels"]) == ("q_proj,v_proj", 784)
    assert config["load_best_model_at_end"] is False


def test_settings_that_the_tools_do_not_have_are_refused(recipe: Any, tmp_path: Path) -> None:
    for setting, says in (
        ("stages.1.select=macro_f1", "stage 'explain': .* cannot measure macro_f1"),
        ("model.picture.do_image_splitting=false", r"model\.picture: .* no do_image_splitting"),
    ):
        with pytest.raises(UsageError, match=says):
            export_recipe(recipe(setting), "ms-swift", tmp_path / "out")
    whole = recipe()
    (tmp_path / "sets" / "own" / "images" / "val1.png").unlink()
    with pytest.raises(UsageError, match=r"'val1': its picture .*val1\.png is not there"):
        export_recipe(whole, "ms-swift", tmp_path / "out")
    assert not (tmp_path / "out").exists()
