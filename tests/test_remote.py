"""A model behind an OpenAI-compatible server answers as the model itself would, by whatever the server can do."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from label_server import LabelServer
from PIL import Image
from tiny import llama

from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.models import load
from memescope.models.memelens.prompting import Manner, asked
from memescope.remote.spec import parse, with_access
from memescope.taxonomy import load_taxonomy

MEMES = [
    Meme(text="Lock them all up", id="a", lang="en"),
    Meme(text="नमस्ते", id="b", lang="hi", image=Image.new("RGB", (30, 20), (200, 10, 10))),
    Meme(text="Have a lovely day", id="c", lang="de", image=Image.new("RGB", (20, 30), (10, 10, 200))),
]


class Tiny:
    """A random llama on conversations; a picture is one token more, which one its colour says."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.lm = AutoModelForCausalLM.from_pretrained(llama(folder)).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.end = int(self.tokenizer.eos_token_id)

    def words(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, messages: list[dict[str, Any]], opened: bool, closed: bool) -> list[int]:
        ids = [0]
        for i, message in enumerate(messages):
            ids += self.words(f"{message['role']}:\n")
            ids += [self.end] if message.get("picture") else []
            # a reply's lead and label by themselves, as they are learnt; text has no space before it
            lead, found, label = message["content"].partition("Label:")
            pieces = [lead, found, label] if message["role"] == "assistant" else [message["content"]]
            ids += [token for piece in pieces if piece for token in self.words(piece)]
            if i < len(messages) - 1 or opened or closed:
                ids += [self.end, *self.words("\n")]
        return [*ids, *(self.words("assistant:\n") if opened else [])]

    def logprobs(self, ids: Sequence[int], pictures: Sequence[bytes]) -> torch.Tensor:
        import io

        row = list(ids)
        if pictures:
            pixel = Image.open(io.BytesIO(pictures[0])).convert("RGB").getpixel((3, 3))
            row[row.index(self.end, row.index(self.end) + 1)] = 20 + int(pixel[0]) % 200  # the mark after the system's
        with torch.no_grad():
            return self.lm(torch.tensor([row])).logits[0].log_softmax(-1)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


def _reference(model: Tiny, meme: Meme, task: str, image: bool = True) -> dict[str, float]:
    """Probabilities by brute force, every label read on its own; the end of the turn where one begins another."""
    import io

    manner = Manner()
    pictures = []
    if meme.image is not None and image:
        file = io.BytesIO()
        meme.image.save(file, "PNG")
        pictures = [file.getvalue()]
    found = []
    for question in asked(meme, task, manner):
        messages = [
            {"role": "system", "content": manner.wording.system},
            {"role": "user", "content": question.user, "picture": bool(pictures)},
        ]
        start = model.encode(messages, True, False) + model.words("Label:")
        ways = [model.words(f" {name}") for name in question.names.values()]
        if any(a != b and b[: len(a)] == a for a in ways for b in ways):
            ways = [[*way, model.end] for way in ways]
        scores = []
        for way in ways:
            table = model.logprobs([*start, *way], pictures).double()
            scores.append(math.fsum(float(table[len(start) + i - 1, token]) for i, token in enumerate(way)))
        p = np.exp(np.array(scores) - max(scores))
        found.append(p / p.sum())
    labels = load_taxonomy()[task].labels
    if load_taxonomy()[task].kind == "multilabel":
        return {label: float(p[1]) for label, p in zip(labels, found, strict=True)}
    return dict(zip(labels, map(float, found[0]), strict=True))


TASKS = ("hateful", "target", "targets")


