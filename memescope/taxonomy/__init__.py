"""One taxonomy for all public meme datasets: the tasks, and how native labels map onto them without loss."""

from memescope.taxonomy.labels import LabelMap, load_label_map
from memescope.taxonomy.tasks import Task, Taxonomy, load_taxonomy

__all__ = ["LabelMap", "Task", "Taxonomy", "load_label_map", "load_taxonomy"]
