"""What an answer rests on: words and picture regions by occlusion, one plain sentence, and a drawing of both."""

from memescope.explanation.regions import explain_regions, pooled_without, single_places
from memescope.explanation.says import Effects, says
from memescope.explanation.words import explain_words, log_odds, split_words, strongest, without

__all__ = [
    "Effects",
    "explain_regions",
    "explain_words",
    "log_odds",
    "pooled_without",
    "says",
    "single_places",
    "split_words",
    "strongest",
    "without",
]
