import re
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_spert.alignment import (
    CROSSES_SENTENCE,
    CUT_OFF,
    LOST_ARGUMENT,
    MISALIGNED,
    ONLY_SPACE,
    OUT_OF_SCOPE,
    SAME_SPAN,
    SECOND_LABEL,
    TOO_FAR,
    TOO_WIDE,
    TRIMMED,
    Gold,
    GoldCounts,
    Place,
    TokenMap,
    align_gold,
    gold_entities,
    gold_relations,
    labels_of,
    unknown_tokens,
)
from spacy_spert.relations import set_entities
from spacy_spert.sentences import sentence_bounds

VOCAB = Vocab()
TEXT = "Anna|-|Maria left Neu|-|Ulm for Bonn|."
ENTITIES = [(0, 3, "PER"), (4, 7, "LOC"), (8, 9, "LOC")]
ROWS = [(0, 1, "LEFT", 1.0), (1, 2, "NEAR", 1.0)]


def make(text, sents=None):
    """A document: tokens are parted by a blank, or by a bar where no blank stands between them."""
    words, spaces = [], []
    for chunk in text.split():
        pieces = chunk.split("|")
        words.extend(pieces)
        spaces.extend([False] * (len(pieces) - 1) + [True])
    starts = None if sents is None else [i in sents for i in range(len(words))]
    return Doc(VOCAB, words=words, spaces=spaces, sent_starts=starts)


def annotate(doc, entities=(), rows=()):
    set_entities(doc, "spert", [Span(doc, start, end, label) for start, end, label in entities], rows)
    return doc


def align(predicted, reference, **settings):
    bounds = sentence_bounds([predicted])
    sentences = numpy.repeat(numpy.arange(len(bounds) - 1), numpy.diff(bounds))
    return align_gold(Example(predicted, reference), "spert", sentences, **settings)


@pytest.fixture
def reference():
    return annotate(make(TEXT), ENTITIES, ROWS)


# Mapping


def test_same_tokens_keep_all(reference):
    gold = align(make(TEXT), reference)
    assert gold.annotated
    assert gold.entities == ENTITIES
    assert gold.relations == [(0, 1, "LEFT"), (1, 2, "NEAR")]
    assert gold.entity_counts == {("PER", None): 1, ("LOC", None): 2}
    assert gold.relation_counts == {("LEFT", None): 1, ("NEAR", None): 1}


def test_predicted_tokens_are_longer(reference):
    gold = align(make("Anna-Maria left Neu|-Ulm for Bonn|."), reference)
    assert gold.entities == [(0, 1, "PER"), (2, 4, "LOC"), (5, 6, "LOC")]
    assert gold.relations == [(0, 1, "LEFT"), (1, 2, "NEAR")]


def test_predicted_tokens_are_shorter():
    reference = annotate(
        make("Anna-Maria left Neu-Ulm for Bonn|."), [(0, 1, "PER"), (2, 3, "LOC"), (4, 5, "LOC")], ROWS
    )
    gold = align(make("An|na|-|Maria left Neu|-|Ulm for Bonn|."), reference)
    assert gold.entities == [(0, 4, "PER"), (5, 8, "LOC"), (9, 10, "LOC")]
    assert gold.relations == [(0, 1, "LEFT"), (1, 2, "NEAR")]


def test_as_many_tokens_but_others():
    reference = annotate(make("ab|c de f"), [(0, 2, "X"), (2, 3, "Y"), (3, 4, "Z")])
    assert align(make("abc d|e f"), reference).entities == [(0, 1, "X"), (1, 3, "Y"), (3, 4, "Z")]


def test_blank_token_inside_a_predicted_span():
    reference = annotate(Doc(VOCAB, words=["New", "York", "is"]), [(0, 2, "LOC"), (2, 3, "V")])
    predicted = Doc(VOCAB, words=["New", "\n", "York", "is"], spaces=[False, False, True, False])
    assert align(predicted, reference).entities == [(0, 3, "LOC"), (3, 4, "V")]


