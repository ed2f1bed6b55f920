"""Which language a text is in: by its script where that settles it, else by py3langid among the script's languages.

Memes are short and loud. A wrong language is worse than none, so a text whose best guess is not clearly ahead gets
"und".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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
SURE = 0.5
"""Probability below which the answer is "und"."""
FEWEST_LETTERS = 4


def detect(text: str) -> str:
    """The ISO 639-1 code of the text's language, or "und" where it is too short, mixed or unclear."""
    script = script_of(text)
    if script in ONE_LANGUAGE:
        return ONE_LANGUAGE[script]
    if script not in CANDIDATES or script_counts(text)[script] < FEWEST_LETTERS:
        return "und"
    chances = {code: chance for code, chance in _identifier().rank(text) if code in CANDIDATES[script]}
    best = max(chances, key=chances.__getitem__)
    return best if chances[best] >= SURE * sum(chances.values()) else "und"


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """py3langid's model, opened once (0.8 s) and only for scripts of several languages."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
