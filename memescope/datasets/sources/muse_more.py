"""MORE (Desai et al., AAAI 2022): sarcastic posts with pictures, each with an explanation of the sarcasm.

Tab-separated without a header: `id, text, explanation`. Texts of tweets are quoted as Python strings, inside CSV
quoting where they hold double quotes; those of Instagram and Tumblr are plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._literals import unquoted

_CARD = Card(
    name="muse_more",
    title="MORE: multimodal sarcasm explanation",
    paper="Desai, Chakraborty and Akhtar, Nice Perfume. How Long Did You Marinate in It?, AAAI 2022, "
    "https://arxiv.org/abs/2112.04873",
    licence="none stated; posts of Twitter, Instagram and Tumblr (research use)",
    get="https://github.com/LCS2-IIITD/Multimodal-Sarcasm-Explanation-MuSE (Dataset; pictures linked there)",
    languages=("en",),
    rows={"train": 2983, "val": 175, "test": 352},
    warning="ordinary posts; few are rude",
    verified="real-file",
    flaws=(
        "sarcastic posts only: the label is by construction",
        (
            "tweets have the <user>, <num> and emoji_N tokens of mmsd; 972 of 2,983 train, 61 of 175 val and 114 of "
            "352 test texts are not quoted and mostly posts of other sites, as written"
        ),
        "101 rows hold currency signs and dashes broken by a wrong code page (ΓÇô, Γé╣): kept as they are",
        "explanations are lower-case and name the author 'the author'",
    ),
)
_FILES = {
    "train_df.tsv | Dataset/train_df.tsv": "train",
    "val_df.tsv | Dataset/val_df.tsv": "val",
    "test_df.tsv | Dataset/test_df.tsv": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in table(path, problems, "\t", header=("id", "text", "explanation")):
            id, explanation = row["id"].strip(), row["explanation"].strip()
            if not explanation:
                problems.add("missing-field", where, "no explanation", id, kept=True)
            yield Row(
                id=id,
                image=f"{id}.jpg" if id else None,
                text=unquoted(row["text"]).strip(),
                labels={"sarcasm": "sarcastic"},
                lang="en",
                split=split,
                where=where,
                rationale=explanation or None,
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("images", "."), folders=("more", "muse"))
