"""Invented, harmless verdicts with awkward content: what the report and the tables must show as it is and survive."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator

from memescope.meme import Answer, Evidence, Region, Span, Verdict

CAPTIONS = {
    "en": [
        "when the code compiles the first time",
        "nobody: absolutely nobody: my cat at 3 am",
        "me explaining the printer to grandma",
    ],
    "de": ["wenn der Zug pünktlich ist", "Montag. Schon wieder Montag."],
    "es": ["cuando el perro aprende a abrir la nevera", "yo después de un café"],
    "zh": ["当猫发现了键盘", "周一早上的我"],
    "hi": ["जब बिल्ली कीबोर्ड पर सो जाए", "सोमवार फिर आ गया"],
    "ar": ["عندما تكتشف القطة لوحة المفاتيح", "صباح يوم الاثنين مرة أخرى"],
}
TARGETS = ["none", "individual", "organization", "community", "society"]
TECHNIQUES = [
    "appeal-to-fear",
    "loaded-language",
    "name-calling",
    "smears",
    "slogans",
    "transfer",
    "doubt",
    "whataboutism",
]
HALVES = [Region(0, 0, 1, 0.5, 1.5), Region(0, 0.5, 1, 0.5, -0.5)]
POLICY = "harmful: “harmful” at 70 % or more is flagged"


def binary(negative: str, positive: str, p: float, unsure: bool | None = None) -> Answer:
    """A yes-or-no answer; not sure between 40 and 60 % unless said otherwise."""
    label = positive if p >= 0.5 else negative
    return Answer(label, {negative: 1 - p, positive: p}, abstain=abs(p - 0.5) < 0.1 if unsure is None else unsure)


def softmax(labels: list[str], rng: random.Random, sharpness: float = 2.0) -> dict[str, float]:
    """Invented probabilities that sum to 1."""
    weights = [math.exp(sharpness * rng.gauss(0, 1)) for _ in labels]
    return {label: weight / sum(weights) for label, weight in zip(labels, weights, strict=True)}


def several(labels: list[str], rng: random.Random) -> Answer:
    """An invented multilabel answer: every label with a probability of its own."""
    p = {label: rng.betavariate(0.5, 3) for label in labels}
    return Answer([label for label in labels if p[label] >= 0.5], p, abstain=any(0.4 < one < 0.6 for one in p.values()))


def answers(rng: random.Random) -> dict[str, Answer]:
    """Nine tasks of every kind."""
    target, feeling = softmax(TARGETS, rng), softmax(["negative", "neutral", "positive"], rng)
    return {
        "harmful": binary("not-harmful", "harmful", rng.betavariate(0.6, 2)),
        "hateful": binary("not-hateful", "hateful", rng.betavariate(0.5, 4)),
        "offensive": binary("not-offensive", "offensive", rng.betavariate(1, 2)),
        "humour": binary("not-funny", "funny", rng.betavariate(4, 2)),
        "sarcasm": binary("not-sarcastic", "sarcastic", rng.betavariate(3, 2)),
        "motivational": binary("not-motivational", "motivational", rng.betavariate(1, 3)),
        "target": Answer(max(target, key=target.__getitem__), target, abstain=max(target.values()) < 0.6),
        "sentiment": Answer(max(feeling, key=feeling.__getitem__), feeling, abstain=max(feeling.values()) < 0.6),
        "propaganda_techniques": several(TECHNIQUES, rng),
    }


def word_spans(text: str, rng: random.Random) -> list[Span]:
    """Every word with an invented weight, at its true place."""
    spans, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        spans.append(Span(word, at, at + len(word), round(rng.gauss(0.2, 0.6), 3)))
        at += len(word)
    return spans


def fake_verdicts(n: int, seed: int = 0) -> Iterator[Verdict]:
    """`n` verdicts, the same for the same seed; about one in nine repeats an earlier one and one in fifty failed."""
    rng = random.Random(seed)
    for i in range(n):
        name = f"m{i:05d}"
        if i % 50 == 49:
            yield Verdict(
                name, f"memes/broken-{i}.png", action="review", error="the file ends in the middle (truncated PNG)"
            )
            continue
        lang = rng.choices(list(CAPTIONS), [12, 2, 2, 2, 1, 2])[0]
        text = f"{rng.choice(CAPTIONS[lang])}\n{i}"
        found = answers(rng)
        p = found["harmful"].probabilities["harmful"]
        action = "flag" if p > 0.7 else "review" if found["harmful"].abstain else "pass"
        evidence = {}
        if action != "pass":
            for task in ("harmful", "hateful"):
                cells = [(x / 4, y / 4) for x in range(4) for y in range(4)]
                grid = [Region(x, y, 0.25, 0.25, round(rng.gauss(0, 0.5), 3)) for x, y in cells]
                regions = sorted(grid, key=lambda region: -abs(region.weight))[:3]
                says = f"Without its words “{task}” falls from {p:.2f} to {p / 2:.2f}; the picture matters little."
                evidence[task] = Evidence(word_spans(text, rng), regions, says)
        yield Verdict(
            name,
            f"memes/{lang}/picture {i}.jpg",
            text=text,
            ocr_text=text if i % 3 else None,
            lang=lang,
            answers=found,
            evidence=evidence,
            duplicate_of=f"m{i - i % 9:05d}" if i % 9 == 4 and (i - i % 9) % 50 != 49 else None,
            duplicate_kind="re-encoded" if i % 9 == 4 and (i - i % 9) % 50 != 49 else None,
            same_picture_as="m00000" if i == 5 else None,
            action=action,  # type: ignore[arg-type]
            because=[f"harmful {p:.2f}: {POLICY}"] if action != "pass" else [],
            model="invented 1.0",
            taxonomy="1",
        )


INJECTIONS = [
    "<img src=x onerror=\"document.title='pwned'\">",
    "</script><script>document.title='pwned'</script>",
    "<!--<script>document.title='pwned'</script>",
    "]]><svg onload=document.title='pwned'>",
    "javascript:document.title='pwned'",
    "{{script}} {{data}} ${document.title='pwned'}",
    "<a href=//example.org/leak>x</a><link rel=stylesheet href=//example.org/a.css>",
    "<style>@import '//example.org/b.css'; body { background: url(//example.org/c.png) }</style>",
    "line separator \u2028 and paragraph separator \u2029 document.title='pwned'",
]


def awkward_verdicts() -> list[Verdict]:
    """One verdict for each thing that has broken a report somewhere."""
    rng = random.Random(1)
    emoji = "😀 👨‍👩‍👧 joy\nof 🐈 cats"
    arabic = CAPTIONS["ar"][0]
    hostile = [
        Verdict(
            f"hostile-{i}",
            f"{text}.png",
            text=text,
            ocr_text=text,
            lang="en",
            answers=answers(rng),
            because=[text],
            action="flag",
            evidence={"harmful": Evidence(word_spans(text, rng), [], text)},
        )
        for i, text in enumerate(INJECTIONS)
    ]
    return [
        *hostile,
        Verdict(
            "emoji",
            "emoji.png",
            text=emoji,
            ocr_text=emoji,
            lang="en",
            answers=answers(rng),
            action="flag",
            evidence={
                "harmful": Evidence(
                    word_spans(emoji, rng), [Region(0, 0, 1, 0.5, 1.5), Region(0, 0.5, 1, 0.5, -0.5)], "Rests on words."
                )
            },
        ),
        Verdict(
            "arabic",
            "صورة.png",
            text=arabic,
            ocr_text=arabic,
            lang="ar",
            answers=answers(rng),
            action="review",
            evidence={"hateful": Evidence(word_spans(arabic, rng), [], "")},
        ),
        Verdict("long", "long.png", text="a very long text " * 3000, ocr_text="other text read", answers=answers(rng)),
        Verdict("one-word", "one-word.png", text="w" * 5000, answers=answers(rng)),
        Verdict("empty", "", text="", ocr_text=""),
        Verdict("unknown-language", "x.png", text="???", lang="und"),
        Verdict("odd-language", "y.png", text="odd", lang="not a code"),
        Verdict("undecodable", "caf\udce9.png", text="lone surrogate \ud83d here", ocr_text=None),
        Verdict("disguised", "invoice\u202egpj.exe", text="\u202eabc\x00\x07", ocr_text="\u202eabc\x00\x07"),
        Verdict("newline", "two\nlines\t.png", text="one\r\ntwo", error="cannot be read:\nbroken"),
        Verdict(
            "flagged-error",
            "known.png",
            error="decoder timed out",
            action="flag",
            because=["on the list of known pictures"],
        ),
        Verdict(
            "wrong-spans",
            "spans.png",
            text="short",
            answers=answers(rng),
            action="flag",
            evidence={"harmful": Evidence([Span("absent", 90, 96, 1.0)], [], "Rests on “absent”.")},
        ),
        Verdict("own-copy", "loop-a.png", text="loop", duplicate_of="own-copy-2"),
        Verdict("own-copy-2", "loop-b.png", text="loop", duplicate_of="own-copy"),
        Verdict("orphan", "orphan.png", text="orphan", duplicate_of="not-here"),
        Verdict(
            "new-task",
            "z.png",
            text="task unknown to the taxonomy",
            answers={
                "cuteness": Answer("fluffy", {"plain": 0.25, "fluffy": 0.75}),
                "tags": Answer(["a"], {"a": 0.9, "b": 0.2}),
                "nothing": Answer([], {"a": 0.1, "b": 0.2}),
                "target": Answer("martian", {"none": 0.4, "martian": 0.6}),
            },
        ),
    ]


def fake_thumbnail(name: str, side: int = 176, detail: int = 24) -> bytes:
    """A small drawn WebP, different for each name: a few kilobytes, as a real one is."""
    from PIL import Image, ImageDraw

    rng = random.Random(name)
    width, height = side, rng.choice([side, side * 3 // 4, side * 4 // 3])
    picture = Image.new("RGB", (width, height), tuple(rng.randrange(60, 230) for _ in range(3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(detail):
        x, y, r = rng.randrange(width), rng.randrange(height), rng.randrange(4, 40)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.randrange(256) for _ in range(3)))
    draw.rectangle((0, 0, width, 26), fill="white")
    draw.text((6, 6), name, fill="black")
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=60)
    return out.getvalue()
