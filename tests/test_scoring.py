"""Constrained scoring against brute force: every label string run whole through the model, one by one, in float64."""

from __future__ import annotations

import random
from typing import Any

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # matrices this small only wait for other threads

from memescope.errors import UsageError  # noqa: E402
from memescope.models.prefix import CausalPrefix, EncodedPrefix  # noqa: E402
from memescope.models.scoring import Question, Scorer, answers, ask, calibrated, probabilities  # noqa: E402
from memescope.models.tree import Tree  # noqa: E402
from memescope.models.writing import write  # noqa: E402
from memescope.taxonomy.tasks import Task, load_taxonomy  # noqa: E402

END = 1
Rows = list[list[int]]


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from memescope.backbones.language import load_language_model

    folder = tmp_path_factory.mktemp("lms")
    made = {"decoder": tiny.llama(folder / "llama"), "seq2seq": tiny.t5(folder / "t5")}
    return {kind: load_language_model(path, dtype="float64").model for kind, path in made.items()}


def prefix(lm: Any, prompts: Rows, left: bool = False) -> Any:
    """Prompts padded to one length on either side, read."""
    longest = max(map(len, prompts))
    ids, mask = [], []
    for row in prompts:
        gap = [7] * (longest - len(row))  # a token like any other: only the mask tells that it is padding
        ids.append(gap + row if left else row + gap)
        mask.append([0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap))
    inputs, seen = torch.tensor(ids), torch.tensor(mask)
    if lm.config.is_encoder_decoder:
        return EncodedPrefix(lm, lm.encoder(input_ids=inputs, attention_mask=seen).last_hidden_state, seen)
    return CausalPrefix(lm, {"input_ids": inputs}, seen, {})


def brute(lm: Any, prompt: list[int], given: list[int], answer: list[int]) -> list[float]:
    """The log-probability of each token of an answer, the whole sequence run by itself."""
    with torch.no_grad():
        if lm.config.is_encoder_decoder:
            logits = lm(
                input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0, *given, *answer]])
            ).logits[0, len(given) :]
        else:
            logits = lm(input_ids=torch.tensor([[*prompt, *given, *answer]])).logits[0, len(prompt) + len(given) - 1 :]
    return [float(logits[i].log_softmax(-1)[token]) for i, token in enumerate(answer)]


def question(task: str, parts: list[tuple[list[int], Rows]], multilabel: bool = False) -> Question:
    names = tuple(f"l{i}" for i in range(len(parts) if multilabel else len(parts[0][1])))
    return Question(task, names, multilabel, tuple((tuple(g), tuple(map(tuple, a))) for g, a in parts))