def test_span_that_ends_in_an_unaligned_blank_is_trimmed():
    reference = annotate(
        Doc(VOCAB, words=["New", "\n", "York"], spaces=[False] * 3), [(0, 2, "LOC"), (0, 3, "LOC"), (1, 2, "LOC")]
    )
    gold = align(Doc(VOCAB, words=["New", "York"]), reference)
    assert gold.entities == [(0, 1, "LOC"), (0, 2, "LOC")]
    assert gold.entity_counts == {("LOC", TRIMMED): 1, ("LOC", None): 1, ("LOC", ONLY_SPACE): 1}


def test_blanks_are_not_taken_for_others():
    """The text is a, two blanks, b; the token that is the second blank is the same in both documents."""
    reference = annotate(Doc(VOCAB, words=["a", " ", "b"], spaces=[True, False, False]), [(0, 1, "X"), (1, 3, "Y")])
    gold = align(Doc(VOCAB, words=["a ", " ", "b"], spaces=[False] * 3), reference)
    assert (gold.entities, gold.entity_counts) == ([(2, 3, "Y")], {("X", MISALIGNED): 1, ("Y", TRIMMED): 1})


def test_capital_sigma_before_a_blank():
    """Its lower case at the end of a word is another letter, so that spaCy takes these texts for different ones."""
    words = ["\u039f\u0394\u039f\u03a3", "x"]
    reference = Doc(VOCAB, words=[words[0], " ", words[1]], spaces=[False] * 3)
    predicted = Doc(VOCAB, words=words, spaces=[True, False])
    with pytest.raises(ValueError, match="E949"):
        Example(predicted, reference).get_aligned("ORTH")
    assert align(predicted, annotate(reference, [(0, 1, "X"), (2, 3, "Y")])).entities == [(0, 1, "X"), (1, 2, "Y")]


cuts = st.sets(st.integers(1, 9), max_size=9).map(sorted)


def bounds_of(cuts):
    return list(zip([0, *cuts], [*cuts, 10]))


@given(cuts, cuts)
@settings(deadline=None)
def test_token_map_equals_character_offsets(one, two):
    text = "abcdefghij"
    predicted, reference = (
        Doc(VOCAB, words=[text[start:end] for start, end in bounds], spaces=[False] * len(bounds))
        for bounds in (bounds_of(one), bounds_of(two))
    )
    example = Example(predicted, reference)
    for source, target in ((predicted, reference), (reference, predicted)):
        tokens = TokenMap(source, target, example)
        token_at = {token.idx: token.i for token in target}
        end_at = {token.idx + len(token): token.i + 1 for token in target}
        for start in range(len(source)):
            for end in range(start + 1, len(source) + 1):
                span = source[start:end]
                first, after = token_at.get(span.start_char), end_at.get(span.end_char)
                if first is not None and after is not None:
                    assert tokens.place(span) == Place(first, after)
                else:
                    touched = [t.i for t in target if t.idx < span.end_char and t.idx + len(t) > span.start_char]
                    assert tokens.place(span) == Place(touched[0], touched[-1] + 1, (start, end))


@pytest.mark.parametrize("words", [["a", "bc", "d"], ["A", "bC", "d"]], ids=["same text", "other case"])
@pytest.mark.parametrize(
    "start, end, expected",
    [
        (0, 1, (0, 1, ())),
        (0, 3, (0, 2, ())),
        (1, 3, (1, 2, ())),
        (0, 2, (0, 2, (0, 2))),
        (2, 3, (1, 2, (2, 3))),
        (1, 2, (1, 2, (1, 2))),
    ],
)
def test_places(start, end, expected, words):
    """In the target the second and third token are one."""
    reference, predicted = make("a b|c d"), Doc(VOCAB, words=words, spaces=[True, True, True])
    assert TokenMap(reference, predicted, Example(predicted, reference)).place(reference[start:end]) == expected


