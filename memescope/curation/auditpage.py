"""The audit as one self-contained page: the pairs side by side, leaks first, for a person to look at."""

from __future__ import annotations

import base64
from collections import defaultdict
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from memescope.curation.pairs import CLASSES, MEANING, Entry, Pair
from memescope.errors import PictureError
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.curation.audit import Audit

SHOWN = 60
"""Pairs of a class on the page, those across splits and datasets first."""
_SIDE = 200
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1rem; }
.pair { border: 1px solid #8886; border-radius: .4rem; padding: .6rem; }
.pair.leak { border: 2px solid #c33; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; overflow-wrap: anywhere; }
.sides img { max-width: 100%; height: auto; display: block; }
.small { font-size: .85rem; }
"""


def page(found: Audit) -> str:
    """The page as HTML: counts, then for each class up to `SHOWN` pairs. Everything from the data is escaped."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>memescope audit</title><style>{_STYLE}</style></head><body><main><h1>Audit of splits</h1>",
        _counts(found),
    ]
    by_class: dict[str, list[Pair]] = defaultdict(list)
    for pair in found.pairs:
        by_class[pair.kind].append(pair)
    for kind in CLASSES:
        pairs = sorted(by_class[kind], key=lambda p: (not found.is_leak(p), found.scope(p) == "within a split"))
        if pairs:
            rest = f", {SHOWN} of them here, all in pairs.jsonl" if len(pairs) > SHOWN else ""
            parts.append(f"<h2>{escape(kind)}: {len(pairs)} pairs{rest}</h2><p>{escape(MEANING[kind])}</p>")
            parts.append("<div class='pairs'>" + "".join(_pair(found, pair) for pair in pairs[:SHOWN]) + "</div>")
    return "\n".join([*parts, "</main></body></html>\n"])


def _counts(found: Audit) -> str:
    rows = [
        f"<tr><td>{escape(scope)}</td><td>{escape(kind)}</td><td class='number'>{its['pairs']}</td>"
        f"<td class='number'>{its['labels_differ']}</td></tr>"
        for scope, kinds in found.counts().items()
        for kind, its in kinds.items()
    ]
    head = "<tr><th>where</th><th>class</th><th>pairs</th><th>with a differing label</th></tr>"
    return f"<table>{head}{''.join(rows)}</table><p>Leaks have a red frame: {escape(', '.join(found.leaks))}.</p>"


def _pair(found: Audit, pair: Pair) -> str:
    from memescope.curation.audit import differing

    a, b = found.entries[pair.first], found.entries[pair.second]
    facts = [f"found by {pair.how}", f"text {pair.text} ({pair.similarity:.2f})", found.scope(pair)]
    facts += [f"{pair.bits} bits"] if pair.bits is not None else []
    facts += [f"{pair.bare_bits} bits inpainted"] if pair.bare_bits is not None else []
    other = [f"{task}: {one} against {two}" for task, (one, two) in differing(a.meme, b.meme).items()]
    labels = f"<p class='small'><strong>labels differ:</strong> {escape('; '.join(other))}</p>" if other else ""
    frame = " leak" if found.is_leak(pair) else ""
    return (
        f"<article class='pair{frame}'><p class='small'>{escape(', '.join(facts))}</p>"
        f"<div class='sides'>{_side(a)}{_side(b)}</div>{labels}</article>"
    )


def _side(entry: Entry) -> str:
    name = escape(f"{entry.set} / {entry.place[1]} / {entry.meme.id}")
    thumbnail = _thumbnail(entry)
    shown = f"<img alt='' src='data:image/jpeg;base64,{thumbnail}'>" if thumbnail else "<p><em>picture missing</em></p>"
    return f"<div><p class='small'>{name}</p>{shown}<p dir='auto'>{escape(entry.meme.text[:400])}</p></div>"


def _thumbnail(entry: Entry) -> str:
    from PIL import Image

    if entry.print is None:
        return ""
    try:
        picture = Image.fromarray(open_picture(entry.meme.image).pixels)
    except PictureError:
        return ""
    picture.thumbnail((_SIDE, _SIDE))
    data = BytesIO()
    picture.save(data, "JPEG", quality=70)
    return base64.b64encode(data.getvalue()).decode()
