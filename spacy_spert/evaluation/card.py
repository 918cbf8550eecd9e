"""The card of a pipeline: what it does, how well, and on what data, as Markdown with the front matter of model hubs."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import srsly
from wasabi import MarkdownRenderer

from .run import TITLES

TAGS = ["spacy", "token-classification", "named-entity-recognition", "relation-extraction"]
# Score and name of a metric on the hubs.
METRICS = {"p": ("precision", "Precision"), "r": ("recall", "Recall"), "f": ("f1", "F1")}
# Kinds of results: the prefix of their scores, and how the hubs call the task.
TASKS = {
    "spans": ("token-classification", "Entities"),
    "rels": ("relation-extraction", "Relations by boundaries"),
    "rels_strict": ("relation-extraction", "Relations, strict"),
}
RIGHT = {
    "spans": "An entity is right with its boundaries and its label.",
    "rels": "A relation is right with its label and the boundaries of head and tail.",
    "rels_strict": "As before, and the labels of head and tail are right, too.",
}
SYMMETRIC = {
    "once": "counted once, whatever their order",
    "directed": "counted as directed ones",
    "twice": "counted in both orders",
}
DECISIONS = (
    "relation_threshold",
    "relation_thresholds",
    "entity_thresholds",
    "relation_types",
    "calibration",
    "symmetric_labels",
)
LIMITS = ("task", "max_span_width", "max_relation_distance", "entities_per_token", "relations_per_token")


@dataclass
class Card:
    """What a card tells.

    meta (Mapping[str, Any]): The pipeline's meta.
    cfg (Mapping[str, Any]): The component's settings and labels.
    scores (Mapping[str, Any]): What `spacy spert evaluate --output` wrote, or the scores in the meta.
    dataset (str): Name of the data.
    split (str): The part of it that was scored.
    base_model (Optional[str]): The transformer that it was made of; None if there is none, or it is not known.
    example (Tuple[str, str]): A text, and what the lines for it print.
    counts (Mapping[str, Mapping[str, int]]): Numbers of "entities" and "relations" by label in the training data.
    facts (Mapping[str, Any]): About the training, such as the seed.
    versions (Mapping[str, str]): Versions of packages.
    checksums (Mapping[str, str]): SHA-256 of files.
    """

    meta: Mapping[str, Any]
    cfg: Mapping[str, Any]
    scores: Mapping[str, Any]
    dataset: str
    split: str
    base_model: Optional[str] = None
    example: Tuple[str, str] = ("", "")
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """RETURNS (str): The name of the pipeline's package."""
        return f"{self.meta['lang']}_{self.meta['name']}"

    @property
    def results(self) -> Dict[str, str]:
        """RETURNS (Dict[str, str]): The kinds of results that there are, with the prefixes of their scores."""
        key = self.cfg["spans_key"]
        prefixes = {kind: kind if key == "spert" and kind != "spans" else f"{kind}_{key}" for kind in TASKS}
        return {kind: prefix for kind, prefix in prefixes.items() if self.scores.get(f"{prefix}_f") is not None}

    def front_matter(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): What the hubs read."""
        results = []
        for kind, prefix in self.results.items():
            type_, name = TASKS[kind]
            metrics = [
                {"type": metric, "name": title, "value": self.scores[f"{prefix}_{key}"]}
                for key, (metric, title) in METRICS.items()
            ]
            dataset = {"type": self.dataset, "name": self.dataset, "split": self.split}
            results.append({"task": {"type": type_, "name": name}, "dataset": dataset, "metrics": metrics})
        lang = self.meta["lang"] if self.meta["lang"] != "xx" else "multilingual"
        licence = self.meta.get("license") or ""
        matter = {
            "tags": TAGS,
            "language": [lang],
            "license": licence.lower().replace(" ", "-"),
            "library_name": "spacy",
            "pipeline_tag": "token-classification",
            "base_model": self.base_model,
            "model-index": [{"name": self.name, "results": results}],
        }
        return {name: value for name, value in matter.items() if value}

    def markdown(self) -> str:
        """RETURNS (str): The whole card."""
        parts = [
            f"---\n{srsly.yaml_dumps(self.front_matter()).strip()}\n---",
            f"# {self.name}",
            self._description(),
            *("## Use", *self._use()),
            *("## Labels", self._labels()),
            *("## Scores", *self._scores()),
            *("## Thresholds and limits", *self._decisions()),
            *("## Training", _table(("", ""), [(name, _code(value)) for name, value in self.facts.items()])),
            *("## Versions", _table(("package", "version"), list(self.versions.items()))),
            *("## Checksums", "SHA-256:", _table(("file", "checksum"), self._files())),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _description(self) -> str:
        if self.meta.get("description"):
            return self.meta["description"]
        what = "entities" if self.cfg["task"] == "entities" else "entities and the relations between them"
        return f"A spaCy pipeline that finds {what} with spacy-spert, in one pass of its encoder."

    def _use(self) -> List[str]:
        text, output = self.example
        lines = [
            "import spacy",
            "",
            f'nlp = spacy.load("{self.name}")',
            f"doc = nlp({srsly.json_dumps(text)})",
            "print([(ent.text, ent.label_) for ent in doc.ents])",
            "print([(rel.head.text, rel.label, rel.tail.text) for rel in doc._.relations])",
        ]
        needed = next((line for line in self.meta.get("requirements", ()) if line.startswith("spacy-spert")), None)
        install = f"It needs `{needed}`." if needed else ""
        return [install, "\n".join(["```python", *lines, "```"]), f"```text\n{output}\n```"]

    def _labels(self) -> str:
        support = self.scores.get("counts", {})
        rows = []
        for kind, name in (("entities", "spans"), ("relations", "rels")):
            for label in self.cfg[f"{'entity' if kind == 'entities' else 'relation'}_labels"]:
                numbers = [self.counts[kind].get(label, 0)] if self.counts else []
                if support:
                    numbers.append(support[name].get(label, {}).get("support", 0))
                rows.append((kind, f"`{label}`", *map(str, numbers)))
        header = ["kind", "label", *(["training"] if self.counts else []), *([self.split] if support else [])]
        return _table(header, rows)

    def _scores(self) -> List[str]:
        parts = [self._scored()]
        for kind, prefix in self.results.items():
            support = self.scores.get("counts", {}).get(kind, {})
            header = ("", "P", "R", "F", *(("support",) if support else ()))
            rows = []
            for label, values in (self.scores.get(f"{prefix}_per_type") or {}).items():
                rows.append((f"`{label}`", values, support.get(label, {}).get("support", 0)))
            total = sum(row[2] for row in rows)
            for name, infix in (("micro", ""), ("macro", "macro_")):
                values = {key: self.scores.get(f"{prefix}_{infix}{key}") for key in METRICS}
                if None not in values.values():
                    rows.append((name, values, total))
            table = [
                (name, *(f"{values[key]:.4f}" for key in METRICS), *((str(n),) if support else ()))
                for name, values, n in rows
            ]
            parts += [f"### {TITLES[kind]}", RIGHT[kind], _table(header, table)]
        return parts

    def _scored(self) -> str:
        """On what, and by which convention."""
        settings, n = self.scores.get("settings", {}), self.scores.get("documents")
        documents = f"{n} documents of " if n is not None else ""
        lines = [f"On {documents}{self.dataset}, {self.split}. Every gold relation counts, found entities or not."]
        symmetric = self.cfg["symmetric_labels"]
        if symmetric and settings.get("symmetric") in SYMMETRIC:
            labels = ", ".join(f"`{label}`" for label in symmetric)
            lines.append(f"Relations without direction ({labels}) are {SYMMETRIC[settings['symmetric']]}.")
        return " ".join(lines)

    def _decisions(self) -> List[str]:
        rows = [(f"`{name}`", _code(self.cfg[name])) for name in (*DECISIONS, *LIMITS)]
        width = self.cfg["max_span_width"]
        limits = f"Entities are looked for up to {width} tokens, within a sentence where sentences are marked"
        if self.cfg["task"] != "entities":
            limits += ", and so are relations. A relation needs both of its entities"
        return [_table(("setting", "value"), rows), f"{limits}."]

    def _files(self) -> List[Tuple[str, str]]:
        return [(f"`{name}`", f"`{checksum}`") for name, checksum in self.checksums.items()]


def _code(value: Any) -> str:
    return f"`{srsly.json_dumps(value)}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Cells with a bar would be two.
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return MarkdownRenderer().table(cells, header) if rows else ""