def test_places_of_white_space():
    """It makes no span another one, and touches nothing where the other document has none."""
    reference = Doc(VOCAB, words=["\n", "a", "\n", "b"], spaces=[False] * 4)
    predicted = Doc(VOCAB, words=["a", "b"], spaces=[False] * 2)
    example = Example(predicted, reference)
    there, here = TokenMap(reference, predicted, example), TokenMap(reference, reference, example)
    assert [there.place(reference[i:j]) for i, j in ((0, 2), (0, 3), (1, 4))] == [(0, 1, ()), (0, 1, ()), (0, 2, ())]
    assert [there.place(reference[i:j]) for i, j in ((0, 1), (1, 1))] == [(-1, -1, (0, 1)), (-1, -1, (1, 1))]
    assert [here.place(reference[i:j]) for i, j in ((0, 3), (0, 1), (1, 4))] == [(1, 2, ()), (0, 1, ()), (1, 4, ())]


# Losses


def test_misaligned(reference):
    gold = align(make("Anna-|Maria left Neu|-|Ulm for Bonn."), reference)
    assert gold.entities == [(0, 2, "PER"), (3, 6, "LOC")]
    assert gold.relations == [(0, 1, "LEFT")]
    assert gold.entity_counts == {("PER", None): 1, ("LOC", None): 1, ("LOC", MISALIGNED): 1}
    assert gold.relation_counts == {("LEFT", None): 1, ("NEAR", LOST_ARGUMENT): 1}


@pytest.mark.parametrize("max_width, kept", [(0, 3), (3, 3), (2, 1)])
def test_too_wide(reference, max_width, kept):
    gold = align(make(TEXT), reference, max_width=max_width)
    assert len(gold.entities) == kept
    assert sum(n for (_, reason), n in gold.entity_counts.items() if reason == TOO_WIDE) == 3 - kept


def test_width_counts_in_predicted_tokens(reference):
    gold = align(make("Anna-Maria left Neu|-|Ulm for Bonn|."), reference, max_width=2)
    assert gold.entities == [(0, 1, "PER"), (6, 7, "LOC")]
    assert gold.entity_counts == {("PER", None): 1, ("LOC", TOO_WIDE): 1, ("LOC", None): 1}


def test_entity_across_sentences(reference):
    gold = align(make(TEXT, sents=[0, 5]), reference)
    assert gold.entities == [(0, 3, "PER"), (8, 9, "LOC")]
    assert gold.entity_counts == {("PER", None): 1, ("LOC", CROSSES_SENTENCE): 1, ("LOC", None): 1}
    assert gold.relation_counts == {("LEFT", LOST_ARGUMENT): 1, ("NEAR", LOST_ARGUMENT): 1}


def test_relation_across_sentences(reference):
    gold = align(make(TEXT, sents=[0, 4]), reference)
    assert gold.entities == ENTITIES
    assert gold.relations == [(1, 2, "NEAR")]
    assert gold.relation_counts == {("LEFT", CROSSES_SENTENCE): 1, ("NEAR", None): 1}


@pytest.mark.parametrize("reach, kept", [(0, 1), (1, 2), (2, 3), (9, 3)])
def test_relations_across_sentences_within_reach(reach, kept):
    """The sentence of white space between the second and the third does not count."""
    reference = annotate(make("a b c d"), [(0, 1, "X"), (1, 2, "X"), (2, 3, "X"), (3, 4, "X")])
    set_entities(
        reference, "spert", list(reference.spans["spert"]), [(2, 3, "R", 1.0), (1, 0, "R", 1.0), (3, 0, "R", 1.0)]
    )
    words = ["a", "b", "\n", "c", "d"]
    predicted = Doc(
        VOCAB, words=words, spaces=[True, True, False, True, False], sent_starts=[True, True, True, True, False]
    )
    gold = align(predicted, reference, reach=reach)
    assert gold.relations == sorted([(2, 3, "R"), (1, 0, "R"), (3, 0, "R")][:kept])
    lost = CROSSES_SENTENCE if reach == 0 else OUT_OF_SCOPE
    assert gold.relation_counts == Counter({("R", None): kept} | ({("R", lost): 3 - kept} if kept < 3 else {}))


