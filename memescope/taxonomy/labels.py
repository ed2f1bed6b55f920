"""Native labels onto canonical ones, without loss: native, canonical and coarse are all kept; unknown is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from memescope.errors import UsageError
from memescope.meme import Label
from memescope.taxonomy.tasks import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class LabelMap:
    """How one dataset's labels read in the taxonomy: `fields[native field] = (task, {native: canonical})`."""

    dataset: str
    fields: dict[str, tuple[str, dict[str, str]]]
    ignored: frozenset[str]
    taxonomy: Taxonomy

    def canonical(self, native: Mapping[str, Any], row: str | int) -> dict[str, Label]:
        """Canonical labels, coarse parents included, of one row's native `{field: label or list}`.

        A field or label that the map does not know raises `UsageError` naming dataset, row and what is known.
        A field whose value is None is unlabelled and left out.
        """
        labels: dict[str, Label] = {}
        for name, value in native.items():
            if name in self.ignored or value is None:
                continue
            if name not in self.fields:
                raise UsageError(
                    f"{self.dataset}, row {row}: no task for native field {name!r}; known: {', '.join(self.fields)}"
                )
            task, known = self.fields[name]
            labels[task] = (
                [self._one(name, known, label, row) for label in value]
                if isinstance(value, list)
                else self._one(name, known, value, row)
            )
        try:
            return self.taxonomy.with_coarse(labels)
        except UsageError as error:
            raise UsageError(f"{self.dataset}, row {row}: {error}") from None

    def _one(self, field: str, known: dict[str, str], label: Any, row: str | int) -> str:
        found = known.get(str(label))
        if found is None:
            raise UsageError(
                f"{self.dataset}, row {row}: unknown native label {label!r} in {field!r}; known: {', '.join(known)}"
            )
        return found


def parse_label_map(content: Mapping[str, Any]) -> LabelMap:
    """A map from the parsed YAML of `mappings/*.yaml`; every canonical label is checked against the taxonomy."""
    taxonomy = load_taxonomy()
    dataset = content["dataset"]
    fields: dict[str, tuple[str, dict[str, str]]] = {}
    for field, entry in content["fields"].items():
        task = taxonomy[entry["task"]]
        labels = {str(native): str(canonical) for native, canonical in entry["labels"].items()}
        for canonical in labels.values():
            if canonical not in task.labels:
                raise UsageError(
                    f"mapping {dataset!r}: {task.name!r} has no label {canonical!r}: {', '.join(task.labels)}"
                )
        fields[field] = (task.name, labels)
    return LabelMap(dataset, fields, frozenset(content.get("ignored", [])), taxonomy)


def mapped_datasets() -> list[str]:
    """Names of the datasets whose label map ships with the package."""
    folder = files("memescope.taxonomy").joinpath("mappings")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


@cache
def load_label_map(dataset: str) -> LabelMap:
    """The shipped map of one dataset; `UsageError` names those that exist."""
    import yaml

    if dataset not in mapped_datasets():
        raise UsageError(f"no label map for dataset {dataset!r}; there are: {', '.join(mapped_datasets())}")
    text = files("memescope.taxonomy").joinpath("mappings", f"{dataset}.yaml").read_text("utf-8")
    return parse_label_map(yaml.safe_load(text))
