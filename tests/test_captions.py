"""Captions and paraphrases from files, captions of a tiny random BLIP, and how they are asked for by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memescope.backbones.captioner import Captioner, load_captioner
from memescope.backbones.perceiving import Captioned, open_kind, perceive
from memescope.datasets.opening import open_memes
from memescope.datasets.perceived import Perceived
from memescope.datasets.prepared import read_split
from memescope.datasets.stored import StoredCaptions, StoredParaphrases
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.perception.pictures import Picture

MEMES = [Meme(id=name, split=split, text="words") for name, split in (("a", "train"), ("b", "train"), ("c", "test"))]


def write(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


# Stored captions


def test_captions_as_an_object_with_what_is_wrong_named(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.json",
        '{"a": " a cat ", "b": "", "x": "beyond", "n": 3, "a": "a dog", "c": ["listed"], "x": "beyond"}',
    )
    stored = StoredCaptions(file)
    assert [stored.of(meme) for meme in MEMES] == ["a cat", None, "listed"]
    assert [(problem.id, problem.message) for problem in stored.problems] == [
        ("b", "empty caption"),
        ("n", "expected a caption, found int"),
        ("a", "another caption came before; that one is kept"),
    ]
    coverage = stored.coverage(MEMES)
    assert coverage == {
        "captions": 3,
        "splits": {"train": {"with": 1, "without": 1}, "test": {"with": 1, "without": 0}},
        "without": ["b"],
        "beyond": 1,
    }


def test_captions_as_lines(tmp_path: Path) -> None:
    rows = [{"id": "a", "caption": "one"}, {"id": 7, "caption": "two"}]
    stored = StoredCaptions(write(tmp_path / "c.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n"))
    assert stored.of(Meme(id="a")) == "one"
    assert stored.of(Meme(id="7")) == "two"
    alone = StoredCaptions(write(tmp_path / "one.jsonl", json.dumps(rows[0])))
    assert (len(alone), alone.of(Meme(id="a"))) == (1, "one")


@pytest.mark.parametrize("content", ["[1, 2]", '{"id": "a"}\n', '{"id": "a", "caption": "x"}\nnonsense\n', "nonsense"])
def test_files_of_neither_form_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match=r"c\.json:\d: expected a JSON object of id -> value"):
        StoredCaptions(write(tmp_path / "c.json", content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        StoredCaptions(tmp_path / "gone.json")


@pytest.mark.real
def test_the_stored_captions_of_harmc_cover_it(real_data: Path) -> None:
    stored = StoredCaptions(real_data / "rationales" / "harmc_captions.json")
    memes = [meme for split in ("train", "val", "test") for meme in read_split(real_data / "ready" / "harmc", split)]
    coverage = stored.coverage(memes)
    assert {split: counts["with"] for split, counts in coverage["splits"].items()} == {
        "train": 3013,
        "val": 177,
        "test": 354,
    }
    assert (coverage["captions"], coverage["beyond"], coverage["without"]) == (3544, 0, [])


def test_ids_with_something_before_them(tmp_path: Path) -> None:
    file = write(tmp_path / "c.json", json.dumps({f"politics_{meme.id}": meme.id.upper() for meme in MEMES}))
    plain = StoredCaptions(file)
    plain.check(MEMES)
    assert [problem.message for problem in plain.problems] == [
        "has none of these 3 memes; with prefix=politics_ it would"
    ]
    prefixed = open_kind(f"captions={file},prefix=politics_")
    assert isinstance(prefixed, StoredCaptions)
    prefixed.check(MEMES)
    assert [prefixed.of(meme) for meme in MEMES] == ["A", "B", "C"]
    assert (len(prefixed.problems), prefixed.coverage(MEMES)["beyond"]) == (0, 0)
    other = StoredCaptions(file)
    other.check([Meme(id="z")])
    assert [problem.message for problem in other.problems] == ["has none of these 1 memes: is it another dataset's?"]


@pytest.mark.real
def test_the_stored_captions_of_harmp_and_fhm_cover_them(real_data: Path) -> None:
    for file, folder, prefix, count in (
        ("harmp", "harmp", "politics_", 3470),
        ("fhm", "fhm", "", 12540),
    ):
        memes = open_memes(real_data / "native" / folder)
        stored = StoredCaptions(real_data / "rationales" / f"{file}_captions.json", prefix)
        assert len(memes) == count
        assert stored.coverage(memes)["without"] == []


# Paraphrases


def lines(**texts: Any) -> str:
    return "".join(json.dumps({"id": name, "paraphrases": rewrites}) + "\n" for name, rewrites in texts.items())


def test_paraphrases_count_only_when_all_are_good(tmp_path: Path) -> None:
    good = ["one way", "another way"]
    content = lines(
        good=good,
        few=["one"],
        empty=["one", " "],
        twice=["One  way", "one way"],
        text="no list",
        own=["The same WORDS", "others"],
    ) + lines(good=["late", "later"])
    stored = StoredParaphrases(write(tmp_path / "p.jsonl", content), wanted=2)
    memes = [Meme(id=name, text="the same words", labels={"harmful": "harmful"}) for name in ("good", "few", "own")]
    stored.check(memes)
    assert [stored.of(meme) for meme in memes] == [good, None, None]
    assert [(problem.id, problem.message) for problem in stored.problems] == [
        ("few", "1 paraphrases, expected 2"),
        ("empty", "an empty paraphrase"),
        ("twice", "the same paraphrase twice"),
        ("text", "expected a list of texts"),
        ("good", "paraphrases came before; those are kept"),
        ("own", "a paraphrase that is the text itself"),
    ]


def test_paraphrases_make_memes_with_the_same_labels(tmp_path: Path) -> None:
    stored = StoredParaphrases(write(tmp_path / "p.jsonl", lines(a=["one way", "another way"])), wanted=2)
    meme = Meme(id="a", text="words", image="a.jpg", labels={"harmful": "harmful"}, split="train", meta={"kept": 1})
    made = list(stored.memes([meme, Meme(id="b", text="words")]))
    assert [(one.id, one.text) for one in made] == [("a#p1", "one way"), ("a#p2", "another way")]
    assert all(one.labels == meme.labels and one.labels is not meme.labels for one in made)
    assert all(one.meta == {"kept": 1, "paraphrase_of": "a"} for one in made)
    assert meme.meta == {"kept": 1}


def test_five_paraphrases_are_expected_by_default(tmp_path: Path) -> None:
    stored = open_kind(f"paraphrases={write(tmp_path / 'p.jsonl', lines(a=list('vwxyz'), b=list('vwxy')))}")
    assert isinstance(stored, StoredParaphrases)
    assert stored.of(Meme(id="a")) == list("vwxyz")
    assert stored.of(Meme(id="b")) is None


# BLIP


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[DEC]", "[SEP]", "[UNK]", "a", "cat", "and", "dog"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", bos_token="[DEC]", sep_token="[SEP]", unk_token="[UNK]"
    )
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(3)
    config = transformers.BlipConfig(
        text_config={"vocab_size": 8, "encoder_hidden_size": 16, "max_position_embeddings": 32, **sizes, **ids},
        vision_config={"image_size": 32, "patch_size": 16, **sizes},
    )
    folder = tmp_path_factory.mktemp("blip")
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    transformers.BlipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def random_picture(seed: int) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    return Picture(pixels, f"random {seed}", 60, 40, "PNG")


def test_captions_do_not_depend_on_the_others_in_the_call(blip: Path) -> None:
    captioner = Captioner(str(blip))
    pictures = [random_picture(seed) for seed in range(3)]
    together = captioner.captions(pictures, most_tokens=6)
    assert together == [captioner.captions([picture], most_tokens=6)[0] for picture in pictures]
    assert all(set(caption.split()) <= {"a", "cat", "and", "dog"} for caption in together)
    assert any(together)
    assert captioner.captions([]) == []
    assert captioner.version.startswith(f"{blip.name}@")


def test_a_captioner_as_a_transform(blip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    Image.fromarray(random_picture(5).pixels).save(tmp_path / "a.png")
    meme = Meme(image=tmp_path / "a.png", id="a")
    perceived: Perceived = perceive([meme], [f"captions={blip}"])
    [ran] = perceived.run(workers=0)
    assert (ran.computed, ran.errors) == (1, [])
    assert perceived[0]["captions"] == Captioned(str(blip)).apply(meme)
    assert Captioned(str(blip), clean=False).key(meme) != Captioned(str(blip)).key(meme)


def test_other_models_and_missing_ones_are_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    transformers.BertConfig(vocab_size=7, hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"a bert model; expected a blip one .*ClipCap"):
        load_captioner(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MemescopeError, match="cannot be read"):
        load_captioner(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no such file or folder"):
        open_kind("captions=gone.jsonl")
    with pytest.raises(UsageError, match=r"gone\.jsonl: cannot be read"):
        open_kind("captions=gone.jsonl,prefix=x")
    with pytest.raises(UsageError, match=r"neither stored captions nor a folder with a model's config\.json"):
        open_kind(f"captions={tmp_path / 'empty'}")