def test_distance_holds_within_a_wider_scope(reference):
    gold = align(make(TEXT, sents=[0, 4]), reference, reach=1, max_distance=1)
    assert gold.relations == [(0, 1, "LEFT"), (1, 2, "NEAR")]
    reference = annotate(make("a b c d"), [(0, 1, "X"), (3, 4, "X")], [(0, 1, "R", 1.0)])
    assert align(make("a b c d", sents=[0, 2]), reference, reach=1, max_distance=1).relation_counts == {
        ("R", TOO_FAR): 1
    }


def test_entities_stay_within_sentences_in_any_scope(reference):
    gold = align(make(TEXT, sents=[0, 5]), reference, reach=5)
    assert gold.entities == [(0, 3, "PER"), (8, 9, "LOC")]
    assert gold.entity_counts["LOC", CROSSES_SENTENCE] == 1


def test_sentences_of_the_reference_do_not_matter():
    reference = annotate(make(TEXT, sents=[0, 4]), ENTITIES, ROWS)
    assert len(align(make(TEXT), reference).relations) == 2


def test_cut_off(reference):
    covered = numpy.ones(10, dtype=bool)
    covered[[2, 4, 5, 6, 8]] = False
    gold = align(make(TEXT), reference, visible=covered)
    # One token that the encoder sees is enough.
    assert gold.entities == [(0, 2, "PER")]
    assert gold.entity_counts == {("PER", TRIMMED): 1, ("LOC", CUT_OFF): 2}
    assert gold.relation_counts == {("LEFT", LOST_ARGUMENT): 1, ("NEAR", LOST_ARGUMENT): 1}


@pytest.mark.parametrize("head, tail", [(0, 1), (1, 0)])
@pytest.mark.parametrize("max_distance, kept", [(0, True), (3, True), (2, False)])
def test_too_far(head, tail, max_distance, kept):
    """Three tokens lie between the two."""
    reference = annotate(make("a b c d e f"), [(0, 2, "X"), (5, 6, "X")], [(head, tail, "R", 1.0)])
    gold = align(make("a b c d e f"), reference, max_distance=max_distance)
    assert gold.relations == ([(head, tail, "R")] if kept else [])
    assert gold.relation_counts == {("R", None if kept else TOO_FAR): 1}


def test_nested_entities_are_never_too_far():
    reference = annotate(make("a b c d e f"), [(0, 6, "X"), (4, 5, "X")], [(0, 1, "R", 1.0)])
    assert align(make("a b c d e f"), reference, max_distance=1).relations == [(0, 1, "R")]


# Identity of entities


def test_relation_of_a_span_to_its_copy():
    """Not a pair that is ever predicted."""
    reference = annotate(make("a b"), [(0, 1, "X"), (0, 1, "X"), (1, 2, "X")], [(0, 1, "R", 1.0), (1, 2, "R", 1.0)])
    gold = align(make("a b"), reference)
    assert gold.entities == [(0, 1, "X"), (1, 2, "X")] and gold.relations == [(0, 1, "R")]
    assert gold.relation_counts == {("R", SAME_SPAN): 1, ("R", None): 1}


def test_entities_and_relations_are_sorted_and_distinct():
    entities = [(8, 9, "LOC"), (0, 3, "PER"), (4, 7, "LOC"), (0, 3, "PER")]
    rows = [(1, 0, "TO", 1.0), (3, 0, "TO", 1.0), (1, 2, "LEFT", 1.0)]
    gold = align(make(TEXT), annotate(make(TEXT), entities, rows))
    assert gold.entities == ENTITIES
    assert gold.relations == [(0, 1, "LEFT"), (0, 2, "TO")]


def test_nested_entities_keep_their_relations():
    entities = [(0, 1, "X"), (0, 3, "X"), (2, 3, "X")]
    reference = annotate(make("a b c"), entities, [(1, 0, "R", 1.0), (2, 1, "S", 1.0)])
    gold = align(make("a b c"), reference)
    assert gold.entities == entities
    assert gold.relations == [(1, 0, "R"), (2, 1, "S")]


