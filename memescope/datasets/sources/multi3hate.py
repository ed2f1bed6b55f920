"""Multi3Hate (Bui et al., NAACL 2025): 300 memes in five languages, judged by five cultures.

`captions/LANG.csv`: id, template, English original, translation with `<sep>` between the lines;
`final_annotations.csv`: a column of 0 and 1 for each culture; `raw_annotations.csv`: each annotator's vote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import first_file, label
from memescope.datasets.sources._strict import columns

_CULTURES = {"en": "US", "de": "DE", "es": "MX", "hi": "IN", "zh": "CN"}
_CARD = Card(
    name="multi3hate",
    title="Multi3Hate: parallel memes in five languages",
    paper="Bui et al., Multi3Hate, NAACL 2025, https://arxiv.org/abs/2411.03888",
    licence="none stated in the repository (see the card of MinhDucBui/Multi3Hate on Hugging Face)",
    get="https://github.com/MinhDucBui/Multi3Hate (data/, pictures included)",
    languages=tuple(_CULTURES),
    rows={"test": 1500},
    warning="hateful by design: nations, religions, ethnic groups, women, trans people",
    verified="real-file",
    flaws=(
        "for evaluation only: no training split; five versions of a meme must never be split apart",
        "the same meme has different labels in different cultures, which is what it is about (meta culture_labels)",
        (
            "a label is the majority of 3 to 6 votes of one culture (7,083 votes of 445 annotators; the "
            "majority of the votes in the file gives every published label, without ties)"
        ),
        "non-English texts are translations; the pictures are templates, few for many memes (45)",
    ),
    memelens=(
        "Hateful_en__Multi3Hate",
        "Hateful_de__Multi3Hate",
        "Hateful_es__Multi3Hate",
        "Hateful_hi__Multi3Hate",
        "Hateful_zh__Multi3Hate",
    ),
)
_FILES = {
    **{f"data/captions/{lang}.csv | captions/{lang}.csv": "test" for lang in _CULTURES},
    "data/final_annotations.csv | final_annotations.csv": "test",
    "data/raw_annotations.csv | raw_annotations.csv": "test",
}
_LABELS = {"0": "not_hateful", "1": "hateful", "0.0": "not_hateful", "1.0": "hateful"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    gold = _final(folder, problems)
    votes = _votes(folder, problems)
    for lang, culture in _CULTURES.items():
        path = first_file(folder, f"data/captions/{lang}.csv | captions/{lang}.csv")
        if path is None:
            problems.add("missing-file", f"captions/{lang}.csv", "no captions of this language", kept=True)
            continue
        # Pictures lie in a folder for each template, whose name is nearly always the template's in title case.
        folders = {there.name.lower(): there.name for there in (folder / "data/memes" / lang).glob("*/")}
        for where, row in columns(table(path, problems), path, ("Meme ID", "Translation"), problems):
            number = row.get("Meme ID", "").strip()
            cultures = gold.get(number, {})
            if number and culture not in cultures:
                problems.add("missing-field", where, f"no label of {culture} for meme {number}", number, kept=True)
            template = row.get("Template Name", "").strip()
            slug = template.lower().replace(" ", "-")
            meta = {
                "meme_id": number,
                "template": template,
                "culture": culture,
                "culture_labels": cultures,
                "text_en": _text(row.get("Original (English)", "")),
            }
            if cast := votes.get((lang, number)):
                meta["votes"] = {"hate": cast}
            yield Row(
                id=f"{lang}_{number}" if number else "",
                image=f"data/memes/{lang}/{folders.get(slug, slug.title())}/{number}.jpg",
                text=_text(row.get("Translation", "")),
                labels={"hate": cultures.get(culture)},
                lang=lang,
                split="test",
                where=where,
                meta=meta,
            )


def _text(caption: str) -> str:
    """The caption with its parts (top and bottom of the picture) on lines of their own."""
    return "\n".join(part.strip() for part in caption.split("<sep>"))


def _final(folder: Path, problems: Problems) -> dict[str, dict[str, str]]:
    """Each culture's label by meme."""
    path = first_file(folder, "data/final_annotations.csv | final_annotations.csv")
    if path is None:
        problems.add("missing-file", "final_annotations.csv", "no labels", kept=True)
        return {}
    return {
        row.get("Meme ID", "").strip(): {
            culture: str(label(row[culture].strip(), _LABELS)) for culture in _CULTURES.values()
        }
        for _, row in columns(table(path, problems), path, ("Meme ID", *_CULTURES.values()), problems)
    }


def _votes(folder: Path, problems: Problems) -> dict[tuple[str, str], list[str]]:
    """The annotators' votes by language and meme, in file order."""
    cast: dict[tuple[str, str], list[str]] = defaultdict(list)
    path = first_file(folder, "data/raw_annotations.csv | raw_annotations.csv")
    if path is None:
        problems.add("missing-file", "raw_annotations.csv", "no single votes", kept=True)
        return cast
    needed = ("dataset_language", "Meme ID", "hatespeech")
    for where, row in columns(table(path, problems), path, needed, problems):
        vote = row.get("hatespeech", "").strip()
        if vote not in _LABELS:
            problems.add("unknown-label", where, f"vote {vote!r}: expected 0 or 1")
            continue
        cast[row.get("dataset_language", "").strip(), row.get("Meme ID", "").strip()].append(_LABELS[vote])
    return cast


SOURCE = Source(_CARD, _FILES, _read)
