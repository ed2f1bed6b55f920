"""What a rationale must be beyond its form: long enough, its own words, in the right language, silent where it must be.

Each rule answers with an `Invalid` that names the fault, or with None. Rules look for gross faults that no reader would
accept; whether a rationale is true to its meme is the business of an audit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memescope.meme import Label
from memescope.rationales.naming import named_labels
from memescope.rationales.replies import Invalid
from memescope.taxonomy.tasks import Task

_REFUSALS = (
    r"(?:i['’]?m|i am|we are|we're)\s+(?:really |very |so )?(?:sorry|unable|not able|not comfortable)",
    r"(?:sorry|apologies|unfortunately)\b[,. ]",
    r"i\s+(?:can(?:no|['’])t|can not|won['’]t|will not|must decline)",
    r"as an?\s+(?:ai|artificial|language model|assistant)",
    r"(?:this|the)\s+request\s+(?:violates|goes against)",
    r"(?:lo siento|no puedo|als ki|es tut mir leid|ich kann (?:das )?nicht|je suis désolé|je ne peux pas|imi pare rău)",
    r"(?:извините|я не могу|к сожалению|मुझे खेद है|मैं .{0,20}नहीं कर सकता|দুঃখিত|抱歉|对不起|很抱歉|我无法)",
    r"(?:آسف|عذرا|لا أستطيع)",
)
_REFUSAL = re.compile(rf"^\W*(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?。！？।؟]+[.!?。！？।؟]*")
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")
_REPEATED = 3
"""A sentence that stands so often makes a text a loop."""
_DIFFERENT, _FEWEST = 0.7, 12
"""Share of a text's runs of three words that are different, below which it is a loop, if it has so many. The lowest of
the 3190 published Harm-C rationales is at .80, of the parts of 1037 Twitter-2015 chains at .81."""

_SHORT = 12
"""Words that a rewrite of any text may have."""


@dataclass(frozen=True)
class Rules:
    """What a prompt asks of one text. Words of Chinese, Japanese and Thai count as two characters each."""

    min_words: int = 0
    max_words: int = 10_000
    sentences: tuple[int, int] | None = None
    forbid_label: bool = False


def words_in(text: str) -> int:
    """The number of words, where two characters of a script without spaces are one."""
    spaceless = len(_SPACELESS.findall(text))
    return len(re.findall(r"\w+(?:['’-]\w+)*", _SPACELESS.sub(" ", text))) + (spaceless + 1) // 2


def sentences_in(text: str) -> list[str]:
    """The sentences of a text, trimmed; what has no letter is none."""
    return [s.strip() for s in _SENTENCE.findall(text) if re.search(r"\w", s)]


def whole_sentences(text: str) -> str:
    """Prose that was cut off, up to its last full sentence; empty where there is none, or where it is no prose."""
    if text.lstrip().startswith(("{", "[", "<", "`")):
        return ""
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)|[。！？।؟]", text)]
    return text[: ends[-1]] if ends else ""


def broken_rule(
    text: str,
    rules: Rules,
    *,
    task: Task | None = None,
    label: Label | None = None,
    meme_text: str = "",
    lang: str | None = None,
) -> Invalid | None:
    """The first rule that `text` breaks. `lang` is the language asked for."""
    if _REFUSAL.search(text):
        return Invalid("refusal", "the reply declined; the question serves moderation and may be answered")
    if (count := words_in(text)) < rules.min_words:
        return Invalid("too-short", f"the reply was too short; write at least {rules.min_words} words")
    if count > rules.max_words:
        return Invalid("too-long", f"the reply was too long; write at most {rules.max_words} words")
    sentences = sentences_in(text)
    if _loops(text):
        return Invalid("repetition", "the reply repeated itself")
    if rules.sentences and not rules.sentences[0] <= len(sentences) <= rules.sentences[1]:
        low, high = rules.sentences
        return Invalid("sentences", f"write {low} to {high} sentences")
    if meme_text and _squeezed(text) == _squeezed(meme_text):
        return Invalid("copied", "the reply was the meme's own text; give reasons in your own words")
    if rules.forbid_label and task and named_labels(text, task, label, exempt=meme_text):
        return Invalid("names-label", "the reply named the label; give the reasons without it or words like it")
    if lang and not _in_language(text, lang):
        return Invalid("language", f"the reply was not in the language asked for ({lang})")
    return None


def same_rewrites(rewrites: Sequence[str], source: str) -> Invalid | None:
    """What is wrong with several rewrites of one text as a whole: two that are the same, or of another length.

    A rewrite may be three times as long as its source, or a third; texts under `_SHORT` words may be that long.
    """
    if len({_squeezed(text) for text in rewrites}) < len(rewrites):
        return Invalid("copied", "two of the texts were the same; write each in other words")
    words = words_in(source)
    if any(words_in(text) > max(3 * words, _SHORT) or 3 * words_in(text) < words for text in rewrites):
        return Invalid("length", "a text was much longer or shorter than the one to rewrite; keep about its length")
    return None


def copies(text: str, others: Sequence[str]) -> bool:
    """Whether a sentence of five words or more stands in one of the other texts word for word."""
    known = {_squeezed(sentence) for other in others for sentence in sentences_in(other)}
    return any(_squeezed(sentence) in known for sentence in sentences_in(text) if words_in(sentence) >= 5)


def _loops(text: str) -> bool:
    told = [_squeezed(sentence) for sentence in sentences_in(text) if words_in(sentence) > 2]
    words = _squeezed(text).split()
    threes = list(zip(words, words[1:], words[2:], strict=False))
    loops = len(threes) >= _FEWEST and len(set(threes)) < _DIFFERENT * len(threes)
    return loops or any(told.count(one) >= _REPEATED for one in set(told))


def _squeezed(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _in_language(text: str, lang: str) -> bool:
    """Whether the text is in `lang`, or too unclear to say."""
    from memescope.perception.language import detect

    return detect(text) in (lang, "und")
