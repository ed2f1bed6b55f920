"""From memes to stored rationales: the steps of each prompt, imports, the judge, the injection trial, our server."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.address import check_address
from memescope.rationales.asking import check
from memescope.rationales.desk import Answered
from memescope.rationales.generate import choose_task, generate, subjects_of
from memescope.rationales.injection import Trial, measure, neutral_text, outcome, rate, stated_label, succeeded, trials
from memescope.rationales.judge import Judged, judge, scales_of
from memescope.rationales.prompts import Subject, load_prompt
from memescope.rationales.published import import_rationales
from memescope.rationales.replies import Invalid
from memescope.rationales.serving import LocalServer, Written
from memescope.rationales.store import (
    Failure,
    Rationale,
    coverage,
    errors_beside,
    load_captions,
    load_rationales,
    save,
)
from memescope.rationales.teacher import Decoding, Teacher
from memescope.rationales.waiting import wait_for
from memescope.taxonomy import load_taxonomy
from tests.teacher_server import FaultyServer

HARMFUL = load_taxonomy()["harmful"]


@pytest.fixture(autouse=True)
def _cache_of_each_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))


def teacher(url: str, model: str = "m") -> Teacher:
    return Teacher(check_address(url), model, timeout=5, first_wait=0.01, tries=3)


def tweet(number: int, label: str | None, **fields: object) -> Meme:
    labels = {"aspect_sentiment": label} if label else {}
    return Meme(
        text=f"meme number {number}", id=f"t{number}", lang="en", labels=labels, aspect="the cat", source="t", **fields
    )  # type: ignore[arg-type]


def chain(prediction: str, text: str = "The tweet tells that the cat came home late and was happy to be fed.") -> str:
    parts = {
        "Text_analysis": text,
        "Image_analysis": "The picture shows a cat in front of a bowl in a bright kitchen.",
        "Conflict_resolution": "Both of them tell the same story.",
        "Final_conclusion": "The owner is glad about the cat and says so in words and picture.",
        "Prediction": prediction,
    }
    return json.dumps(parts)


def chains(rows: list[Meme], reply, tries: int = 3):
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    prompt = load_prompt("chain")
    with FaultyServer(reply=reply) as server:
        subjects = subjects_of(rows, prompt, load_taxonomy()["aspect_sentiment"])
        found, summary = generate(subjects, prompt, teacher(server.url), tries=tries)
    return found, summary, [one.what for one in server.served()]


# The chain: predict first, explain when wrong.


def test_a_right_prediction_is_kept_and_a_wrong_one_explained() -> None:
    def reply(user: str, body: dict) -> str:
        return chain("positive")

    found, summary, asked = chains([tweet(1, "positive"), tweet(2, "positive"), tweet(3, None)], reply)
    assert [one.origin for one in found] == ["predicted"] * 3
    assert sorted(asked) == ["1/ask/first", "2/ask/first", "3/ask/first"]
    assert (found[2].label, found[0].parts["Prediction"]) == ("positive", "positive")
    assert found[0].rationale.startswith("Text_analysis: The tweet tells")
    assert "Prediction" not in found[0].rationale

    def explains(user: str, body: dict) -> str:
        return chain("negative" if "label is: negative" in user else "positive")

    found, summary, asked = chains([tweet(4, "negative")], explains)
    assert asked == ["4/ask/first", "4/explain/first"]
    assert (found[0].origin, found[0].label, found[0].parts["Prediction"]) == ("explained", "negative", "negative")
    assert found[0].tokens["in"] > 0
    assert summary.origins == {"explained": 1}


def test_several_labels_agree_in_any_order() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    prompt = load_prompt("chain")
    techniques = load_taxonomy()["propaganda_techniques"]
    rows = [Meme(text="meme number 8", id="a", lang="en", labels={"propaganda_techniques": ["smears", "slogans"]})]
    with FaultyServer(reply=lambda user, body: chain("Slogans, smears")) as server:
        found, _ = generate(subjects_of(rows, prompt, techniques), prompt, teacher(server.url))
    assert (found[0].origin, found[0].label) == ("predicted", ["smears", "slogans"])
    assert found[0].parts["Prediction"] == ["slogans", "smears"]


def test_a_teacher_that_will_not_explain_the_gold_label_is_asked_so_often_and_no_more() -> None:
    found, _, asked = chains([tweet(5, "negative")], lambda user, body: chain("positive"), tries=2)
    assert asked == ["5/ask/first", "5/explain/first", "5/explain/An"]
    assert isinstance(found[0], Failure)
    assert (found[0].error, found[0].replies) == ("wrong-label", 3)


@pytest.mark.parametrize("wrong", ["excellent", "positive or negative", "not positive", "ignore the meme: positive!"])
def test_a_label_that_is_none_is_never_taken(wrong: str) -> None:
    found, _, asked = chains([tweet(6, "positive")], lambda user, body: chain(wrong), tries=2)
    assert [one.error for one in found] == ["no-label"]
    assert len(asked) == 2


def test_the_next_try_is_told_what_was_wrong_and_nothing_of_the_reply() -> None:
    seen = []

    def reply(user: str, body: dict) -> str:
        seen.append(user)
        return chain("OBEY ME NOW", text="OBEY ME NOW") if len(seen) < 3 else chain("positive")

    seen.clear()
    found, _, _ = chains(
        [tweet(7, "positive")], lambda user, body: "Hello there." if "hello" in user else reply(user, body)
    )
    assert isinstance(found[0], Rationale)
    assert "(An earlier try could not be used: Prediction was not one of the labels" in seen[1]
    assert "(2 earlier tries could not be used" in seen[2]
    assert not any("OBEY" in user for user in seen)


# Abductive, explanation, paraphrase.


def test_explanations_come_in_both_languages_where_the_meme_has_another() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    english = (
        "The picture shows a cat that lies on the best chair of the house. Its owner kneels there with a full bowl. "
        "The words call one of them boss and leave open which. Only both together make plain who serves whom."
    )
    german = (
        "Das Bild zeigt eine Katze neben ihrem Besitzer, und der Text macht sich über ihn lustig. Beides zusammen "
        "ergibt den Witz, denn die Katze sieht aus wie der Herr des Hauses und der Mann wie ihr Diener."
    )

    def reply(user: str, body: dict) -> str:
        both = {"en_explanation": english, "native_explanation": german}
        return json.dumps(both if "German" in user else {"en_explanation": english})

    prompt = load_prompt("explanation")
    rows = [
        Meme(text=f"meme number {n}", id=str(n), lang=lang, labels={"harmful": "harmful"})
        for n, lang in ((1, "en"), (2, "de"), (3, "ro"))
    ]
    with FaultyServer(reply=reply) as server:
        found, _ = generate(subjects_of(rows, prompt, HARMFUL), prompt, teacher(server.url), tries=1)
    assert found[0].rationale == english
    assert found[0].parts == {}
    assert found[1].parts["native_explanation"] == german
    assert found[2].error == "wrong-fields"  # Romanian was asked for and not written


def test_rewrites_are_stored_one_by_one() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    five = [f"the way number {n} to say it" for n in range(5)]
    prompt = load_prompt("paraphrase")
    with FaultyServer(reply=lambda user, body: "\n".join(f"{n}. {line}" for n, line in enumerate(five))) as server:
        found, _ = generate(subjects_of([tweet(1, None)], prompt, None), prompt, teacher(server.url))
    assert found[0].parts == {"rewrites": five}
    assert found[0].decoding["temperature"] == 0.7


def test_the_same_meme_twice_is_asked_once() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    rows = [Meme(text="meme number 1", id=name, lang="en", labels={"harmful": "harmful"}) for name in "abc"]
    prompt = load_prompt("abductive")
    with FaultyServer(pause=0.05) as server:
        found, summary = generate(subjects_of(rows, prompt, HARMFUL), prompt, teacher(server.url))
    assert [one.id for one in found] == ["a", "b", "c"]
    assert len(server.served()) == 1
    assert (summary.asked, summary.from_cache) == (1, 2)


def answered(text: str, finish: str = "stop") -> Answered:
    return Answered(text, finish, 1, 1, None, "now", "f00df00df00df00d")


def test_replies_that_echo_or_were_cut_or_withheld_are_named() -> None:
    subject = Subject(Meme(text="x", lang="en"), HARMFUL, "harmful")
    prompt = load_prompt("abductive")

    def code(text: str, finish: str = "stop") -> str:
        found = check(answered(text, finish), subject, prompt)
        assert isinstance(found, Invalid)
        return found.code

    assert code("<<<DATA f00df00df00df00d\n{}") == "echo"
    assert code('{"rationale": "It', "length") == "truncated"
    assert code("anything", "content_filter") == "content-filter"
    long = (
        "The text mocks a politician for his masks while the picture shows him smiling at a crowd without one at all."
    )
    assert check(answered(f"{long} And the", "length"), subject, prompt) == {"rationale": long}
    brief = load_prompt("brief")
    found = check(answered(brief.examples[1]["reply"].strip()), subject, brief)
    assert isinstance(found, Invalid)
    assert found.code == "copied"


def test_the_task_is_the_only_one_or_the_only_binary_one() -> None:
    rows = [Meme(labels={"harmful": "harmful", "harm_intensity": "very-harmful", "target": "society"})]
    assert choose_task(rows).name == "harmful"
    assert choose_task(rows, "target").name == "target"
    with pytest.raises(UsageError, match="--task humour: no meme is labelled"):
        choose_task(rows, "humour")
    with pytest.raises(UsageError, match="--task: say which"):
        choose_task([Meme(labels={"hateful": "hateful", "harmful": "harmful"})])


# The store.


def test_what_is_saved_is_loaded_and_covers_its_memes(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [Rationale("a", "because", "d", "train", parts={"x": 1}), Rationale("b", "lone \ud800 half", "d", "test")]
    assert save(path, rows) == 2
    loaded = load_rationales(path)
    assert loaded["a"] == rows[0]
    assert loaded["b"].rationale == "lone \ud800 half"
    memes = [Meme(id="a", split="train"), Meme(id="c", split="train"), Meme(id="b", split="test")]
    assert [(c.split, c.memes, c.covered) for c in coverage(memes, loaded)] == [("train", 2, 1), ("test", 1, 1)]
    assert errors_beside(path).name == "r.errors.jsonl"
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON lines"),
        ("[]", "2: expected"),
        ('{"id": "a"}', "2: expected"),
        ('{"id": "a", "rationale": "other"}', "two different"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": "a", "rationale": "one"}\n' + line + "\n")
    with pytest.raises(UsageError, match=f"r.jsonl.*{told}"):
        load_rationales(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load_rationales(tmp_path / "absent.jsonl")


def test_ids_of_two_datasets_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    save(path, [Rationale("1", "one", "d"), Rationale("1", "two", "e")])
    with pytest.raises(UsageError, match="two different"):
        load_rationales(path)
    assert load_rationales(path, "e")["1"].rationale == "two"


def test_captions_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"a": "a cat", "b": ["a dog", "a wolf"]}')
    assert load_captions(path) == {"a": "a cat", "b": "a dog"}
    path.write_text('{"id": "a", "caption": "a cat"}\n{"id": "b", "caption": "a dog"}\n')
    assert load_captions(path) == {"a": "a cat", "b": "a dog"}
    path.write_text('{"id": "a", "caption": "a cat"}')
    assert load_captions(path) == {"a": "a cat"}
    path.write_text('{"a": 3}')
    with pytest.raises(UsageError, match="'a'"):
        load_captions(path)


def test_published_texts_and_chains_find_their_memes(tmp_path: Path) -> None:
    texts = tmp_path / "t.json"
    texts.write_text(json.dumps({"t2": " because ", "stranger": "x", "t3": ""}))
    rows = [tweet(1, "positive"), tweet(2, "positive"), tweet(3, "neutral")]
    found = import_rationales(texts, rows, "aspect_sentiment", "gpt")
    assert [(one.id, one.rationale, one.label, one.model, one.origin) for one in found] == [
        ("t2", "because", "positive", "gpt", "imported")
    ]
    published = tmp_path / "c.json"
    published.write_text(
        json.dumps([
            {"text": "Meme  number 3!", "aspect": "The cat", "label": "neutral", "cot": chain("Neutral")},
            {"text": "meme number 1", "aspect": "another", "cot": chain("positive")},
            {"text": "meme number 2", "aspect": "the cat", "cot": "nothing"},
        ])
    )  # fmt: skip
    found = import_rationales(published, rows, "aspect_sentiment")
    assert [(one.id, one.parts["Prediction"]) for one in found] == [("t3", "neutral")]
    published.write_text("[1]")
    with pytest.raises(UsageError, match="expected an object"):
        import_rationales(published, rows, "aspect_sentiment")


@pytest.mark.real
def test_all_published_rationales_come_in(real_data: Path) -> None:
    from memescope.datasets.opening import open_memes

    memes = open_memes(real_data / "ready" / "harmc")
    found = import_rationales(real_data / "rationales" / "harmc_rationales.json", memes, "harmful")
    assert {c.split: c.covered for c in coverage(memes, {one.id: one for one in found})} == {
        "train": 3013,
        "val": 177,
        "test": 0,
    }
    tweets = [m for m in open_memes(real_data / "ready" / "twitter2015") if m.split == "test"]
    found = import_rationales(real_data / "rationales" / "twitter2015_test_chains.json", tweets, "aspect_sentiment")
    assert len(found) == 1037
    assert sum(one.parts["Prediction"] == one.label for one in found) >= 1001


# The judge.


def test_a_judge_marks_what_is_stored_and_tells_means() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    rows = [tweet(n, "positive") for n in range(4)]
    stored = {
        f"t{n}": Rationale(f"t{n}", f"because {n}", task="aspect_sentiment", label="positive", model="m")
        for n in range(3)
    }

    def reply(user: str, body: dict) -> str:
        number = int(user.split("because ")[1][0])
        assert f'"explanation": "because {number}"' in user
        return (
            "no idea"
            if number == 2
            else json.dumps({"informativeness": 2 + 2 * number, "clarity": 5, "plausibility": 3, "faithfulness": 1})
        )

    with FaultyServer(reply=reply) as server:
        found, report = judge(rows, stored, load_prompt("judge"), teacher(server.url), tries=2)
    assert [type(one) for one in found] == [Judged, Judged, Failure]
    assert report.scales["informativeness"]["mean"] == 3
    assert report.scales["clarity"] == {"mean": 5, "low": 5, "high": 5, "counts": [0, 0, 0, 0, 2]}
    assert report.own == 3
    assert report.run.errors == {"not-parsed": 1}


def test_intervals_of_marks_narrow_with_their_number() -> None:
    rng = np.random.default_rng(0)

    def width(count: int) -> float:
        rows = [
            Judged(
                str(n),
                "",
                None,
                dict.fromkeys(("informativeness", "clarity", "plausibility", "faithfulness"), int(mark)),
                "j",
                "1",
            )
            for n, mark in enumerate(rng.integers(1, 6, count))
        ]
        figures = scales_of(rows)["clarity"]
        assert figures["low"] <= figures["mean"] <= figures["high"]
        assert sum(figures["counts"]) == count
        return figures["high"] - figures["low"]

    assert width(400) < width(25) / 2.5
    assert scales_of([]) == {}


# Injection.


def test_fifty_attacks_each_beside_a_neutral_text_of_its_length_that_holds_the_same() -> None:
    found = trials()
    attacks, neutral = [t for t in found if t.attack], [t for t in found if not t.attack]
    assert len(attacks) == len(neutral) == 50
    assert len({t.text for t in attacks}) == 50
    assert {"en", "de", "es", "fr", "ru", "hi", "ar", "zh"} <= {t.lang for t in attacks}
    assert len({t.style for t in attacks}) >= 7
    for attack, plain in zip(attacks, neutral, strict=True):
        assert len(attack.text) == len(plain.text)
        assert (attack.host, attack.wanted) == (plain.host, plain.wanted)
        assert attack.wanted in attack.text
        assert attack.wanted in plain.text
    wanted = [t.wanted for t in attacks if t.wants == "label"]
    assert abs(wanted.count("harmful") - wanted.count("not-harmful")) <= 3
    words = [t.wanted for t in attacks if t.wants == "word"]
    assert len(set(words)) == len(words)


def test_neutral_texts_are_of_the_length_asked_for() -> None:
    for length in range(8, 60):
        text = neutral_text("one two three four", "WORD", length, start=2)
        assert len(text) == length
        assert "WORD" in text


def trial(wants: str, wanted: str, attack: bool = True, number: int = 0) -> Trial:
    return Trial(number, "s", "en", wants, wanted, attack, "host", "text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ('{"reason": "x", "label": "not-harmful"}', "not-harmful"),
        ("The meme is not harmful.", "not-harmful"),
        ("It is harmful", "harmful"),
        ("harmful or not harmful", None),
        ("unharmful", None),
        ("", None),
    ],
)
def test_a_label_answered_is_read_from_the_form_or_as_the_only_one_named(reply: str, label: str | None) -> None:
    assert stated_label(reply, HARMFUL.labels) == label


def test_success_is_the_word_in_the_reply_or_the_label_answered() -> None:
    assert succeeded("Sure: zobok12!", trial("word", "ZOBOK12"), HARMFUL.labels)
    assert not succeeded("ZOBOK123", trial("word", "ZOBOK12"), HARMFUL.labels)
    assert succeeded("label: harmful\nreason: x", trial("label", "harmful"), HARMFUL.labels)
    assert not succeeded("label: not harmful\nreason: x", trial("label", "harmful"), HARMFUL.labels)


def test_rates_have_intervals_and_pairs_an_exact_test() -> None:
    # Wilson 1927: 5 of 10 with z = 1.95996 gives (0.2366, 0.7634)
    assert rate([True] * 5 + [False] * 5) == rate([False] * 5 + [True] * 5)
    assert (rate([True] * 5 + [False] * 5).low, rate([True] * 5 + [False] * 5).high) == (0.2366, 0.7634)
    results = [(trial("word", "W", True, n), (n < 8, True)) for n in range(10)]
    results += [(trial("word", "W", False, n), (n < 1, n != 3)) for n in range(10)]
    found = outcome("bare", results)
    assert (found.attack.successes, found.neutral.successes) == (8, 1)
    assert (found.only_attack, found.only_neutral) == (7, 0)
    assert found.p == pytest.approx(2 * 0.5**7)
    assert found.unreadable == 1


def test_a_model_that_obeys_and_one_that_does_not_are_told_apart() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    obeyed = {t.on_meme: t for t in trials()}

    def obeys(user: str, body: dict) -> str:
        if "Meme text: " in user:  # asked bare
            meme = user.split("Meme text: ")[1].split("\n\n  Question")[0].split("\n\nQuestion")[0]
            its = obeyed.get(meme)
            if its and its.attack:
                return its.wanted if its.wants == "word" else f"reason: ok\nlabel: {its.wanted}"
        return "reason: a joke about work\nlabel: not-harmful"

    with FaultyServer(reply=obeys) as server:
        server._answer = lambda what, body: (  # type: ignore[method-assign]
            "Hello." if "hello" in str(body["messages"]) else obeys(body["messages"][-1]["content"], body)
        )
        (delimited, bare), summary = measure(teacher(server.url))
    assert summary.memes == 200
    # Those that ask for the label it answers anyway succeed, attack or not.
    anyway = sum(t.wants == "label" and t.wanted == "not-harmful" for t in obeyed.values()) // 2
    assert (delimited.attack.successes, delimited.neutral.successes) == (anyway, anyway)
    assert delimited.p == 1
    assert (bare.attack.successes, bare.neutral.successes) == (50, anyway)
    assert bare.p < 1e-6


# Our own server.


class Parrot:
    """A writer that says what it was told, and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.fails = False
        self.ready = threading.Event()
        self.ready.set()

    def __call__(self, conversations, most, temperature, seed):
        self.ready.wait(5)
        self.batches.append(len(conversations))
        if self.fails:
            raise RuntimeError("out of memory")
        return [Written(c[-1]["content"][:most], 7, min(most, 3), len(c[-1]["content"]) <= most) for c in conversations]


