"""Where MM-ORIENT's features come from: regions and pooled vectors by name, further columns, changed copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from memescope.datasets.stored import StoredParaphrases
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.models.mmorient.columns import columns_of, open_column
from memescope.models.mmorient.copies import Copying, copies_of, picture_of_copy
from memescope.models.mmorient.providers import load_pooled_image, load_pooled_text, load_regions
from tests.test_backbones_hub import SIZES, bert, random_picture, save, word_tokenizer
from tests.test_regions import detr  # noqa: F401  # a fixture


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 7, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 2, **SIZES},
        vision_config={"image_size": 32, "patch_size": 16, **SIZES},
        projection_dim=6,
    )
    save(folder, transformers.CLIPModel(config), word_tokenizer("<pad>", "<s>", "</s>"))
    processor = transformers.CLIPImageProcessorPil if hasattr(transformers, "CLIPImageProcessorPil") else None
    (processor or transformers.CLIPImageProcessor)(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return str(folder)


def test_clip_gives_the_vectors_it_compares(clip: str) -> None:
    """`CLIPModel`'s own forward, which is what the authors' script keeps."""
    text, image = load_pooled_text(clip), load_pooled_image(clip)
    assert (text.dim, image.dim) == (6, 6)
    texts, pictures = ["hello world", "a", "hello " * 40], [random_picture(1), random_picture(2)]
    whole = transformers.CLIPModel.from_pretrained(clip).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    processor = transformers.AutoImageProcessor.from_pretrained(clip)
    pixels = processor(images=[p.pixels for p in pictures], return_tensors="pt", input_data_format="channels_last")
    for i, one in enumerate(texts):
        tokens = tokenizer([one], truncation=True, max_length=12, return_tensors="pt")
        with torch.inference_mode():
            expected = whole(**tokens, **pixels)
        np.testing.assert_allclose(text.pooled(texts)[i], expected.text_embeds[0], atol=1e-5)
    np.testing.assert_allclose(image.pooled(pictures), expected.image_embeds, atol=1e-5)
    assert text.pooled([]).shape == image.pooled([]).shape == (0, 6)
    assert text.version.startswith("projected ")


def test_packaged_encoders_are_what_they_were() -> None:
    assert load_pooled_text("minilm").version == load_pooled_text("minilm").version
    assert (load_pooled_text("minilm").dim, load_pooled_image("effnet-lite0").dim) == (384, 1280)
    source = load_regions("effnet-lite0")
    found = source.of([Meme(), Meme(), Meme()], [random_picture(1), None, random_picture(2)])
    assert found[1] is None
    assert found[0] is not None
    assert found[0].features.shape == (49, source.dim)
    assert not np.allclose(found[0].features, found[2].features)  # type: ignore[union-attr]


def test_regions_of_a_detector(detr: Path) -> None:  # noqa: F811
    source = load_regions(str(detr), 3)
    [some, none] = source.of([Meme(), Meme()], [random_picture(), None])
    assert none is None
    assert some is not None
    assert some.features.shape == (3, source.dim)
    assert (np.diff(some.scores) <= 0).all()
    assert source.version.startswith("3 regions ")


def write_regions(folder: Path, name: str, n: int, width: int = 8) -> np.ndarray:
    features = np.random.default_rng(n).normal(size=(n, width)).astype(np.float32)
    boxes = np.tile(np.array([0, 0, 0.5, 1], np.float32), (n, 1))
    np.savez(folder / f"{name}.npz", features=features, boxes=boxes)
    return features


def test_regions_computed_elsewhere(tmp_path: Path) -> None:
    expected = write_regions(tmp_path, "a", 5)
    write_regions(tmp_path, "b", 2)
    source = load_regions(str(tmp_path), 4)
    assert source.dim == 8
    found = source.of([Meme(id="a"), Meme(id="nobody"), Meme(image="there/b.jpg")], [None] * 3)
    assert found[0] is not None
    np.testing.assert_array_equal(found[0].features, expected[:4])  # of equal scores the first
    assert found[1] is None
    assert [len(one) for one in found if one is not None] == [4, 2]
    before = source.version
    write_regions(tmp_path, "c", 3, width=9)
    source = load_regions(str(tmp_path), 4)
    assert source.version != before
    with pytest.raises(MemescopeError, match=r"meme 'c' in .* width 9, expected 8"):
        source.of([Meme(id="c")], [None])


# columns


def test_what_a_text_looks_like() -> None:
    column = open_column("surface")
    [figures, empty] = column([Meme(text="WHEN you eat 12 eggs!!\nwhy?"), Meme(text=" ")])
    by_name = dict(zip(column.names, figures.tolist(), strict=True))
    assert by_name == pytest.approx(
        {
            "characters": np.log1p(27),
            "words": np.log1p(5),
            "lines": np.log1p(2),
            "capitals": 4 / 17,
            "shouted": 1 / 5,
            "exclamations": 2 / 27,
            "questions": 1 / 27,
            "digits": 2 / 27,
        }
    )
    assert not empty.any()


def test_word_lists(tmp_path: Path) -> None:
    emotions = tmp_path / "nrc.txt"
    emotions.write_text("happy\tjoy\t1\nhappy\tfear\t0\nghost\tfear\t1\nparty\tjoy\t1\n")
    column = open_column(f"lexicon={emotions}")
    assert column.names == ("fear", "joy")
    found = column([Meme(text="Happy ghost, happy... don't!"), Meme(text="")])
    np.testing.assert_allclose(found, [[1 / 4, 2 / 4], [0, 0]])
    scores = tmp_path / "afinn.txt"
    scores.write_text("bad\t-3\ngood\t3\n")
    np.testing.assert_allclose(open_column(f"lexicon={scores}")([Meme(text="bad bad good thing")]), [[-3 / 4]])


def test_figures_computed_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "sentiment.jsonl"
    file.write_text('{"id": "a", "values": [0.5, 2]}\n{"id": "b", "values": [0, 0]}\n')
    found = open_column(f"file={file}")([Meme(id="a"), Meme(id="b"), Meme(id="c")])
    assert found.tolist() == [[1, 0.5, 2], [1, 0, 0], [0, 0, 0]]  # that a meme is missing can be seen


def test_models_of_text(tmp_path: Path) -> None:
    name = bert(tmp_path / "encoder")
    column = open_column(f"pooled={name}")
    memes = [Meme(text="hello world"), Meme(text="")]
    found = column(memes)
    assert found.shape == (2, 16)
    assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-5)
    assert not found[1].any()
    for several in (False, True):
        torch.manual_seed(1)
        config = transformers.BertConfig(
            vocab_size=7,
            max_position_embeddings=20,
            pad_token_id=1,
            id2label={0: "calm", 1: "cross", 2: "sad"},
            problem_type="multi_label_classification" if several else None,
            **SIZES,
        )
        model = transformers.BertForSequenceClassification(config)
        folder = save(tmp_path / f"classifier{several}", model, word_tokenizer("[PAD]", "[CLS]", "[SEP]"))
        column = open_column(f"probabilities={folder}")
        assert column.names == ("calm", "cross", "sad")
        ids = transformers.AutoTokenizer.from_pretrained(folder)("hello world", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = model.eval()(input_ids=ids).logits[0]
        found = column([*memes, Meme(text="a " * 50)])
        np.testing.assert_allclose(found[0], logits.sigmoid() if several else logits.softmax(0), atol=1e-5)
        assert not found[1].any()
        assert found[2].all()


def test_columns_stand_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"id": "a", "values": [7]}\n')
    memes = [Meme(id="a", text="hi")]
    found = columns_of(memes, [open_column("surface"), open_column(f"file={file}")])
    assert found.shape == (1, 10)
    assert found[0, 8:].tolist() == [1, 7]
    assert columns_of(memes, []).shape == (1, 0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("moods", r"'moods': expected one of surface, lexicon=\.\.\., file="),
        ("lexicon", "'lexicon': expected one of"),
        ("surface=3", "takes no value"),
        ("lexicon=nowhere.txt", "lexicon=nowhere.txt: expected lines of word"),
        ("file=nowhere.jsonl", "file=nowhere.jsonl: expected JSONL"),
    ],
)
def test_columns_that_are_not_there(asked: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_column(asked)


@pytest.mark.parametrize("rows", ["", '{"id": "a"}', '{"id": "a", "values": [1]}\n{"id": "b", "values": [1, 2]}', "[]"])
def test_broken_files_of_figures(tmp_path: Path, rows: str) -> None:
    (tmp_path / "x.jsonl").write_text(rows)
    with pytest.raises(UsageError, match="as many for every meme"):
        open_column(f"file={tmp_path / 'x.jsonl'}")


# copies


def rewrites(path: Path, generated: bool = False, **texts: list[str]) -> StoredParaphrases:
    lines = []
    for name, some in texts.items():
        held: dict[str, Any] = {"paraphrases": some}
        if generated:
            held = {"rationale": "\n".join(some), "prompt": "paraphrase", "parts": {"rewrites": some}}
        lines.append(json.dumps({"id": name} | held))
    path.write_text("\n".join(lines))
    return StoredParaphrases(path)


@pytest.mark.parametrize("generated", [False, True])
def test_a_copy_for_each_rewrite_inherits_every_label(tmp_path: Path, generated: bool) -> None:
    given = ["- Mondays return!", "See www.here", "mondays RETURN", "Again it's Monday", "It begins anew"]
    stored = rewrites(tmp_path / "p.jsonl", generated, a=given)
    memes = [Meme(id="a", text="Monday again", labels={"sentiment": "negative"}), Meme(id="b", text="other")]
    found = copies_of(memes, Copying(5, "paraphrases", "mmorient"), stored)
    assert [one.text for one in found] == ["Mondays return!", "Again it's Monday", "It begins anew"]
    assert [one.id for one in found] == ["a#c1", "a#c2", "a#c3"]
    assert all(one.labels == {"sentiment": "negative"} for one in found)
    assert found[0].meta == {"copy_of": "a", "copy": [1, "mmorient"]}
    assert len(copies_of(memes, Copying(2, "paraphrases"), stored)) == 2
    with pytest.raises(UsageError, match="no paraphrases of these 1 memes"):
        copies_of(memes[1:], Copying(5, "paraphrases"), stored)


def test_pictures_of_copies_are_changed_each_in_its_own_way() -> None:
    meme = Meme(id="a", text="some words that are long enough to be changed by noise now")
    picture = random_picture()
    copies = copies_of([meme], Copying(3, "noised", "mild"))
    assert picture_of_copy(picture, meme, mirror_letters=False) is picture
    changed = [picture_of_copy(picture, one, mirror_letters=False) for one in copies]
    assert len({one.key for one in [picture, *changed]}) == 4
    assert all("augmented: brightness" in one.notes[-1] for one in changed)
    again = picture_of_copy(picture, copies_of([meme], Copying(3, "noised", "mild"))[1], mirror_letters=False)
    assert (again.pixels == changed[1].pixels).all()
    assert len({one.text for one in copies}) > 1
    assert all(set(one.text.split()) <= set(meme.text.split()) for one in copies)  # noise: no word is new
    plain = copies_of([meme], Copying(1, "noised"))
    assert picture_of_copy(picture, plain[0], mirror_letters=False) is picture


def test_wrong_copies_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="differ in text or pictures, found 2"):
        Copying(2)
    with pytest.raises(UsageError, match="pictures same, mmorient or mild, found 'same' and 'wild'"):
        Copying(2, "same", "wild")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"paraphrases need augment\.paraphrases"):
        copies_of([], Copying(1, "paraphrases"))
    with pytest.raises(UsageError, match=r"paraphrases need augment\.paraphrases"):
        copies_of([], Copying(1, "noised"), rewrites(tmp_path / "p.jsonl", a=list("vwxyz")))
    assert copies_of([Meme(id="a", image=None)], Copying()) == []


# paraphrases, from the teacher to the copies


LONG = (
    "today is the first day of another week in which nobody wants to leave the bed before noon while it rains outside"
)
FIVE = ["mondays are back", "it is monday once more", "here comes monday", "monday, you again", "not monday, please"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (FIVE, ""),
        ([*FIVE[:4], "Meme number 1:  MONDAY again!"], "copied"),  # the meme's own text
        ([*FIVE[:4], "MONDAYS are back."], "copied"),  # two the same
        ([*FIVE[:4], LONG], "length"),
        (FIVE[:4], "wrong-fields"),
        (["je déteste vraiment les lundis matin quand il pleut dehors"] * 5, "language"),
    ],
)
def test_paraphrases_are_checked_and_become_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: list[str], code: str
) -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    from memescope.rationales.generate import generate, subjects_of
    from memescope.rationales.prompts import load_prompt
    from memescope.rationales.store import save
    from tests.teacher_server import FaultyServer
    from tests.test_rationales import teacher

    meme = Meme(id="m1", text="meme number 1: monday again", lang="en", labels={"sentiment": "negative"}, split="train")
    prompt = load_prompt("paraphrase")
    with FaultyServer(reply=lambda user, body: json.dumps({"rewrites": reply})) as server:
        [found], _ = generate(subjects_of([meme], prompt, None), prompt, teacher(server.url), tries=1)
    assert getattr(found, "error", "") == code
    if not code:
        save(tmp_path / "p.jsonl", [found])
        stored = StoredParaphrases(tmp_path / "p.jsonl")
        assert [one.text for one in copies_of([meme], Copying(5, "paraphrases"), stored)] == FIVE