@pytest.mark.parametrize("text", [TEXT, "Anna-Maria left Neu-Ulm for Bonn|."])
def test_second_label_of_a_span_is_counted(text):
    """The first one in the data is kept, and the pairs of both are related: else they would be taken for unrelated."""
    rows = [(0, 3, "LEFT", 1.0), (3, 2, "NEAR", 1.0), (1, 3, "IS", 1.0)]
    reference = annotate(make(TEXT), [*ENTITIES, (4, 7, "ORG")], rows)
    gold = align(make(text), reference)
    assert [label for _, _, label in gold.entities] == ["PER", "LOC", "LOC"]
    assert gold.relations == [(0, 1, "LEFT"), (1, 2, "NEAR")]
    assert gold.entity_counts == {("PER", None): 1, ("LOC", None): 2, ("ORG", SECOND_LABEL): 1}
    assert gold.relation_counts == {("LEFT", None): 1, ("NEAR", None): 1, ("IS", SAME_SPAN): 1}
    other = align(make(text), annotate(make(TEXT), [(4, 7, "ORG"), *ENTITIES]))
    assert [label for _, _, label in other.entities] == ["PER", "ORG", "LOC"]


# White space


def spaced(words, entities=(), rows=()):
    return annotate(Doc(VOCAB, words=words, spaces=[False] * len(words)), entities, rows)


def test_white_space_at_the_edges_is_trimmed():
    words = ["\n", "Faro", " ", "is", "\n", "\n", "old"]
    entities = [(0, 2, "LOC"), (0, 3, "LOC"), (3, 6, "V"), (4, 6, "S"), (6, 7, "A")]
    gold = align(spaced(words), spaced(words, entities, [(0, 2, "R", 1.0), (4, 1, "R", 1.0), (3, 2, "R", 1.0)]))
    assert gold.entities == [(1, 2, "LOC"), (3, 4, "V"), (6, 7, "A")]
    assert gold.relations == [(0, 1, "R"), (2, 0, "R")]
    assert gold.entity_counts == {("LOC", TRIMMED): 2, ("V", TRIMMED): 1, ("S", ONLY_SPACE): 1, ("A", None): 1}
    assert gold.relation_counts == {("R", None): 2, ("R", LOST_ARGUMENT): 1}


@pytest.mark.parametrize("setting, value, kept", [("max_width", 2, 2), ("max_width", 1, 1)])
def test_white_space_inside_does_not_count_in_the_width(setting, value, kept):
    words = ["New", "\n", "\n", "York", "is", "old"]
    gold = align(spaced(words), spaced(words, [(0, 4, "LOC"), (5, 6, "A")]), **{setting: value})
    assert len(gold.entities) == kept


@pytest.mark.parametrize("max_distance, kept", [(1, True), (2, True)])
def test_white_space_between_does_not_count_in_the_distance(max_distance, kept):
    words = ["New", "\n", "\n", "York", "\n", "old"]
    reference = spaced(words, [(0, 1, "X"), (5, 6, "X")], [(1, 0, "R", 1.0)])
    assert bool(align(spaced(words), reference, max_distance=max_distance).relations) is kept


def test_sentence_that_begins_within_the_white_space():
    words = ["a", "b", "\n", "c"]
    predicted = Doc(VOCAB, words=words, spaces=[False] * 4, sent_starts=[True, False, True, False])
    assert align(predicted, spaced(words, [(1, 3, "X"), (3, 4, "Y")])).entities == [(1, 2, "X"), (3, 4, "Y")]


# What is not known


def test_relations_are_known_only_where_a_group_has_them(reference):
    assert align(make(TEXT), reference).relations_known
    assert align(make(TEXT), annotate(make(TEXT), ENTITIES)).relations_known
    gold = align(make(TEXT), annotate(make(TEXT), ENTITIES, None))
    assert (gold.entities, gold.relations, gold.relations_known) == (ENTITIES, [], False)
    reference.spans["mine"] = [reference[0:3]]
    reference.ents = [Span(reference, *ENTITIES[0])]
    example = Example(make(TEXT), reference)
    sentences = numpy.zeros(10, dtype="int64")
    assert not align_gold(example, "mine", sentences).relations_known
    assert align_gold(example, "missing", sentences).relations_known


