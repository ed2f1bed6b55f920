"""Training from recipes: `train("recipes/starter.yaml", data={"root": ...})` leaves a run folder that `load` reads."""

from memescope.training.recipe import Recipe, load_recipe
from memescope.training.run import Run, train

__all__ = ["Recipe", "Run", "load_recipe", "train"]
