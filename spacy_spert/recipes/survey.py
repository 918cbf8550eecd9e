"""What annotated documents hold, as far as it decides how to train on them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Counter as CounterT
from typing import DefaultDict, Iterable, List, Set, Tuple

import numpy
from spacy.pipeline import Sentencizer
from spacy.training import Example

from ..alignment import CROSSES_SENTENCE, Gold, align_gold, labels_of, visible_tokens
from ..ml.arrays import Ints
from ..sentences import sentence_bounds

# Of a label's relations, the share that must be annotated in both directions so that it has none.
MIRRORED = 0.9
# Fewer relations may have their heads first by chance.
ENOUGH = 20


@dataclass
class Survey:
    """What there is in a corpus. Everything is counted in tokens of the pipeline, white space left out.

    lengths (List[int]): Number of tokens of each document.
    annotated (int): How many documents have annotated entities.
    widths (Counter[int]): Number of entities by their number of tokens.
    entities (Counter[str]): Number of entities by label.
    relations (Counter[str]): Number of relations by label.
    crossing (int): How many relations have head and tail in different sentences, as the sentencizer marks them.
    split (int): How many entities lie in several sentences.
    in_order (Counter[str]): How many relations have their heads first in the text, by label.
    mirrored (Counter[str]): How many relations are annotated in the other direction as well, by label.
    types (Dict[str, Set[Tuple[str, str]]]): The entity labels of heads and tails, by relation label.
    """

    lengths: List[int] = field(default_factory=list)
    annotated: int = 0
    widths: CounterT[int] = field(default_factory=Counter)
    entities: CounterT[str] = field(default_factory=Counter)
    relations: CounterT[str] = field(default_factory=Counter)
    crossing: int = 0
    split: int = 0
    in_order: CounterT[str] = field(default_factory=Counter)
    mirrored: CounterT[str] = field(default_factory=Counter)
    types: DefaultDict[str, Set[Tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    @property
    def entity_labels(self) -> List[str]:
        """RETURNS (List[str]): The labels of entities, sorted."""
        return sorted(self.entities)

    @property
    def relation_labels(self) -> List[str]:
        """RETURNS (List[str]): The labels of relations, sorted."""
        return sorted(self.relations)

    @property
    def symmetric_labels(self) -> List[str]:
        """RETURNS (List[str]): Relation labels that are annotated as if they had no direction: nearly always in both,
        or always from left to right, although the entity labels would allow the other direction."""
        return [label for label in self.relation_labels if self._is_symmetric(label)]

    def length(self, share: float) -> int:
        """RETURNS (int): The number of tokens that this share of the documents does not exceed."""
        return int(numpy.quantile(self.lengths, share, method="higher")) if self.lengths else 0

    def covered(self, width: int) -> float:
        """RETURNS (float): The share of the entities that have at most so many tokens; 1.0 if there are none."""
        total = sum(self.widths.values())
        return sum(n for each, n in self.widths.items() if each <= width) / total if total else 1.0

    def width(self, share: float) -> int:
        """RETURNS (int): The smallest width that at least this share of the entities does not exceed; 0 for none."""
        return next((width for width in sorted(self.widths) if self.covered(width) >= share), 0)

    def add(self, gold: Gold, widths: Ints) -> None:
        """Count what a document holds, whatever its sentences.

        gold (Gold): Its annotation.
        widths (Ints): The number of tokens of each entity, shape (n_entities,).
        """
        self.annotated += gold.annotated
        self.widths.update(widths.tolist())
        for (label, _), n in gold.entity_counts.items():
            self.entities[label] += n
        for (label, _), n in gold.relation_counts.items():
            self.relations[label] += n
        for head, tail, label in gold.relations:
            # Entities are sorted by their place.
            self.in_order[label] += head < tail
            self.mirrored[label] += (tail, head, label) in gold.relations
            self.types[label].add((gold.entities[head][2], gold.entities[tail][2]))

    def _is_symmetric(self, label: str) -> bool:
        n, types = self.relations[label], self.types[label]
        if self.mirrored[label] >= MIRRORED * n:
            return True
        return self.in_order[label] == n >= ENOUGH and all((tail, head) in types for head, tail in types)


def take_survey(examples: Iterable[Example], key: str) -> Survey:
    """Count what annotated documents hold.

    examples (Iterable[Example]): The documents, with the tokens of the pipeline.
    key (str): The span group of the entities; doc.ents where a document has no such group.
    RETURNS (Survey): The counts.
    """
    survey = Survey()
    mark_sentences = Sentencizer()
    for example in examples:
        visible = visible_tokens(example.predicted)
        gold = align_gold(example, key, numpy.zeros(len(visible), dtype="int64"))
        count = numpy.concatenate([[0], numpy.cumsum(visible)])
        bounds = numpy.asarray([entity[:2] for entity in gold.entities], dtype="int64").reshape(-1, 2)
        survey.lengths.append(int(count[-1]))
        survey.add(gold, count[bounds[:, 1]] - count[bounds[:, 0]])
        marked = Example(mark_sentences(example.predicted.copy()), example.reference)
        sizes = numpy.diff(sentence_bounds([marked.predicted]))
        sentences = align_gold(marked, key, numpy.repeat(numpy.arange(len(sizes)), sizes))
        survey.split += sum(sentences.entity_counts[x, CROSSES_SENTENCE] for x in labels_of(sentences.entity_counts))
        # Also those that lose an entity.
        survey.crossing += len(gold.relations) - len(sentences.relations)
    return survey