def test_unknown_tokens():
    reference = make("a b|c d")
    assert unknown_tokens(reference).tolist() == [False] * 4
    reference.set_ents([Span(reference, 0, 1, "X")], blocked=[reference[3:4]], default="missing")
    assert unknown_tokens(reference).tolist() == [False, True, True, False]
    assert align(make("a bc d"), reference).unknown.tolist() == [False, True, False]
    assert align(make("a b|c|d"), reference).unknown.tolist() == [False, True, True, False]
    reference.set_ents([Span(reference, 0, 1, "X")], outside=[reference[2:4]], default="missing")
    # What is known in part is not known.
    gold = align(make("a bc d"), reference)
    assert (gold.entities, gold.unknown.tolist()) == ([(0, 1, "X")], [False, True, False])


def test_documents_with_gaps_are_counted(reference):
    counts = GoldCounts()
    partly = make(TEXT)
    partly.set_ents([Span(partly, *ENTITIES[0])], default="missing")
    for doc in (reference, make(TEXT), partly, annotate(make(TEXT), ENTITIES, None)):
        counts.add(align(make(TEXT), doc))
    assert (counts.docs, counts.unannotated, counts.partly, counts.relations_unknown) == (4, 1, 1, 2)
    title = counts.table().splitlines()[0]
    assert title == (
        "Training data: 4 documents, of which 1 have no annotated entities and are not learned from; 1 have entities "
        "that are annotated in part; 2 have no annotated relations, so that only their entities are "
        "learned"
    )


# Where the annotation is


def test_document_without_annotation(reference):
    gold = align(make(TEXT), make(TEXT))
    assert gold == Gold(annotated=False, relations_known=False)


def test_document_annotated_with_nothing():
    reference = make(TEXT)
    reference.ents = []
    assert align(make(TEXT), reference) == Gold(relations_known=False)


def test_empty_span_group_is_annotation():
    assert align(make(TEXT), annotate(make(TEXT))) == Gold()


def test_empty_document():
    assert align(Doc(VOCAB), annotate(Doc(VOCAB))) == Gold()


def test_doc_ents_where_there_is_no_group():
    reference = make(TEXT)
    reference.ents = [Span(reference, 4, 7, "LOC"), Span(reference, 0, 3, "PER")]
    gold = align(make("Anna-Maria left Neu-Ulm for Bonn|."), reference)
    assert gold.entities == [(0, 1, "PER"), (2, 3, "LOC")]


def test_group_goes_before_doc_ents(reference):
    reference.ents = [Span(reference, 7, 8, "OTHER")]
    assert align(make(TEXT), reference).entities == ENTITIES


def test_relations_of_another_group_fit_the_same_spans_in_doc_ents():
    reference = make(TEXT)
    set_entities(reference, "other", [Span(reference, *entity) for entity in ENTITIES], ROWS)
    reference.ents = [Span(reference, *entity) for entity in ENTITIES[:2]]
    gold = align(make(TEXT), reference)
    assert gold.relations == [(0, 1, "LEFT")]
    assert gold.relation_counts == {("LEFT", None): 1, ("NEAR", LOST_ARGUMENT): 1}


def test_gold_entities_reads_the_named_group(reference):
    assert gold_entities(reference, "missing") is None
    assert len(gold_entities(reference, "spert")) == 3


def test_gold_relations_are_those_of_the_group_with_the_entities(reference):
    set_entities(reference, "other", [Span(reference, *entity) for entity in ENTITIES], [(2, 0, "OTHER", 1.0)])
    assert [relation.label for relation in gold_relations(reference, "spert")] == ["LEFT", "NEAR"]
    assert [relation.label for relation in gold_relations(reference, "other")] == ["OTHER"]


def test_gold_relations_of_entities_in_doc_ents_are_those_of_any_group(reference):
    assert [relation.label for relation in gold_relations(reference, "missing")] == ["LEFT", "NEAR"]
    assert gold_relations(make(TEXT), "missing") is None