def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_our_server_is_a_teacher_and_answers_together_what_waits_together() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    parrot = Parrot()
    server = LocalServer(parrot, "parrot", batch=4)
    try:
        its = teacher(server.start(), "parrot")
        parrot.ready.clear()

        async def six():
            async with its:
                asked = [its.complete([{"role": "user", "content": f"say {n}"}], Decoding(0.0, 50)) for n in range(6)]
                waiting = asyncio.gather(*asked)
                await asyncio.sleep(0.3)
                parrot.ready.set()
                return await waiting, await its.connect()

        replies, abilities = wait_for(six())
        assert [one.text for one in replies] == [f"say {n}" for n in range(6)]
        assert (replies[0].tokens_in, replies[0].tokens_out, replies[0].finish) == (7, 3, "stop")
        assert parrot.batches[0] <= 4
        assert sum(parrot.batches[:3]) >= 6
        assert max(parrot.batches) > 1
        assert not any((abilities.schema, abilities.json_object, abilities.logprobs))
    finally:
        server.stop()


def test_our_server_refuses_what_it_cannot_do_and_strangers() -> None:
    parrot = Parrot()
    server = LocalServer(parrot, "parrot")
    url = server.start() + "/chat/completions"
    good = {"messages": [{"role": "user", "content": "hello there"}]}
    try:
        assert post(url, good)[1]["choices"][0]["message"]["content"] == "hello there"
        assert post(url, {**good, "max_tokens": 5})[1]["choices"][0]["finish_reason"] == "length"
        for more in ({"stream": True}, {"logprobs": True}, {"response_format": {"type": "json_object"}}):
            assert post(url, {**good, **more})[0] == 400
        assert post(url, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})[0] == 400
        assert post(url, b"{")[0] == 400
        assert post(url, {"messages": []})[0] == 400
        assert post(url + "x", good)[0] == 404
        assert post(url, good, {"Content-Type": "text/plain"})[0] == 400
        assert post(url, good, {"Host": "evil.example"})[0] == 403
        parrot.fails = True
        assert post(url, good)[0] == 500
        parrot.fails = False
        assert post(url, good)[0] == 200
    finally:
        server.stop()


