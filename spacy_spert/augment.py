"""spaCy's augmenters with relations.

They write documents anew from a form that has no attributes of span groups, and some don't touch documents that have
span groups. So they get documents without, and the groups are put on the new tokens afterwards.
"""

import logging
from itertools import accumulate
from typing import Callable, Iterator, List, Optional

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup, Token
from spacy.training import Example

from .errors import Warnings
from .relations import describe_doc

logger = logging.getLogger("spacy.spert")


def make_keep_relations(
    augmenter: Callable[[Language, Example], Iterator[Example]],
) -> Callable[[Language, Example], Iterator[Example]]:
    """Create an augmenter that does what another one does, and keeps span groups with their relations. Register name:
    "spacy-spert.keep_relations.v1".

    A document of which can't be told where its entities went is taken as it was. The first is reported.

    augmenter (Callable[[Language, Example], Iterator[Example]]): The other one. It may change letters and white space,
        or the words one by one.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    """
    reported = False

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        nonlocal reported
        original = example.reference
        bare = original.copy()
        bare.spans.clear()
        n_moved = 0
        for variant in augmenter(nlp, Example(example.predicted, bare)):
            if _move_annotation(original, variant.reference):
                n_moved += 1
                yield variant
            elif not reported:
                reported = True
                logger.warning(
                    Warnings.W011.format(doc=describe_doc(original), changed=describe_doc(variant.reference))
                )
        if not n_moved:
            yield example

    return augment


def _move_annotation(source: Doc, target: Doc) -> bool:
    """Put the span groups of a document, and its sentence marks where they were lost, on the tokens of its variant.
    False, and nothing is done, if an entity can't be found there."""
    for unit in (_letters, _word):
        pieces, target_pieces = ([unit(token) for token in doc] for doc in (source, target))
        if "".join(pieces) != "".join(target_pieces):
            continue
        move = _mover(pieces, target_pieces, target)
        groups = {}
        for key, group in source.spans.items():
            spans = [span for span in map(move, group) if span is not None]
            groups[key] = SpanGroup(target, name=group.name, attrs=group.attrs, spans=spans)
        if any(len(groups[key]) < len(group) for key, group in source.spans.items()):
            continue
        target.spans.update(groups)
        if source.has_annotation("SENT_START") and not target.has_annotation("SENT_START"):
            starts = {span.start for span in map(move, source.sents) if span is not None}
            for token in target:
                token.is_sent_start = token.i == 0 or token.i in starts
        return True
    return False


def _letters(token: Token) -> str:
    """The letters of a token in small ones: the same in a variant with other case or white space."""
    return "".join(token.text.lower().split())


def _word(token: Token) -> str:
    """One sign for each word: the same in a variant with other words."""
    return "" if token.text.isspace() else "w"


def _mover(pieces: List[str], target_pieces: List[str], target: Doc) -> Callable[[Span], Optional[Span]]:
    """A function that finds a span in the target, by what is before and in it. White space has no pieces."""
    before = [0, *accumulate(map(len, pieces))]
    target_before = [0, *accumulate(map(len, target_pieces))]
    starts = {target_before[i]: i for i, piece in enumerate(target_pieces) if piece}
    ends = {target_before[i + 1]: i + 1 for i, piece in enumerate(target_pieces) if piece}

    def move(span: Span) -> Optional[Span]:
        start, end = starts.get(before[span.start]), ends.get(before[span.end])
        if start is None or end is None or start >= end:
            return None
        return Span(target, start, end, span.label_, kb_id=span.kb_id_, span_id=span.id_)

    return move
