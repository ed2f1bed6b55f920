"""The paper's configuration, by tiny random checkpoints in hub layout: BERT, DETR, CLIP, from recipe to answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from memescope.models import load
from memescope.training import train
from tests.test_backbones_hub import bert
from tests.test_mmorient import memes, root  # noqa: F401  # fixtures
from tests.test_mmorient_features import clip  # noqa: F401  # a fixture
from tests.test_regions import detr  # noqa: F401  # a fixture

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "mmorient" / "memotion-c.yaml"


def test_the_paper_recipe_trains_and_answers(root: Path, memes: list, clip: str, detr: Path, tmp_path: Path) -> None:  # noqa: F811
    words = bert(tmp_path / "bert")
    train(
        RECIPE,
        f"data.root={root}",
        f"out={tmp_path / 'run'}",
        "data.tasks=[sentiment,motivational]",
        "data.limit=12",
        "train.max_steps=2",
        f"model.words={words}",
        f"model.regions={detr}",
        f"model.text={clip}",
        f"model.image={clip}",
        f"model.columns=['pooled={words}']",
        "model.inpaint=false",
        "augment.copies=0",
        "augment.paraphrases=null",
        "answering.support=8",
    )
    model = load(tmp_path / "run")
    config = model.config  # type: ignore[attr-defined]
    assert config.hidden == [4618, 2048]
    assert config.thresholds == dict.fromkeys(config.graphs, 0.9)
    assert (config.text_width, config.image_width) == (6, 6)
    alone, among = model.answer(memes[:1])[0], model.answer(memes)[0]
    assert alone.answers["sentiment"].probabilities == pytest.approx(among.answers["sentiment"].probabilities, abs=1e-6)
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "Learning rate" not in card
    assert "Batches, and so graphs" not in card