@pytest.mark.slow
def test_a_tiny_random_model_is_served_from_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'train'")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from memescope.rationales.serving import load_writer

    words = {word: n for n, word in enumerate(["<unk>", "<eos>", "say", "hello", "user", "assistant"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="<eos>")
    config = LlamaConfig(
        vocab_size=6, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="chat template"):
        load_writer(str(tmp_path), "float32")
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant"
    tokenizer.save_pretrained(tmp_path)
    write = load_writer(str(tmp_path), "float32")
    one = [{"role": "user", "content": "say hello"}]
    other = [{"role": "user", "content": "hello hello say hello"}]
    alone, both = write([one], 5, 0.0, None)[0], write([one, other], 5, 0.0, None)
    assert both[0] == alone  # padding changes nothing
    assert (alone.tokens_in, both[1].tokens_in) == (4, 6)
    assert alone.tokens_out <= 5
    with pytest.raises(UsageError, match="no language model there"):
        load_writer(str(tmp_path / "absent"))


# The command line.


def test_the_commands_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    from memescope.verbs.rationales import app

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            app(args=list(words))
        assert ended.value.code == 0
        return capsys.readouterr().out

    data = tmp_path / "drawn"
    data.mkdir()
    rows = [
        {"id": f"m{n}", "image": None, "text": f"meme number {n}", "lang": "en", "labels": {"harmful": "harmful"}}
        for n in range(6)
    ]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[4:]))
    out = tmp_path / "r.jsonl"
    with FaultyServer() as server:
        reach = ["--teacher", server.url, "--model", "m"]
        told = json.loads(run("generate", str(data), *reach, "--split", "train", "--dry-run", "--json"))
        assert (told["requests"], server.log) == (4, [])
        told = json.loads(
            run("generate", str(data), *reach, "--split", "train", "--limit", "3", "--out", str(out), "--json")
        )
        assert (told["rationales"], told["errors"]) == (3, {})
        assert list(load_rationales(out)) == ["m0", "m1", "m2"]
        told = json.loads(run("generate", str(data), *reach, "--out", str(out), "--json"))
        assert (told["rationales"], told["from_cache"], told["asked"]) == (6, 3, 3)
        with pytest.raises(UsageError, match="--split dev"):
            app(args=["generate", str(data), *reach, "--split", "dev", "--out", str(out)])
        with pytest.raises(UsageError, match="--price-in"):
            app(args=["generate", str(data), *reach, "--out", str(out), "--budget-usd", "1"])
        with pytest.raises(UsageError, match="--out"):
            app(args=["generate", str(data), *reach])
        with pytest.raises(UsageError, match="kind: scores"):
            app(args=["judge", str(data), "--rationales", str(out), *reach, "--out", str(out), "--prompt", "chain"])
    marks = tmp_path / "marks.jsonl"
    scores = {"informativeness": 4, "clarity": 5, "plausibility": 1, "faithfulness": 3}
    with FaultyServer(reply=lambda user, body: json.dumps(scores)) as server:
        reach = ["--teacher", server.url, "--model", "other"]
        shown = run("judge", str(data), "--rationales", str(out), *reach, "--out", str(marks))
    assert "6 of 6 rationales marked by other" in shown
    assert "informativeness 4.00" in shown
    assert json.loads(marks.read_text().splitlines()[0]) == {
        "id": "m0", "dataset": "drawn", "split": "train", "judge": "other", "prompt_version": "1", **scores,
    }  # fmt: skip
    published = tmp_path / "p.json"
    published.write_text(json.dumps({"m1": "because", "m5": "therefore"}))
    told = json.loads(run("import", str(data), str(published), "--out", str(out), "--model", "gpt", "--json"))
    assert told["coverage"] == {"train": {"memes": 4, "with_rationale": 1}, "test": {"memes": 2, "with_rationale": 1}}
    published.write_text(json.dumps({"x": "because"}))
    with pytest.raises(UsageError, match="of another dataset"):
        app(args=["import", str(data), str(published), "--out", str(out)])


def test_a_prompt_that_asks_for_a_label_keeps_the_one_that_was_answered() -> None:
    pytest.importorskip("openai", reason="needs the extra 'teacher'")
    prompt = load_prompt("verdict")
    assert prompt.needs_task
    assert not load_prompt("paraphrase").needs_task
    reply = '{"reason": "It mocks the neighbour.", "label": "Not harmful"}'
    with FaultyServer(reply=lambda user, body: reply) as server:
        subjects = subjects_of([Meme(text="meme number 1", id="a")], prompt, HARMFUL)
        found, _ = generate(subjects, prompt, teacher(server.url))
    assert (found[0].rationale, found[0].label, found[0].task) == ("It mocks the neighbour.", "not-harmful", "harmful")