PROMPTS = [[5, 9, 30, 11], [40, 3], [8, 8, 100, 61, 12, 9, 77], [200]]
# several tokens, shared first tokens, a label of one token
SINGLE = question("one", [([21, 22, 23], [[30], [31, 32, 33], [31, 32, 40, 41, 42], [31, 50]])])
OTHER = question("two", [([21, 60], [[70, 71], [72]])])
MULTI = question("many", [([21, 80, 81], [[90], [91]]), ([21, 80, 82], [[90], [91]])], multilabel=True)


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
@pytest.mark.parametrize("length", ["sum", "mean"])
def test_scores_are_those_of_whole_sequences(lms: dict[str, Any], kind: str, length: Any) -> None:
    lm = lms[kind]
    found = Scorer([SINGLE, OTHER, MULTI], length)(prefix(lm, PROMPTS))
    for row, prompt in enumerate(PROMPTS):

        def score(given: Any, answer: Any, prompt: list[int] = prompt) -> float:
            each = brute(lm, prompt, list(given), list(answer))
            return sum(each) / (1 if length == "sum" else len(each))

        for asked in (SINGLE, OTHER):
            given, choices = asked.parts[0]
            assert found[asked.task][row].tolist() == pytest.approx([score(given, a) for a in choices], abs=1e-9)
        yes_less_no = [score(given, choices[1]) - score(given, choices[0]) for given, choices in MULTI.parts]
        assert found["many"][row].tolist() == pytest.approx(yes_less_no, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_batch_size_order_and_padding_side_change_nothing(lms: dict[str, Any], kind: str, data: st.DataObject) -> None:
    tokens = st.integers(2, 250)
    prompts = data.draw(st.lists(st.lists(tokens, min_size=1, max_size=9), min_size=1, max_size=5))
    labels = data.draw(
        st.lists(st.lists(tokens, min_size=1, max_size=4).map(tuple), min_size=2, max_size=5, unique=True)
    )
    lead = data.draw(st.lists(tokens, max_size=3))
    scorer = Scorer([question("any", [(lead, [[*label, END] for label in labels])])])
    alone = torch.cat([scorer(prefix(lms[kind], [prompt]))["any"] for prompt in prompts])
    order = list(range(len(prompts)))
    random.Random(len(labels)).shuffle(order)
    together = scorer(prefix(lms[kind], [prompts[i] for i in order], left=data.draw(st.booleans())))["any"]
    torch.testing.assert_close(together, alone[order], atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_float32_and_many_rows_through_the_vocabulary_in_pieces(
    lms: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Scorer([SINGLE, MULTI])(prefix(lms[kind], PROMPTS))
    monkeypatch.setattr("memescope.models.prefix.HEAD_ROWS", 3)
    single = Scorer([SINGLE, MULTI])(prefix(lms[kind].float(), PROMPTS))
    lms[kind].double()
    for task, table in exact.items():
        assert float((single[task] - table).detach().abs().max()) < 1e-4


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_scoring_leaves_the_prefix_as_it_was_and_gradients_flow(lms: dict[str, Any], kind: str) -> None:
    scorer = Scorer([SINGLE])
    held = prefix(lms[kind], PROMPTS)
    first, second = scorer(held)["one"], scorer(held)["one"]
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    weight = lms[kind].get_input_embeddings().weight
    (found,) = torch.autograd.grad(first.log_softmax(-1)[:, 0].sum(), weight)
    at = (PROMPTS[0][0], 3)
    step = 1e-5
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[at] += sign * step
            losses.append(float(scorer(prefix(lms[kind], PROMPTS))["one"].log_softmax(-1)[:, 0].sum()))
            weight[at] -= sign * step
    # the norms of transformers pass through float32, which is what limits the difference quotient
    assert float(found[at]) == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=2e-2, rel=2e-2)


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_writing_is_the_likeliest_token_again_and_again(lms: dict[str, Any], kind: str) -> None:
    lm, lead, longest = lms[kind], [21, 22], 9

    def alone(prompt: list[int], ends: set[int]) -> list[int]:
        written: list[int] = []
        while len(written) < longest:
            with torch.no_grad():
                if lm.config.is_encoder_decoder:
                    ids = torch.tensor([[0, *lead, *written]])
                    logits = lm(input_ids=torch.tensor([prompt]), decoder_input_ids=ids).logits[0, -1]
                else:
                    logits = lm(input_ids=torch.tensor([[*prompt, *lead, *written]])).logits[0, -1]
            if int(logits.argmax()) in ends:
                break
            written.append(int(logits.argmax()))
        return written

    rng = random.Random(0)
    prompts = [[rng.randrange(2, 250) for _ in range(rng.randrange(1, 9))] for _ in range(12)]
    free = [alone(prompt, set()) for prompt in prompts]
    ends = {free[0][0], free[3][2], free[6][4]}  # a random model never ends by itself
    expected = [alone(prompt, ends) for prompt in prompts]
    assert len({len(row) for row in expected}) > 1  # some end early, so the batch shrinks
    for left in (False, True):
        assert write(prefix(lm, prompts, left), lead, ends, longest) == expected


def test_a_shared_token_is_one_node_and_only_what_is_needed_is_read() -> None:
    tree = Tree()
    assert tree.add([1, 2], [3]) == [2]
    assert tree.add([1, 2], [4, 5, 6]) == [3, 4, 5]
    assert tree.add([1, 2], [4, 7]) == [3, 6]
    assert tree.tokens == [1, 2, 3, 4, 5, 6, 7]
    assert tree.parents == [-1, 0, 1, 1, 3, 4, 3]
    assert tree.depth == [0, 1, 2, 2, 3, 4, 3]
    assert tree.read == [0, 1, 3, 4]  # the last token of a label is never read
    assert tree.ancestors().int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert tree.trunk_and_paths() == ([0, 1, 3, 4], [])
    tree.add([1, 9], [3, 3])
    assert tree.trunk_and_paths() == ([0], [[1, 3, 4], [7, 8]])


def characters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_a_label_that_begins_another_gets_an_end() -> None:
    task = Task("t", "multiclass", "safety", ("none", "nonesuch", "other"), "")
    (given, choices), *rest = ask(task, "Is:", characters, END).parts
    assert not rest
    assert given == tuple(characters("Is:"))
    assert choices == (
        (*tuple(characters(" none")), END),
        (*tuple(characters(" nonesuch")), END),
        (*tuple(characters(" other")), END),
    )
    apart = Task("t", "multiclass", "safety", ("harmful", "not-harmful"), "")
    assert ask(apart, "Is:", characters, END).parts[0][1] == (
        tuple(characters(" harmful")),
        tuple(characters(" not-harmful")),
    )


def test_multilabel_is_a_yes_no_question_for_each_label() -> None:
    task = Task("t", "multilabel", "safety", ("smears", "doubt"), "")
    asked = ask(task, "Uses {label}?", characters, END)
    assert [given for given, _ in asked.parts] == [tuple(characters("Uses smears?")), tuple(characters("Uses doubt?"))]
    assert asked.parts[0][1] == (tuple(characters(" no")), tuple(characters(" yes")))
    with pytest.raises(UsageError, match=r"\{label\}"):
        ask(task, "Which?", characters, END)


def test_labels_that_cannot_be_told_apart_are_refused() -> None:
    task = Task("t", "multiclass", "safety", ("a", "b"), "")
    with pytest.raises(UsageError, match="same tokens"):
        ask(task, "", lambda text: [0], END)
    with pytest.raises(UsageError, match="sum or mean"):
        Scorer([SINGLE], "median")  # type: ignore[arg-type]


def test_calibration_and_answers_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    entry = {"temperature": 2.0, "bias": [0.5, -0.5]}
    assert calibrated(scores, entry).tolist() == [[1.0, 1.0]]
    assert probabilities(scores, False, entry).tolist() == [[0.5, 0.5]]
    assert probabilities(scores, True, {"bias": [-1.0, -3.0]}).tolist() == [[0.5, 0.5]]
    asked = question("one", [([1], [[2], [3]])])
    (answer,) = answers(asked, torch.tensor([[0.3, 0.7]]), least=0.6)
    assert (answer.label, answer.abstain) == ("l1", False)
    assert list(answer.probabilities) == ["l0", "l1"]
    assert answers(asked, torch.tensor([[0.3, 0.7]]), least=0.8)[0].abstain
    assert answers(asked, torch.tensor([[0.0, 1.0]]), least=None)[0].abstain
    (several,) = answers(MULTI, torch.tensor([[0.2, 0.9]]))
    assert several.label == ["l1"]


@settings(max_examples=20, deadline=None)
@given(scores=st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4))
def test_answers_are_always_labels_of_the_task(scores: list[float]) -> None:
    task = load_taxonomy()["target"]
    asked = ask(task, "The answer is:", characters, END)
    table = probabilities(torch.tensor([[*scores, 0.0]], dtype=torch.float64), False)
    (answer,) = answers(asked, table)
    assert answer.label in task.labels
    assert tuple(answer.probabilities) == task.labels
    assert sum(answer.probabilities.values()) == pytest.approx(1)