# Counts


def cells(line):
    return re.split(r"\s{2,}", line.strip())


def test_table_holds_all_counts():
    counts = GoldCounts()
    counts.add(Gold(annotated=False))
    for _ in range(2):
        counts.add(
            Gold(
                entity_counts=Counter({("PER", None): 6, ("LOC", None): 50, ("LOC", MISALIGNED): 2}),
                relation_counts=Counter({("LEFT", None): 7, ("LEFT", LOST_ARGUMENT): 1}),
            )
        )
    counts.add(Gold(entity_counts=Counter({("ORG", TOO_WIDE): 3})))
    lines = [line for line in counts.table().splitlines() if line.strip()]
    assert lines[0].startswith("Training data: 4 documents, of which 1 have no annotated entities")
    header = ["label", "kept", f"lost: {LOST_ARGUMENT}", f"lost: {MISALIGNED}", f"lost: {TOO_WIDE}"]
    assert cells(lines[1]) == header
    assert set(lines[2]) <= {"-", " "}
    assert [cells(line) for line in lines[3:]] == [
        ["entity", "LOC", "100", "0", "4", "0"],
        ["entity", "ORG", "0", "0", "0", "3"],
        ["entity", "PER", "12", "0", "0", "0"],
        ["entity", "all", "112", "0", "4", "3"],
        ["relation", "LEFT", "14", "2", "0", "0"],
        ["relation", "all", "14", "2", "0", "0"],
    ]


def test_table_without_losses_has_one_column_of_numbers():
    counts = GoldCounts()
    counts.add(Gold(entity_counts=Counter({("PER", None): 6})))
    lines = [line for line in counts.table().splitlines() if line.strip()]
    assert lines[0] == "Training data: 1 documents"
    assert [cells(line) for line in lines[1:]] == [
        ["label", "kept"],
        ["-" * len(part) for part in lines[2].split()],
        ["entity", "PER", "6"],
        ["entity", "all", "6"],
        ["relation", "all", "0"],
    ]


def test_table_of_nothing():
    assert "Training data: 0 documents" in GoldCounts().table()


def test_counts_of_aligned_documents_add_up(reference):
    counts = GoldCounts()
    counts.add(align(make(TEXT), reference))
    counts.add(align(make(TEXT), reference, max_width=2))
    assert (counts.docs, counts.unannotated) == (2, 0)
    assert counts.entities == {("PER", None): 1, ("LOC", None): 3, ("PER", TOO_WIDE): 1, ("LOC", TOO_WIDE): 1}
    assert counts.relations == {
        ("LEFT", None): 1,
        ("NEAR", None): 1,
        ("LEFT", LOST_ARGUMENT): 1,
        ("NEAR", LOST_ARGUMENT): 1,
    }


def test_labels_of():
    assert labels_of(Counter({("PER", None): 1, ("LOC", TOO_WIDE): 1, ("PER", TOO_FAR): 2})) == ["LOC", "PER"]


# Sentences


@pytest.mark.parametrize(
    "docs, expected",
    [
        ([], [0]),
        ([("", None)], [0]),
        ([("a", None)], [0, 1]),
        ([("a b c", None)], [0, 3]),
        ([("a b c", [0, 2])], [0, 2, 3]),
        ([("a b c", [0])], [0, 3]),
        ([("a b c", [0, 2]), ("", None), ("d e", None), ("f g h", [0, 1, 2])], [0, 2, 3, 5, 6, 7, 8]),
        ([("", None), ("a b", [0, 1]), ("", None)], [0, 1, 2]),
    ],
)
def test_sentence_bounds(docs, expected):
    bounds = sentence_bounds([make(text, sents) for text, sents in docs])
    assert bounds.tolist() == expected
    assert bounds.dtype == "int64"


def test_sentence_marks_of_which_some_are_missing():
    doc = Doc(VOCAB, words=list("abcd"), sent_starts=[None, -1, 1, None])
    assert sentence_bounds([doc]).tolist() == [0, 2, 4]
