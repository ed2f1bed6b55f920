"""The same meme again: what joins, what is only alike, and that the order of entries decides nothing but the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from PIL import Image

from memescope.curation.duplicates import Clusters, Duplicate, cluster
from memescope.curation.geometry import align
from memescope.curation.hashes import Fingerprint, fingerprint
from memescope.curation.sametext import compare, letter_groups
from tests.test_hashes import picture, scene

MORDOR, SPOON, CATS = "one does not simply walk into Mordor", "there is no spoon, only a fork here", "cats rule the net"


def captioned(seed: int, text: str, band: int = 100) -> np.ndarray:
    """A scene with a white band above and one below, and half of the text on each."""
    pixels, words = scene(seed).copy(), text.split()
    half = (len(words) + 1) // 2
    for top, part in ((0, words[:half]), (360 - band, words[half:])):
        pixels[top : top + band] = 255
        cv2.putText(pixels, " ".join(part), (8, top + round(0.65 * band)), cv2.FONT_HERSHEY_DUPLEX, 0.95, (0, 0, 0), 2)
    return pixels


def marks(pixels: np.ndarray) -> Fingerprint:
    return fingerprint(picture(pixels))


def vector(seed: int, twist: int = 0) -> np.ndarray:
    """A unit vector for a scene; `twist` moves it a little, as a change of the picture would."""
    v = np.random.default_rng(seed).standard_normal(64) + 0.3 * np.random.default_rng(1000 + twist).standard_normal(64)
    return (v / np.linalg.norm(v)).astype(np.float16)


ORIGINAL = captioned(1, MORDOR)
HALF = cv2.resize(ORIGINAL, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
CROP = ORIGINAL[20:320, 60:]
OTHER_TEXT = captioned(1, SPOON)
OTHER = captioned(2, CATS)
PICTURES = [ORIGINAL, HALF, CROP, OTHER_TEXT, OTHER, ORIGINAL[:, ::-1]]
TEXTS = [MORDOR, MORDOR.upper(), "does not simply walk into Mordo", SPOON, CATS, ""]
MARKS = [marks(pixels) for pixels in PICTURES]
VECTORS = np.stack([vector(1), vector(1, 1), vector(1, 2), vector(1, 3), vector(2), vector(1, 4)])


def test_kinds_and_other_text() -> None:
    found = cluster(MARKS, texts=TEXTS, embeddings=VECTORS)
    kinds = [duplicate and (duplicate.of, duplicate.kind) for duplicate in found.duplicates]
    assert kinds == [None, (0, "re-encoded"), (0, "cropped or overlaid"), None, None, (0, "mirrored")]
    assert found.alike == [None, None, None, 0, None, None]
    assert found.duplicates[1] is not None
    assert 0 <= found.duplicates[1].distance <= 31


def test_exact_copies_need_equal_keys_and_text() -> None:
    same = [MARKS[0], MARKS[0], MARKS[0]]
    found = cluster(same, keys=["a", "a", "b"], texts=[MORDOR] * 3)
    assert found.duplicates == [None, Duplicate(0, "exact", 0), Duplicate(0, "re-encoded", 0)]
    # one picture posted with two texts of its own: two memes with one picture
    posted = cluster(same, keys=["a"] * 3, texts=[MORDOR, SPOON, MORDOR], given=[True] * 3)
    assert posted == Clusters([None, None, Duplicate(0, "exact", 0)], [None, 0, None])


def test_ocr_may_slip_where_the_letters_are_the_same() -> None:
    slipped = ["one does not simply walk into Mordor", "one do3s n0t simply vvaIk lnt0 M0rd0r"]
    read = cluster([MARKS[0], MARKS[0]], texts=slipped)
    assert read.duplicates[1] == Duplicate(0, "re-encoded", 0)
    typed = cluster([MARKS[0], MARKS[0]], texts=slipped, given=[True, True])
    assert typed == Clusters([None, None], [None, 0])


def test_without_texts_pictures_must_agree_everywhere() -> None:
    found = cluster([MARKS[0], MARKS[1], MARKS[3]], embeddings=VECTORS[[0, 1, 3]])
    assert found.duplicates[1] is not None
    assert found.duplicates[2] is None
    assert found.alike == [None, None, 0]


def test_one_caption_on_two_pictures_is_two_memes() -> None:
    text = "this caption is long enough, and lettered the same on both"
    pair = [marks(captioned(1, text, 70)), marks(captioned(2, text, 70))]
    near = np.stack([vector(1), vector(1, 1)])  # an embedding that is fooled
    assert cluster(pair, texts=[text, text], embeddings=near) == Clusters([None, None], [None, None])


def test_order_decides_the_first_alone() -> None:
    names = [f"file {i}" for i in range(len(MARKS))]
    reference = _partition(cluster(MARKS, keys=names, texts=TEXTS, embeddings=VECTORS), names)
    for seed in range(5):
        order = list(range(len(MARKS)))
        Random(seed).shuffle(order)
        shuffled = cluster(
            [MARKS[i] for i in order],
            keys=[names[i] for i in order],
            texts=[TEXTS[i] for i in order],
            embeddings=VECTORS[order],
        )
        assert _partition(shuffled, [names[i] for i in order]) == reference
        for number, duplicate in enumerate(shuffled.duplicates):
            assert duplicate is None or duplicate.of < number
    again = [cluster(MARKS, keys=names, texts=TEXTS, embeddings=VECTORS) for _ in range(2)]
    assert again[0] == again[1]


def _partition(found: Clusters, names: Sequence[str]) -> set[frozenset[str]]:
    groups: dict[int, set[str]] = {}
    for number, duplicate in enumerate(found.duplicates):
        groups.setdefault(number if duplicate is None else duplicate.of, set()).add(names[number])
    return {frozenset(group) for group in groups.values()}


def test_flat_pictures_are_duplicates_byte_for_byte_only() -> None:
    white, grey = marks(np.full((200, 300, 3), 255, np.uint8)), marks(np.full((200, 300, 3), 99, np.uint8))
    found = cluster([white, grey, white], keys=["w", "g", "w"], texts=["", "", ""])
    assert found.duplicates == [None, None, Duplicate(0, "exact", 0)]


def test_many_copies_and_chains() -> None:
    """Hashes 20 bits apart from one to the next: one cluster, by a chain, told by keypoints or hash of the first."""
    rng = np.random.default_rng(0)
    hashes = [rng.integers(0, 256, 32, dtype=np.uint8)]
    for step in range(9):
        nxt = hashes[-1].copy()
        nxt[3 * step : 3 * step + 2] ^= 255
        nxt[3 * step + 2] ^= 15
        hashes.append(nxt)
    empty = (np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    prints = [Fingerprint(h.tobytes(), 100, h.tobytes(), (384, 288), *empty) for h in hashes]
    found = cluster(prints, texts=[MORDOR] * 10)
    assert [d and d.of for d in found.duplicates] == [None] + [0] * 9
    assert [d and d.distance for d in found.duplicates] == [None, *range(20, 200, 20)]
    assert [d.kind for d in found.duplicates if d] == ["re-encoded"] + ["cropped or overlaid"] * 8


def test_nothing_and_wrong_lengths() -> None:
    assert cluster([]) == Clusters([], [])
    assert cluster([], embeddings=np.zeros((0, 8), np.float16)) == Clusters([], [])
    assert cluster(MARKS[:1], embeddings=VECTORS[:1]) == Clusters([None], [None])
    with pytest.raises(ValueError, match="texts: expected 2, one for each fingerprint, found 1"):
        cluster(MARKS[:2], texts=["a"])


def test_fingerprints_are_loaded_when_compared() -> None:
    loaded: list[int] = []

    class Stored:
        def __len__(self) -> int:
            return len(MARKS)

        def __getitem__(self, index: int, /) -> Fingerprint:
            loaded.append(index)
            return MARKS[index]

    found = cluster(Stored(), texts=TEXTS, embeddings=VECTORS)
    assert loaded[: len(MARKS)] == list(range(len(MARKS)))
    assert 4 not in loaded[len(MARKS) :]  # the unrelated one was not needed again
    assert found == cluster(MARKS, texts=TEXTS, embeddings=VECTORS)


def test_alignment_is_symmetric_and_measured() -> None:
    found = align(MARKS[0], MARKS[2])
    assert found is not None
    assert found == align(MARKS[2], MARKS[0])
    # the crop keeps 420 of 480 and 300 of 360 pixels: 0.729 of the area
    assert found.overlap == pytest.approx(0.729, abs=0.03)
    assert align(MARKS[0], MARKS[4]) is None
    same = align(MARKS[0], MARKS[0])
    assert same is not None
    assert (same.share, same.replaced, same.lost) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        (MORDOR, "ONE DOES NOT SIMPLY WALK INTO MORDOR!!", "same"),
        (MORDOR, "0ne does not simply wa1k into Mordor memes.example", "same"),
        (MORDOR, "simply walk into", "same"),
        (MORDOR, "one does not simply ignore a Monday meeting", "doubtful"),
        (MORDOR, SPOON, "other"),
        (MORDOR, "", "unknown"),
        ("", "", "unknown"),
        ("yes", "no", "unknown"),
        ("yes!", "YES", "same"),
        ("我们今天不上班因为下雨", "我们今天不上班,因为下雨了", "same"),
        ("我们今天不上班因为下雨", "猫坐在窗边看着外面的鸟", "other"),
        ("आज मौसम बहुत अच्छा है दोस्तों", "आज मौसम बहुत अच्छा है", "same"),
    ],
)
def test_texts(first: str, second: str, relation: str) -> None:
    assert compare(letter_groups(first), letter_groups(second)) == relation
    assert compare(letter_groups(second), letter_groups(first)) == relation


def test_the_benchmark_takes_the_folder_of_the_sets(tmp_path: Path) -> None:
    from memescope.bench import duplicates

    class Encoder:
        def item(self, pixels: np.ndarray, text: str, family: str, same: str) -> tuple[object, ...]:
            return pixels.shape[:2], text, family, same

    for name, meta in (("multi3hate", {"template": "cat"}), ("harmc", {})):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 8)).save(tmp_path / name / "a.png")
        for split, lang in (("train", "de"), ("val", "en"), ("test", "en")):
            row = {"id": split, "image": "a.png", "text": "hi", "lang": lang, "labels": {}, "meta": meta}
            (tmp_path / name / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    found = duplicates._real(tmp_path, True, Encoder())  # type: ignore[arg-type]
    assert [one[2:] for one in found] == [  # type: ignore[index]
        ("multi3hate cat", "multi3hate val"),
        ("multi3hate cat", "multi3hate test"),
        *(("harmc ", f"harmc {split}") for split in ("train", "val", "test")),
    ]
    assert found[0][:2] == ((8, 9), "hi")  # type: ignore[index]


@pytest.mark.real
def test_real_memes_on_one_template_stay_apart(real_data) -> None:  # type: ignore[no-untyped-def]
    from memescope.perception.pictures import open_picture

    folder = real_data / "ready" / "multi3hate"
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["lang"] == "en"][:60]
    prints = [fingerprint(open_picture(folder / row["image"])) for row in rows]
    found = cluster(prints, texts=[row["text"] for row in rows])
    assert sum(duplicate is not None for duplicate in found.duplicates) <= 1