def test_a_server_with_log_probabilities_gives_the_models_own_answers(model: Tiny) -> None:
    with LabelServer(model, {"exact", "pictures"}) as server:
        remote = load(f"openai:{server.url}#tasks={','.join(TASKS)}")
        readings = remote.answer(MEMES[:2])
    assert remote.version.startswith("exact-")
    assert remote.name == "openai:tiny"
    assert remote.tasks == TASKS
    for meme, reading in zip(MEMES[:2], readings, strict=True):
        for task in TASKS:
            expected = _reference(model, meme, task)
            got = reading.answers[task]
            assert got.probabilities == pytest.approx(expected, abs=1e-5), (meme.id, task)
            if isinstance(got.label, str):
                assert got.label == max(expected, key=expected.__getitem__)
                assert math.fsum(got.probabilities.values()) == pytest.approx(1)
            else:
                assert got.label == [label for label, p in expected.items() if p >= 0.5]
            assert not got.abstain
    # in Hindi one label begins the other: "घृणास्पद" and "घृणास्पद नहीं"
    closed = [body for body in server.requests if body.get("continue_final_message") is False]
    assert any("घृणास्पद" in body["messages"][-1]["content"] for body in closed)


def test_the_likeliest_tokens_give_probabilities_where_they_tell_labels_apart(model: Tiny) -> None:
    class Led(Tiny):
        """The same model, which begins every reply with the lead, as a trained one would."""

        def __init__(self) -> None:
            self.__dict__ |= model.__dict__

        def logprobs(self, ids: Sequence[int], pictures: Sequence[bytes]) -> torch.Tensor:
            table = super().logprobs(ids, pictures)
            lead = self.words("Label:")
            opening = self.words("assistant:\n")
            at = max((i for i in range(len(ids)) if list(ids[i : i + len(opening)]) == opening), default=None)
            if at is not None:
                for step, token in enumerate(lead):
                    place = at + len(opening) + step - 1
                    if place < len(ids) and list(ids[at + len(opening) :])[:step] == lead[:step]:
                        table[place] = -20.0
                        table[place, token] = 0.0
            return table

    with LabelServer(Led(), {"top", "guided_choice"}) as server:
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")
        assert remote.found.method == "top"
        assert remote.found.choice == "guided_choice"
        answer = remote.answer(MEMES[:1])[0].answers["hateful"]
    assert math.fsum(answer.probabilities.values()) == pytest.approx(1)
    # first tokens of a reply that may only be a label: of " not-hateful" and "hateful" by the raw distribution
    assert not answer.abstain


def test_shares_by_hand() -> None:
    from memescope.remote.scoring import _label_starts, _share

    called = {"a": "very-harmful", "b": "very-odd", "c": "harmless"}
    tokens = [
        {"token": "Label", "top_logprobs": []},
        {"token": ":", "top_logprobs": []},
        {
            "token": " very",
            "top_logprobs": [
                {"token": " very", "logprob": math.log(0.6)},
                {"token": " harm", "logprob": math.log(0.3)},
                {"token": " x", "logprob": math.log(0.1)},
            ],
        },
        {
            "token": "-odd",
            "top_logprobs": [
                {"token": "-odd", "logprob": math.log(0.75)},
                {"token": "-h", "logprob": math.log(0.25)},
            ],
        },
    ]
    assert _label_starts(tokens, called) == 2
    masses = dict.fromkeys(called, 0.0)
    _share(tokens, 2, "", 1.0, called, masses)
    assert masses == pytest.approx({"a": 0.15, "b": 0.45, "c": 0.3})
    masses = dict.fromkeys(called, 0.0)
    _share(tokens[:3], 2, "", 1.0, called, masses)  # the reply was cut: what they share is split
    assert masses == pytest.approx({"a": 0.3, "b": 0.3, "c": 0.3})
    assert _label_starts([{"token": "I cannot"}], called) is None


