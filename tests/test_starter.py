"""The shipped starter, and the parts it is made of against float64 references worked out here."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from memescope.errors import PictureError, UsageError
from memescope.meme import Meme
from memescope.models import PACKAGED, load
from memescope.models.starter import ngrams
from memescope.models.starter.familiarity import mean_rarity, neighbour_distance, p_values, source_log_odds, trust
from memescope.models.starter.heads import Fusion, Member, TaskHead, in_order, sigmoid, softmax
from memescope.models.starter.kernel import similarities
from memescope.taxonomy import load_taxonomy

BITS = 12


def drawn(seed: int, size: int = 96) -> Image.Image:
    """A harmless picture: a few coloured boxes."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (size, size), tuple(int(v) for v in rng.integers(0, 255, 3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        x, y = (int(v) for v in rng.integers(0, size // 2, 2))
        pen.rectangle((x, y, x + size // 3, y + size // 3), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    return picture


MEMES = [
    Meme(image=drawn(1), text="when monday comes and the coffee is gone"),
    Meme(image=drawn(2), text="the president said the virus will disappear"),
    Meme(image=drawn(3), text="जब सोमवार आता है"),
    Meme(image=drawn(4), text="星期一 又来了"),
    Meme(image=drawn(5)),
    Meme(text="a text without any picture"),
    Meme(),
    Meme(image=drawn(6), text="word " * 900),
]


# hashed n-grams ------------------------------------------------------------------------------------------------------


def reference_features(text: str) -> dict[int, int]:
    """Buckets and counts with Python integers, straight from the definition in the module's docstring."""
    mask = (1 << 64) - 1

    def mix(v: int) -> int:
        v = (v ^ (v >> 33)) * 0xFF51AFD7ED558CCD & mask
        v = (v ^ (v >> 33)) * 0xC4CEB9FE1A85EC53 & mask
        return v ^ (v >> 33)

    import zlib

    base = 0x9E3779B97F4A7C15
    tokens = ngrams.words(text)
    single = [mix(zlib.crc32(t.encode()) + 1) for t in tokens]
    hashes = single + [mix((a * base + b) & mask) for a, b in itertools.pairwise(single)]
    joined = f" {' '.join(tokens)} "
    for size in (2, 3, 4, 5):
        for start in range(len(joined) - size + 1):
            run = joined[start : start + size]
            if " " in run[1:-1]:
                continue
            value = 0
            for i, character in enumerate(run):
                value = ord(character) if i == 0 else (value * base + ord(character)) & mask
            hashes.append(mix((value + (size << 40)) & mask))
    found: dict[int, int] = {}
    for h in hashes:
        found[h & ((1 << BITS) - 1)] = found.get(h & ((1 << BITS) - 1), 0) + 1
    return found


@pytest.mark.parametrize("text", ["a", "Ab cd", "when MONDAY comes, monday!", "जब सोमवार", "星期一", "x1 x1 x1"])
def test_ngrams_follow_their_definition(text: str) -> None:
    rows = ngrams.count([text], BITS)
    expected = reference_features(text)
    assert dict(zip(rows.columns.tolist(), rows.values.tolist(), strict=True)) == pytest.approx(
        {bucket: 1 + np.log(count) for bucket, count in expected.items()}
    )


def test_ngrams_of_nothing_are_empty_rows() -> None:
    rows = ngrams.weigh(ngrams.count(["", "one word", "?!"], BITS), np.ones(1 << BITS, np.float32))
    assert np.diff(rows.starts).tolist()[0] == 0
    assert np.diff(rows.starts).tolist()[2] == 0
    middle = rows.values[rows.starts[1] : rows.starts[2]]
    assert float((middle**2).sum()) == pytest.approx(1, abs=1e-6)


def test_sparse_product_equals_the_dense_one() -> None:
    rng = np.random.default_rng(0)
    idf = rng.uniform(1, 3, 1 << BITS).astype(np.float32)
    weighed = ngrams.weigh(ngrams.count([m.text for m in MEMES], BITS), idf)
    dense = np.zeros((len(MEMES), 1 << BITS))
    for i in range(len(MEMES)):
        here = slice(weighed.starts[i], weighed.starts[i + 1])
        dense[i, weighed.columns[here]] = weighed.values[here]
    weight = rng.normal(size=(1 << BITS, 3)).astype(np.float32)
    np.testing.assert_allclose(weighed.dot(weight), dense @ weight.astype(np.float64), atol=1e-5)


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_counted(text: str) -> None:
    rows = ngrams.count([text, text], BITS)
    assert rows.starts[1] * 2 == rows.starts[2]
    assert (rows.values >= 1).all()


# heads ---------------------------------------------------------------------------------------------------------------


def head(**changes: object) -> TaskHead:
    plain = TaskHead(
        name="harm_intensity",
        kind="ordinal",
        labels=("none", "some", "very"),
        members={"a": Member(slice(0, 3), {"both": Fusion({"text": 2.0, "picture": 0.5}, (0.0, 1.0, 0.0))})},
        prior=(0.6, 0.3, 0.1),
        decision=(1.0, 1.0, 1.0),
        abstain=0.5,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_fusion_is_a_weighted_sum_with_a_bias() -> None:
    columns = {"text": np.array([[1.0, 0, 0], [0, 0, 3.0]]), "picture": np.array([[0, 2.0, 0], [4.0, 0, 0]])}
    logits = head().members["a"].logits(columns, "both")
    np.testing.assert_allclose(logits, [[2, 2, 0], [2, 1, 6]])
    np.testing.assert_allclose(Fusion({}, (0.5,)).logits({"text": np.zeros((3, 1))}), [[0.5]] * 3)


def test_a_parents_probability_is_shared_out_among_its_labels() -> None:
    child = head(parent="harmful", within={"none": "no", "some": "yes", "very": "yes"})
    above = {"harmful": (("no", "yes"), np.array([[0.2, 0.8]]))}
    own = np.array([[0.6, 0.3, 0.1]])
    # within "yes" the split is 3 : 1
    np.testing.assert_allclose(child.shared_out(own, above), [[0.2, 0.6, 0.2]])
    np.testing.assert_allclose(child.shared_out(own, {}), own)
    assert [h.name for h in in_order([child, head(name="harmful")])] == ["harmful", "harm_intensity"]


def test_sources_are_mixed_by_which_the_meme_looks_like() -> None:
    member = head().members["a"]
    two = head(members={"a": member, "b": member})
    logits = {"a": np.log([[0.5, 0.25, 0.25]] * 2), "b": np.log([[0.1, 0.1, 0.8]] * 2)}
    mixed = two.mixed(logits, {"a": np.array([0.0, 50.0]), "b": np.array([np.log(3), 0.0])})
    np.testing.assert_allclose(mixed, [[0.2, 0.1375, 0.6625], [0.5, 0.25, 0.25]])


def test_choice_leans_by_its_factors_and_only_the_most_probable_label_is_believed() -> None:
    leaning = head(decision=(1.0, 1.0, 6.0))
    labels, confidence = leaning.choose(np.array([[0.5, 0.4, 0.1], [0.8, 0.15, 0.05], [0.1, 0.1, 0.8]]))
    assert labels == ["very", "none", "very"]
    np.testing.assert_allclose(confidence, [0, 0.8, 0.8])


def test_multilabel_choice_uses_thresholds() -> None:
    several = head(kind="multilabel", decision=(0.3, 0.3, 0.3))
    labels, confidence = several.choose(np.array([[0.9, 0.1, 0.2], [0.4, 0.1, 0.1]]))
    assert labels == [["none"], ["none"]]
    # the second yes, at 0.4, is less likely than not: never believed
    np.testing.assert_allclose(confidence, [0.8, 0])
    np.testing.assert_allclose(several.alone(np.array([[0.0, 100, -100]])), [[0.5, 1, 0]], atol=1e-12)


def test_an_unfamiliar_meme_gets_the_training_rates() -> None:
    pulled = head().pull(np.array([[0.0, 0.0, 1.0]] * 3), np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(pulled, [[0, 0, 1], [0.3, 0.15, 0.55], [0.6, 0.3, 0.1]])


def test_softmax_and_sigmoid_do_not_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
    np.testing.assert_allclose(sigmoid(np.array([-1000.0, 0, 1000])), [0, 0.5, 1])


# familiarity and kernel ----------------------------------------------------------------------------------------------


def test_p_values_count_the_held_out_memes_that_are_as_strange() -> None:
    held_out = np.array([1.0, 2, 3, 4])
    np.testing.assert_allclose(p_values(np.array([0.0, 2, 2.5, 9]), held_out), [1, 0.8, 0.6, 0.2])
    np.testing.assert_allclose(trust(np.array([0.0, 0.005, 0.0275, 0.05, 1])), [0, 0, 0.5, 1, 1])


def test_rarity_is_the_mean_of_the_texts_own_ngrams() -> None:
    idf = np.arange(1 << BITS, dtype=float)
    rows = ngrams.count(["ab", "", "cd ef"], BITS)
    parts = [rows.columns[rows.starts[i] : rows.starts[i + 1]] for i in range(3)]
    np.testing.assert_allclose(mean_rarity(rows, idf), [parts[0].mean(), 0, parts[2].mean()])


def test_neighbour_distance_is_the_mean_of_the_five_nearest() -> None:
    rng = np.random.default_rng(0)
    points, sample = rng.normal(size=(3, 8)), rng.normal(size=(20, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    every = np.sort(np.linalg.norm(points[:, None] - sample[None], axis=2), axis=1)
    np.testing.assert_allclose(neighbour_distance(points, sample), every[:, :5].mean(axis=1), atol=1e-9)


def test_source_log_odds_are_those_of_the_softmax() -> None:
    logits = np.array([[0.3, -1.0, 2.0]])
    p = softmax(logits)
    np.testing.assert_allclose(source_log_odds(logits), np.log(p / (1 - p)))
    np.testing.assert_allclose(source_log_odds(np.ones((2, 1))), 0)


def test_kernel_against_its_formula() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    expected = np.exp(-0.7 * ((a[:, None].astype(float) - b[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(similarities(a, b, 0.7), expected, atol=1e-6)


# the shipped model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starter():
    return load("starter")


def test_probabilities_are_canonical_and_sum_to_one(starter) -> None:
    taxonomy = load_taxonomy()
    for reading in starter.answer(MEMES):
        assert tuple(reading.answers) == starter.tasks
        assert reading.model == starter.version
        for name, answer in reading.answers.items():
            assert tuple(answer.probabilities) == taxonomy[name].labels
            taxonomy[name].check(answer.label)
            assert all(0 <= p <= 1 for p in answer.probabilities.values())
            if taxonomy[name].kind != "multilabel":
                assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-9)
            if not answer.abstain and isinstance(answer.label, str):
                assert answer.probabilities[answer.label] == max(answer.probabilities.values())


def test_answers_do_not_depend_on_batch_or_order(starter) -> None:
    together = starter.answer(MEMES)
    backwards = starter.answer(MEMES[::-1])[::-1]
    alone = [starter.answer([meme])[0] for meme in MEMES]
    for a, b, c in zip(together, backwards, alone, strict=True):
        for task in starter.tasks:
            for label, p in a.answers[task].probabilities.items():
                assert b.answers[task].probabilities[label] == pytest.approx(p, abs=1e-4)
                assert c.answers[task].probabilities[label] == pytest.approx(p, abs=1e-4)


def test_a_graded_answer_agrees_with_its_coarse_one(starter) -> None:
    fine = {h.name: h for h in starter.heads if h.parent is not None and h.sources == _sources(starter, h.parent)}
    assert "harm_intensity" in fine
    for reading in starter.answer(MEMES):
        for name, child in fine.items():
            for coarse, p in reading.answers[str(child.parent)].probabilities.items():
                inside = [label for label in child.labels if child.within[label] == coarse]
                assert sum(reading.answers[name].probabilities[label] for label in inside) == pytest.approx(p, abs=1e-6)


def _sources(starter, task: str | None) -> tuple[str, ...]:
    return next(h.sources for h in starter.heads if h.name == task)


def test_a_meme_with_nothing_to_read_gets_the_training_rates_and_abstains(starter) -> None:
    [reading] = starter.answer([Meme()])
    for head_ in starter.heads:
        answer = reading.answers[head_.name]
        assert answer.abstain
        assert list(answer.probabilities.values()) == pytest.approx(list(head_.prior))


def test_noise_is_not_believed(starter) -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)) for _ in range(4)]
    for reading in starter.answer([Meme(image=picture, text="xq zzkr vvt plm oooq wrt") for picture in noise]):
        assert all(answer.abstain for answer in reading.answers.values())


def test_no_memes_no_readings(starter) -> None:
    assert starter.answer([]) == []


def test_explain_measures_words_and_regions(starter) -> None:
    meme = Meme(image=drawn(2), text="the president said the virus will disappear")
    evidence = starter.explain(meme, ["harmful", "sentiment"])
    assert list(evidence) == ["harmful", "sentiment"]
    spans = evidence["harmful"].spans
    assert [span.text for span in spans] == meme.text.split()
    assert all(meme.text[span.start : span.end] == span.text for span in spans)
    assert evidence["harmful"].says.endswith(".")
    for region in evidence["harmful"].regions:
        assert 0 <= region.x < region.x + region.width <= 1 + 1e-9
        assert region.weight >= 0.05


def test_the_sentence_states_the_probability_without_the_words(starter) -> None:
    """The whole text is one word: without it the meme has no text, which `answer` can say too."""
    evidence = starter.explain(Meme(text="vaccine"), ["harmful"])["harmful"]
    assert evidence.spans == []
    assert evidence.regions == []
    assert "picture" not in evidence.says


@pytest.mark.parametrize("meme", [Meme(), Meme(text="only text here"), Meme(image=drawn(1))])
def test_explain_works_with_parts_missing(starter, meme: Meme) -> None:
    evidence = starter.explain(meme, starter.tasks)
    assert set(evidence) == set(starter.tasks)
    assert bool(evidence["harmful"].spans) == bool(meme.text)


def test_spans_point_into_the_original_text(starter) -> None:
    text = "LOCKDOWN day 12:\nmade with imgflip.com   stay home @someone please"
    evidence = starter.explain(Meme(text=text), ["harmful"])["harmful"]
    found = [span.text for span in evidence.spans]
    assert "LOCKDOWN" in found
    assert "home" in found
    assert not any("imgflip" in word or "someone" in word for word in found)
    assert all(text[span.start : span.end] == span.text for span in evidence.spans)


def test_unknown_task_is_named(starter) -> None:
    with pytest.raises(UsageError, match=r"does not answer deepfake; it answers .*harmful"):
        starter.explain(Meme(text="x"), ["deepfake"])


def test_broken_picture_is_a_picture_error(starter) -> None:
    with pytest.raises(PictureError):
        starter.answer([Meme(image=b"not a picture")])


def test_card_tells_for_every_task_what_it_was_trained_on(starter) -> None:
    assert set(starter.card) == set(starter.tasks)
    assert "COVID-19" in starter.card["harmful"]["trained_on"]
    assert "128-pixel" in starter.card["humour"]["trained_on"]


def test_shipped_weights_are_small_and_under_their_own_notice() -> None:
    folder = PACKAGED["starter"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    assert "research" in (folder / "NOTICE").read_text()
    card = (folder.parent / "MODEL_CARD.md").read_text("utf-8")
    for word in (
        "COVID",
        "Licence",
        "split",
        "seed",
        "interval",
        "OCR",
        "Calibration",
        "Intended use",
        "Misuse",
        "warning",
    ):
        assert word.lower() in card.lower(), word


def test_unknown_model_names_those_that_exist(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no model 'nosuch': expected one of starter"):
        load("nosuch")
    (tmp_path / "config.json").write_text('{"family": "other"}')
    with pytest.raises(UsageError, match=r"family 'other' is not known; families: .*mrharm.*starter"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"family": "starter"}')
    with pytest.raises(UsageError, match=r"model\.safetensors: this file of the model is missing"):
        load(tmp_path)


def test_answering_imports_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys, memescope as ms; m = ms.load('starter'); m.answer([ms.Meme(text='hello there')]);"
        "m.explain(ms.Meme(text='hello there'), ['harmful']);"
        "print([n for n in ('torch', 'sklearn', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
