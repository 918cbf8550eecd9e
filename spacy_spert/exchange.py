"""An augmenter that exchanges mentions of entities for others of the same label."""

import random
from collections import defaultdict
from typing import Callable, Dict, Iterator, List, NamedTuple, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from .alignment import gold_entities
from .errors import Errors

# Most different mentions of a label that are kept to choose from.
MOST_MENTIONS = 10_000


class Word(NamedTuple):
    """A token with what is known of it without its neighbours."""

    text: str
    space: bool
    tag: str
    pos: str
    morph: str
    lemma: str


Pool = Dict[str, Dict[Tuple[str, ...], List[Word]]]


def make_exchange_mentions(
    level: float = 0.5, share: float = 0.5, spans_key: str = "spert"
) -> Callable[[Language, Example], Iterator[Example]]:
    """Create an augmenter that exchanges entities for other mentions with the same label. Register name:
    "spacy-spert.exchange_mentions.v1".

    The mentions are those of the documents seen so far, so that nothing but the training data is needed. Entities that
    touch others, and those over the end of a sentence, stay. Relations, span groups, doc.ents, sentence marks, tags,
    morphology and lemmas are kept; dependency heads are not.

    level (float): The share of documents in which mentions are exchanged, from 0 to 1.
    share (float): The share of the mentions that are exchanged in these, from 0 to 1.
    spans_key (str): The span group with the entities; doc.ents in documents without.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    RAISES (ValueError): If a share is not between 0 and 1.
    """
    for name, value in (("level", level), ("share", share)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(Errors.S113.format(name=name, value=value))
    pool: Pool = defaultdict(dict)

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        reference = example.reference
        mentions = _free_entities(reference, spans_key)
        for span in mentions:
            known = pool[span.label_]
            if len(known) < MOST_MENTIONS:
                known.setdefault(tuple(token.text for token in span), _words(span))
        if random.random() >= level:
            yield example
            return
        others = {span: random.choice(list(pool[span.label_].values())) for span in mentions if random.random() < share}
        if not others:
            yield example
            return
        changed = _exchange(reference, others)
        same_tokens = [token.text for token in example.predicted] == [token.text for token in reference]
        if same_tokens or reference.has_unknown_spaces:
            words = [token.text for token in changed]
            predicted = Doc(nlp.vocab, words=words, spaces=[bool(token.whitespace_) for token in changed])
        else:
            predicted = nlp.make_doc(changed.text)
        yield Example(predicted, changed)

    return augment


def _free_entities(doc: Doc, key: str) -> List[Span]:
    """The entities that no other annotated span touches, in textual order."""
    entities = sorted({(span.start, span.end, span.label_) for span in gold_entities(doc, key) or ()})
    places = {(span.start, span.end) for group in doc.spans.values() for span in group}
    places |= {(start, end) for start, end, _ in entities} | {(ent.start, ent.end) for ent in doc.ents}
    labels = defaultdict(set)
    for start, end, label in entities:
        labels[start, end].add(label)
    has_sentences = doc.has_annotation("SENT_START")
    free = []
    for start, end, label in entities:
        touched = any(s < end and start < e for s, e in places if (s, e) != (start, end))
        over = has_sentences and any(token.is_sent_start for token in doc[start + 1 : end])
        if not touched and not over and len(labels[start, end]) == 1:
            free.append(Span(doc, start, end, label))
    return free


def _words(tokens: Span) -> List[Word]:
    return [
        Word(token.text, bool(token.whitespace_), token.tag_, token.pos_, str(token.morph), token.lemma_)
        for token in tokens
    ]


def _exchange(doc: Doc, others: Dict[Span, List[Word]]) -> Doc:
    """A document with other words in some of its spans, which touch no others."""
    words: List[Word] = []
    iobs: List[str] = []
    starts: List[Union[bool, int, None]] = []
    has_sentences = doc.has_annotation("SENT_START")
    # Where spans of the document begin and end in the new one.
    begins, ends = {}, {}
    replaced = {span.start: span for span in others}
    i = 0
    while i < len(doc):
        span = replaced.get(i, doc[i : i + 1])
        new = others.get(span, _words(span))
        # What follows is as near as before.
        new = [*new[:-1], new[-1]._replace(space=bool(span[-1].whitespace_))]
        first = doc[i]
        mark = f"{first.ent_iob_}-{first.ent_type_}" if first.ent_type_ else first.ent_iob_
        iobs.extend([mark, *[mark.replace("B-", "I-", 1)] * (len(new) - 1)])
        starts.extend([first.is_sent_start, *[False if has_sentences else None] * (len(new) - 1)])
        begins[span.start] = len(words)
        words.extend(new)
        ends[span.end] = len(words)
        i = span.end
    changed = Doc(
        doc.vocab,
        words=[word.text for word in words],
        spaces=[word.space for word in words],
        tags=[word.tag for word in words],
        pos=[word.pos for word in words],
        morphs=[word.morph for word in words],
        lemmas=[word.lemma for word in words],
        sent_starts=starts,
        ents=iobs,
    )
    for key, group in doc.spans.items():
        spans = [
            Span(
                changed,
                begins[span.start],
                ends[span.end],
                span.label_,
                # Another mention is not that of a knowledge base any more.
                kb_id="" if span.start in replaced else span.kb_id_,
                span_id=span.id_,
            )
            for span in group
        ]
        changed.spans[key] = SpanGroup(changed, name=group.name, attrs=group.attrs, spans=spans)
    return changed
