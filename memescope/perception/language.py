"""Which language a text is in: by its script where that settles it, else by py3langid among the script's languages.

Memes are short and loud. A wrong language is worse than none, so a text whose best guess is not clearly ahead gets
"und".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from memescope.perception.cleaning import clean
from memescope.perception.scripts import script_counts, script_of

ONE_LANGUAGE = {
    "Hani": "zh", "Jpan": "ja", "Hang": "ko", "Beng": "bn", "Guru": "pa", "Gujr": "gu", "Taml": "ta", "Telu": "te",
    "Knda": "kn", "Mlym": "ml", "Sinh": "si", "Thai": "th", "Mymr": "my", "Geor": "ka", "Armn": "hy", "Grek": "el",
    "Hebr": "he", "Khmr": "km", "Ethi": "am",
}  # fmt: skip
"""Scripts that (nearly) one language uses: the script is the answer."""
CANDIDATES = {
    "Latn": (
        "en", "de", "es", "fr", "it", "pt", "nl", "ro", "pl", "cs", "sk", "hu", "tr", "id", "ms", "tl", "vi", "sv",
        "da", "no", "fi", "hr", "sl", "sq", "lt", "lv", "et", "ca", "sw", "is",
    ),
    "Cyrl": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "mn"),
    "Arab": ("ar", "fa", "ur", "ps"),
    "Deva": ("hi", "mr", "ne"),
}  # fmt: skip
"""Languages told apart within a script; others written in it are taken for their nearest kin, or not known."""
SURE = 0.45
"""Probability below which the answer is "und"."""
FEWEST_LETTERS = 4
ENGLISH = frozenset({
    "the", "you", "your", "you're", "they", "their", "this", "that", "that's", "what", "what's", "when", "who", "why",
    "how", "with", "would", "could", "should", "because", "don't", "doesn't", "didn't", "can't", "isn't", "i'm", "it's",
    "he's", "she's", "we're", "were", "are", "have", "has", "had", "his", "her", "my", "our", "from", "for", "but",
    "and", "not", "just", "about", "after", "before", "every", "where", "which", "been", "being", "there", "these",
})  # fmt: skip
ALSO_ENGLISH = frozenset({
    "a", "i", "of", "to", "is", "it", "in", "on", "if", "be", "do", "will", "all", "like", "get", "me", "as", "at",
})  # fmt: skip
"""Words of English that are hardly words elsewhere, and common ones that are. Most memes are told by these, and the
model stays closed."""


def detect(text: str) -> str:
    """The ISO 639-1 code of the text's language, or "und" where it is too short, mixed or unclear.

    Case, site marks and addresses do not matter.
    """
    text = clean(text).lower()
    script = script_of(text)
    if script in ONE_LANGUAGE:
        return ONE_LANGUAGE[script]
    if script not in CANDIDATES or script_counts(text)[script] < FEWEST_LETTERS:
        return "und"
    if script == "Latn" and _plainly_english(text):
        return "en"
    chances = {code: chance for code, chance in _identifier().rank(text) if code in CANDIDATES[script]}
    best = max(chances, key=chances.__getitem__)
    return best if chances[best] >= SURE * sum(chances.values()) else "und"


def _plainly_english(text: str) -> bool:
    """At least three different common words, a third of all, one of them of English alone."""
    words = [word.strip(".,!?:;()\"“”'*-") for word in text.replace("’", "'").split()]
    telling = [word for word in words if word in ENGLISH or word in ALSO_ENGLISH]
    return len(set(telling)) >= 3 and 3 * len(telling) >= len(words) and not ENGLISH.isdisjoint(telling)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """py3langid's model, opened once (most of a second) and only where it is needed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