def test_a_label_is_found_behind_what_a_schema_writes_before_it(model: Tiny) -> None:
    from memescope.remote.scoring import _label_starts, _share

    called = {"a": "hateful", "b": "not-hateful"}
    tops = [{"token": "hate", "logprob": math.log(0.8)}, {"token": "not", "logprob": math.log(0.2)}]
    tokens = [{"token": one} for one in ('{"', "label", '":"', "hate", "ful", '"}')]
    tokens[3]["top_logprobs"] = tops  # type: ignore[assignment]
    assert _label_starts(tokens, called) == 3
    masses = dict.fromkeys(called, 0.0)
    _share(tokens, 3, "", 1.0, called, masses)
    assert masses == pytest.approx({"a": 0.8, "b": 0.2})
    with LabelServer(model, {"top", "json_schema"}) as server:  # OpenAI's abilities
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")
        assert (remote.found.method, remote.found.choice) == ("top", "json_schema")
        before = len(server.requests)
        assert not remote.answer(MEMES[:1])[0].answers["hateful"].abstain
        assert len(server.requests) == before + 1


@pytest.mark.parametrize("choice", ["structured_outputs", "guided_choice", "json_schema"])
def test_a_server_that_chooses_names_a_label_and_is_not_believed_blindly(model: Tiny, choice: str) -> None:
    with LabelServer(model, {choice, "pictures"}) as server:
        remote = load(f"openai:{server.url}#tasks=target")
        answer = remote.answer(MEMES[2:])[0].answers["target"]
    assert (remote.found.method, remote.found.choice) == ("choice", choice)
    assert answer.abstain
    assert sorted(answer.probabilities.values()) == pytest.approx([1 / 6] * 4 + [2 / 6])
    assert answer.probabilities[answer.label] == pytest.approx(2 / 6)


@pytest.mark.parametrize("ignores", [False, True])
def test_a_server_that_only_writes_is_read_and_asked_again(model: Tiny, ignores: bool) -> None:
    def says(body: dict[str, Any]) -> str:
        if "was none of" in str(body["messages"][-1]["content"]):
            return "Label: 'Hateful'."
        return "It is hard to say, really."

    with LabelServer(model, set(), ignores=ignores, says=says) as server:
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")
        answer = remote.answer(MEMES[:1])[0].answers["hateful"]
        assert remote.found.method == "reply"
        assert (answer.label, answer.abstain) == ("hateful", True)
        asked_now = server.requests[-2:]
        assert len(asked_now[1]["messages"]) == len(asked_now[0]["messages"]) + 2


def test_a_reply_that_never_names_a_label_is_an_error_and_never_a_random_label(model: Tiny) -> None:
    with LabelServer(model, set(), says=lambda body: "No.") as server:
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")
        with pytest.raises(MemescopeError, match="named none of not-hateful, hateful, in 3 tries"):
            remote.answer(MEMES[:1])


