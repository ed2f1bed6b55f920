"""One plain sentence that tells what an answer rests on. It states measured effects and gives no reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memescope.meme import Region, Span

SMALL = 0.05
"""An effect on the probability below this is called small."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The probability of the answered label with everything there, and with a part taken out; None: no such part.

    `words` and `regions` are those the sentence names, and `without_words` and `without_regions` the probability with
    all of them taken out at once.
    """

    probability: float
    words: Sequence[Span] = ()
    without_words: float | None = None
    regions: Sequence[Region] = ()
    without_regions: float | None = None
    without_text: float | None = None
    without_picture: float | None = None


def says(label: str, effects: Effects) -> str:
    """For example: Rests on the words “x” and “y” (without them P(harmful) falls from .83 to .41); the picture matters
    little (without it .80).

    An effect counts when the probability falls by at least `SMALL`. Parts that were not measured are not mentioned.
    """
    p = effects.probability
    grounds, beside = [], []
    if effects.words and effects.without_words is not None and p - effects.without_words >= SMALL:
        them = "it" if len(_distinct(effects.words)) == 1 else "them"
        grounds.append(f"{_words(effects.words)} (without {them} {_change(label, p, effects.without_words)})")
    elif effects.without_text is not None and p - effects.without_text >= SMALL:
        grounds.append(f"the text as a whole (without it {_change(label, p, effects.without_text)})")
    elif effects.without_text is not None:
        beside.append(_minor("text", label, p, effects.without_text))
    if effects.regions and effects.without_regions is not None and p - effects.without_regions >= SMALL:
        grounds.append(
            f"{_places(effects.regions)} (without {_it(effects.regions)} {_change(label, p, effects.without_regions)})"
        )
    elif effects.without_picture is not None and p - effects.without_picture >= SMALL:
        grounds.append(f"the picture as a whole (without it {_change(label, p, effects.without_picture)})")
    elif effects.without_picture is not None:
        beside.append(_minor("picture", label, p, effects.without_picture))
    if grounds:
        return f"Rests on {' and on '.join(grounds)}{''.join(f'; {part}' for part in beside)}."
    start = f"No single part lowers P({label}), {number(p)}, by {number(SMALL)} or more"
    return f"{start}{''.join(f'; {part}' for part in beside)}."


def number(p: float) -> str:
    """A probability as two digits without the leading zero: .83; 1.00 stays."""
    return f"{p:.2f}".removeprefix("0")


def place(region: Region) -> str:
    """Where a region's middle lies, by thirds: "upper left", "middle", "lower part" ..."""
    row = ("upper", "", "lower")[min(int((region.y + region.height / 2) * 3), 2)]
    column = ("left", "", "right")[min(int((region.x + region.width / 2) * 3), 2)]
    if row and column:
        return f"{row} {column}"
    return f"{row or column} part" if row or column else "middle"


def _change(label: str, before: float, after: float) -> str:
    return f"P({label}) falls from {number(before)} to {number(after)}"


def _minor(part: str, label: str, before: float, after: float) -> str:
    if after - before >= SMALL:
        return f"the {part} speaks against it (without it P({label}) rises to {number(after)})"
    return f"the {part} matters little (without it {number(after)})"


def _it(regions: Sequence[Region]) -> str:
    return "it" if len({place(region) for region in regions}) == 1 else "them"


def _distinct(words: Sequence[Span]) -> list[str]:
    """Each word once, whatever its case, spaces inside a run made single."""
    first: dict[str, str] = {}
    for word in words:
        text = " ".join(word.text.split())
        first.setdefault(text.casefold(), text)
    return list(first.values())


def _words(words: Sequence[Span]) -> str:
    quoted = [f"“{text}”" for text in _distinct(words)]
    return f"the word {quoted[0]}" if len(quoted) == 1 else f"the words {_list(quoted)}"


def _places(regions: Sequence[Region]) -> str:
    return f"the {_list(list(dict.fromkeys(place(region) for region in regions)))} of the picture"


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
