"""Drawn memes with known truth, made from nothing but code and the package's own fonts."""

from memescope.curation.synth.broken import Expectation, broken_files
from memescope.curation.synth.captions import languages
from memescope.curation.synth.changes import CHANGES, USUAL_CHANGES
from memescope.curation.synth.drawing import draw_meme, synth

__all__ = ["CHANGES", "USUAL_CHANGES", "Expectation", "broken_files", "draw_meme", "languages", "synth"]