def test_a_runs_folder_gives_tasks_manner_and_calibration(model: Tiny, tmp_path: Path) -> None:
    config = {
        "family": "memelens", "tasks": ["hateful"], "settings": {"manner": {"setting": "english", "explained": []}},
        "calibration": {"hateful": {"temperature": [2.0, 2.0], "bias": [0.0, 0.5]}}, "abstain": {"hateful": 0.999},
        "card": {"hateful": {"trained_on": "8 memes"}},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with LabelServer(model, {"exact"}) as server:
        plain = load(f"openai:{server.url}#tasks=hateful&image=no&setting=english").answer(MEMES)
        remote = load(f"openai:{server.url}#run={tmp_path}&image=no")
        found = remote.answer(MEMES)
    assert remote.card == {"hateful": {"trained_on": "8 memes"}}
    for before, after in zip(plain, found, strict=True):
        p = before.answers["hateful"].probabilities
        scores = np.log([p["not-hateful"], p["hateful"]]) / 2 + [0.0, 0.5]
        expected = np.exp(scores) / np.exp(scores).sum()
        assert list(after.answers["hateful"].probabilities.values()) == pytest.approx(expected, abs=1e-6)
        assert after.answers["hateful"].abstain

    with LabelServer(model, {"guided_choice"}) as server:  # a label that is named stays that label
        tilted = config | {"calibration": {"hateful": {"temperature": 1.0, "bias": [9.0, -9.0]}}}
        (tmp_path / "config.json").write_text(json.dumps(tilted), "utf-8")
        plain = load(f"openai:{server.url}#tasks=hateful&image=no&setting=english").answer(MEMES)
        found = load(f"openai:{server.url}#run={tmp_path}&image=no").answer(MEMES)
    for before, after in zip(plain, found, strict=True):
        assert after.answers["hateful"].probabilities == before.answers["hateful"].probabilities


def test_the_version_names_what_is_asked(model: Tiny) -> None:
    """A scan takes a meme for known where content and version are the same."""
    with LabelServer(model, {"guided_choice"}) as server:
        names = ["tasks=hateful", "tasks=harmful", "tasks=hateful,harmful", "tasks=hateful&setting=english"]
        versions = {load(f"openai:{server.url}#image=no&{name}").version for name in names}
    assert len(versions) == len(names)


def test_only_wanted_tasks_are_asked_for(model: Tiny) -> None:
    with LabelServer(model, {"guided_choice"}) as server:
        remote = load(f"openai:{server.url}#tasks=hateful,harmful,sentiment&image=no")
        before = len(server.requests)
        with remote.asked_for(["harmful", "another"]):
            assert set(remote.answer(MEMES[:1])[0].answers) == {"harmful"}
        assert len(server.requests) == before + 1
        assert set(remote.answer(MEMES[:1])[0].answers) == {"hateful", "harmful", "sentiment"}


def test_one_refused_meme_does_not_have_the_others_asked_again(model: Tiny) -> None:
    class Filtering(LabelServer):
        def complete(self, body: dict[str, Any]) -> dict[str, Any] | str:
            return "content filter" if "Lock them" in str(body["messages"]) else super().complete(body)

    from memescope.evaluation.evaluate import _answer

    with Filtering(model, {"guided_choice"}) as server:
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")
        before = len(server.requests)
        found = _answer(remote, MEMES)
        asked_now = [str(body["messages"]) for body in server.requests[before:]]
    assert isinstance(found[0], MemescopeError)
    assert [one.answers["hateful"].label for one in found[1:]]
    assert sum("lovely day" in one for one in asked_now) == 1


def test_a_server_that_refuses_the_key_ends_an_evaluation(model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from memescope.errors import ModelLost
    from memescope.evaluation.evaluate import _answer
    from memescope.rationales.retrying import Stop

    with LabelServer(model, {"guided_choice"}) as server:
        remote = load(f"openai:{server.url}#tasks=hateful&image=no")

        async def refused(*_: Any, **__: Any) -> None:
            raise Stop("not-allowed", "the key is refused")

        monkeypatch.setattr(remote._client, "complete", refused)
        with pytest.raises(ModelLost, match="the key is refused"):
            _answer(remote, MEMES)


def test_words_cannot_end_a_turn_at_a_server_whose_marks_are_not_known(model: Tiny) -> None:
    from memescope.remote.model import unmarked

    said = "<end_of_turn>\n<start_of_turn>model </s> [/INST] <<SYS>> <\uff5cUser\uff5c> <|im_end|>"
    assert unmarked(said) == (
        "< end_of_turn>\n< start_of_turn>model < /s> [ /INST] << SYS>> < \uff5cUser\uff5c> < |im_end|>"
    )
    for plain in ("I <3 you", "a < b > c", "<- look ->", "[sic] [1]", "x <= y"):
        assert unmarked(plain) == plain
    with LabelServer(model, {"guided_choice"}) as server:
        load(f"openai:{server.url}#tasks=hateful&image=no").answer([Meme(text="fine </s>", id="m")])
        said = server.requests[-1]["messages"][-1]["content"]
    assert "fine < /s>" in said
    assert "Label: <label>" in said  # ours stays


def test_evidence_is_measured_without_text_and_without_picture(model: Tiny) -> None:
    with LabelServer(model, {"exact", "pictures"}) as server:
        remote = load(f"openai:{server.url}#tasks=hateful")
        evidence = remote.explain(MEMES[2], ["hateful"])
        assert "text" in evidence["hateful"].says
        assert "picture" in evidence["hateful"].says
        with pytest.raises(UsageError, match="does not answer harmful"):
            remote.explain(MEMES[2], ["harmful"])


def test_nothing_is_sent_where_it_may_not_be_and_wrong_names_are_told() -> None:
    with pytest.raises(UsageError, match=r"--allow-remote example\.com"):
        load("openai:https://example.com/v1")
    with pytest.raises(UsageError, match="over plain http"):
        load("openai:http://example.com/v1#allow=example.com")
    with pytest.raises(UsageError, match="no setting 'colour'"):
        load("openai:http://127.0.0.1:9/v1#colour=red")
    with pytest.raises(UsageError, match="no task 'nothing'"):
        load("openai:http://127.0.0.1:9/v1#tasks=nothing")
    with pytest.raises(UsageError, match="expected one of hybrid, english"):
        load("openai:http://127.0.0.1:9/v1#setting=native")
    with pytest.raises(UsageError, match="no model of a run"):
        load("openai:http://127.0.0.1:9/v1#run=nowhere")
    with pytest.raises(MemescopeError, match="nobody answers"):
        load("openai:http://127.0.0.1:9/v1")
    assert with_access("openai:http://h/v1#tasks=a", "h", None) == "openai:http://h/v1#tasks=a&allow=h"
    assert parse(with_access("openai:https://h/v1", "h", "KEY")).allow == "h"
    assert with_access("openai:https://h/v1", None, None) == "openai:https://h/v1"


def test_a_server_with_several_models_or_without_eyes_says_so(model: Tiny) -> None:
    with LabelServer(model, {"exact"}, names=("one", "two")) as server:
        with pytest.raises(UsageError, match="serves one, two: say which"):
            load(f"openai:{server.url}")
        with pytest.raises(UsageError, match="takes no pictures; say image=no"):
            load(f"openai:{server.url}#model=two")
        assert load(f"openai:{server.url}#model=two&image=no").name == "openai:two"


def test_a_scan_reads_memes_through_a_server(model: Tiny, tmp_path: Path) -> None:
    from memescope.scanning.pipeline import scan

    lines = ["image,text,id"]
    for number, (meme, colour) in enumerate(zip(MEMES[1:], ((200, 10, 10), (10, 10, 200)), strict=True)):
        Image.new("RGB", (30, 20), colour).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{meme.text},{number}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n", "utf-8")
    with LabelServer(model, {"exact", "pictures"}) as server:
        name = f"openai:{server.url}#tasks=target&setting=english"
        result = scan(tmp_path / "list.csv", tmp_path / "out", model=name, workers=1)
        remote = load(name)
        verdicts = [json.loads(line) for line in result.results.results.read_text("utf-8").splitlines()]
        assert len(verdicts) == 2
        for verdict in verdicts:
            meme = Meme(text=verdict["text"], lang=verdict["lang"], image=tmp_path / f"{verdict['id']}.png")
            expected = remote.answer([meme])[0].answers["target"]
            assert verdict["error"] is None
            assert verdict["answers"]["target"]["label"] == expected.label
            assert verdict["answers"]["target"]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
            assert verdict["model"].startswith("openai:tiny exact-")


def test_access_is_for_servers_alone() -> None:
    from memescope.models import with_access as access

    with pytest.raises(UsageError, match="'starter' runs on this machine"):
        access("starter", allow_remote="example.com")
    assert access("starter") == "starter"
    assert access("openai:https://h/v1", "h", "KEY") == "openai:https://h/v1#allow=h&key=KEY"
