"""Indonesian memes about women: `image_path,hate_final,appropriateness_final`, a CSV without texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, picture
from memescope.datasets.sources._strict import columns

_CARD = Card(
    name="indonesian_misogyny",
    title="Indonesian Misogyny Meme Dataset",
    paper="none named by the repository that holds it",
    licence='none stated; "for academic and research purposes only"',
    get="annotations in the authors' repository (test_dataset.csv), pictures at the Google Drive address in its README",
    languages=("id",),
    rows={"test": 628},
    warning="misogyny, sexual content",
    verified="real-file",
    flaws=(
        "no text: memes need OCR (Indonesian)",
        "the README swaps the counts: it says 254 appropriate and 374 not, the file holds 374 appropriate and 254 not",
        (
            "hate and appropriateness are judged apart: 96 memes are hate and appropriate, 143 neither hate nor "
            "appropriate"
        ),
        "hate is meant towards women: mapped to hateful, of which it is one kind; the one file is called a test set",
    ),
)
_FILES = {"test_dataset.csv": "test"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    needed = ("image_path", "hate_final", "appropriateness_final")
    for path, split in files_there(folder, _FILES):
        for where, row in columns(table(path, problems), path, needed, problems):
            named = row.get("image_path", "").strip()
            yield Row(
                id=named.rsplit(".", 1)[0],
                image=picture(named),
                text="",
                labels={
                    "hate": row.get("hate_final", "").strip() or None,
                    "appropriateness": row.get("appropriateness_final", "").strip() or None,
                },
                lang="id",
                split=split,
                where=where,
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("images", "."))
