"""The component in a pipeline: settings, labels, initialization, prediction, tasks, odd documents."""

import logging
import time
import tracemalloc

import numpy
import pytest
import spacy
import srsly
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from util import (
    ENTITY_LABELS,
    LABELS,
    RELATION_LABELS,
    SENT_SPANS,
    SYMMETRIC,
    TEXTS,
    add_transformer,
    clone,
    entities_of,
    finish_update,
    gold_relations,
    initialize,
    make_doc,
    make_example,
    make_examples,
    make_nlp,
    make_samples,
    prediction,
    relations_of,
    strided,
    torch_head,
    train,
)

from spacy_spert.relations import set_entities

PAIR = ("Ann met Bob .", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "knows")])


def untrained(encoder, texts=TEXTS, **settings):
    return initialize(make_nlp(encoder, **settings), texts)


def log_of(caplog, nlp, texts=TEXTS, examples=None):
    """Initialize and return what the component logged."""
    with caplog.at_level(logging.INFO, logger="spacy.spert"):
        nlp.initialize(lambda: examples or make_examples(nlp, texts))
    return [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]


@pytest.fixture
def caplog(caplog, monkeypatch):
    """spaCy's logger keeps its records to itself."""
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    return caplog


def rows_of(table):
    """A table as {(kind, label): [numbers]}, with the header under None."""
    rows = {}
    for line in table.splitlines()[1:]:
        cells = [cell.strip() for cell in line.split("   ") if cell.strip()]
        if cells and cells[0] in ("entity", "relation"):
            rows[cells[0], cells[1]] = [int(cell) for cell in cells[2:]]
        elif "label" in line:
            rows[None] = cells
    return rows


class TestSettings:
    @pytest.mark.parametrize(
        "setting, value",
        [
            ("max_span_width", 0),
            ("max_span_width", -1),
            ("relation_threshold", -0.1),
            ("relation_threshold", 1.1),
            ("negative_spans", -1),
            ("negative_relations", -1),
            ("max_relation_distance", -1),
            ("entities_per_token", -0.5),
            ("relations_per_token", -0.5),
        ],
    )
    def test_out_of_range_setting_is_named(self, setting, value):
        with pytest.raises(ValueError, match=rf"Setting {setting} of component 'spert'.*got: {value}"):
            spacy.blank("xx").add_pipe("spert", config={setting: value})

    @pytest.mark.parametrize("setting", ["task", "negative_sampling"])
    def test_unknown_option_is_named(self, setting):
        with pytest.raises(ValueError, match=setting):
            spacy.blank("xx").add_pipe("spert", config={setting: "other"})

    @pytest.mark.parametrize("setting, options", [("context", "localized.*cls"), ("pooling", "max.*sum")])
    def test_unknown_option_of_the_model_is_named(self, setting, options):
        with pytest.raises(ValueError, match=rf"{setting}(.|\n)*{options}"):
            spacy.blank("xx").add_pipe("spert", config={"model": {setting: "other"}})

    @pytest.mark.parametrize("setting, value", [("dropout", -0.1), ("dropout", 1.5), ("width_embedding", -1)])
    def test_out_of_range_setting_of_the_model_is_named(self, encoder, setting, value):
        with pytest.raises(ValueError, match=rf"(?i){setting}"):
            untrained(encoder, model={setting: value})

    def test_changed_setting_is_checked_at_initialize(self, encoder):
        nlp = make_nlp(encoder)
        nlp.get_pipe("spert").cfg["relation_threshold"] = 2.0
        with pytest.raises(ValueError, match="relation_threshold"):
            initialize(nlp)

    def test_settings_are_kept_in_cfg(self):
        settings = {
            "spans_key": "x",
            "task": "relations",
            "entities_key": "y",
            "max_span_width": 3,
            "relation_threshold": 0.7,
            "symmetric_labels": ["s"],
            "negative_spans": 5,
            "negative_relations": 6,
            "negative_sampling": "weak",
            "max_relation_distance": 7,
            "entities_per_token": 0.5,
            "overwrite_ents": False,
        }
        cfg = spacy.blank("xx").add_pipe("spert", config=settings).cfg
        assert {name: cfg[name] for name in settings} == settings

    @pytest.mark.parametrize(
        # At 0 all ordered pairs of three entities: two directed labels each, the symmetric one once per pair.
        "threshold, count",
        [(1.0, 0), (0.4, 2), (0.0, 6 * 2 + 3)],
    )
    def test_threshold_is_read_from_cfg_at_prediction(self, trained, monkeypatch, threshold, count):
        monkeypatch.setitem(trained.get_pipe("spert").cfg, "relation_threshold", threshold)
        assert len(trained(TEXTS[0][0])._.relations) == count


class TestLabels:
    def test_labels_come_from_the_data(self, encoder):
        pipe = untrained(encoder, symmetric_labels=SYMMETRIC).get_pipe("spert")
        assert pipe.label_data == LABELS
        assert pipe.labels == tuple(ENTITY_LABELS + RELATION_LABELS)

    @pytest.mark.parametrize("relations", [["works_for", "extra", "based_in", "partner_of"]])
    def test_given_labels_keep_their_order(self, encoder, relations):
        labels = {"entities": ["PER", "ORG", "LOC", "NEVER"], "relations": relations}
        nlp = make_nlp(encoder)
        nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
        initialize(nlp)
        assert nlp.get_pipe("spert").label_data == labels

    def test_given_labels_size_the_model(self, encoder):
        nlp = make_nlp(encoder)
        labels = {"entities": [*ENTITY_LABELS, "NEVER"], "relations": [*RELATION_LABELS, "never"]}
        nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
        head = torch_head(initialize(nlp))
        assert (head.span_head.output_layer.out_features, head.relation_head.output_layer.out_features) == (5, 4)

    def test_labels_from_a_file(self, encoder, tmp_path):
        first = untrained(encoder)
        path = tmp_path / "spert.json"
        srsly.write_json(path, first.get_pipe("spert").label_data)
        nlp = make_nlp(encoder)
        nlp.config["initialize"]["components"]["spert"] = {
            "labels": {"@readers": "spacy.read_labels.v1", "path": str(path)}
        }
        initialize(nlp)
        assert nlp.get_pipe("spert").label_data == LABELS

    def test_labels_of_the_wrong_form(self, encoder):
        nlp = make_nlp(encoder)
        with pytest.raises(ValueError, match="init labels"):
            nlp.get_pipe("spert").initialize(lambda: make_examples(nlp), labels={"ents": ["PER"]})

    @pytest.mark.parametrize(
        "labels, kind, missing",
        [
            ({"entities": ["PER", "LOC"], "relations": RELATION_LABELS}, "entity", "ORG"),
            ({"entities": ENTITY_LABELS, "relations": ["based_in", "works_for"]}, "relation", "partner_of"),
        ],
    )
    def test_unknown_label_names_label_and_document(self, encoder, labels, kind, missing):
        nlp = make_nlp(encoder)
        nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
        with pytest.raises(ValueError, match=rf"{kind} label '{missing}' of document '\w+"):
            initialize(nlp)

    def test_unknown_label_in_training(self, trained):
        nlp = clone(trained)
        example = make_example(nlp, "Ann met Mars .", [(0, 1, "PER"), (2, 3, "PLANET")])
        with pytest.raises(ValueError, match="entity label 'PLANET' of document 'Ann met Mars ."):
            nlp.update([example])

    def test_unknown_symmetric_label(self, encoder):
        with pytest.raises(ValueError, match="symmetric label 'partnerof'"):
            untrained(encoder, symmetric_labels=["partnerof"])

    def test_add_label_before_initialize(self, encoder):
        nlp = make_nlp(encoder)
        pipe = nlp.get_pipe("spert")
        assert [pipe.add_label("PER"), pipe.add_label("knows", "relation"), pipe.add_label("PER")] == [1, 1, 0]
        initialize(nlp, [PAIR])
        assert pipe.label_data == {"entities": ["PER"], "relations": ["knows"]}

    def test_initialize_again_begins_anew(self, trained):
        nlp = clone(trained)
        nlp.get_pipe("spert").cfg["symmetric_labels"] = []
        initialize(nlp, [PAIR])
        assert nlp.get_pipe("spert").label_data == {"entities": ["PER"], "relations": ["knows"]}
        doc = nlp("Ann met Bob")
        assert {span.label_ for span in doc.spans["spert"]} <= {"PER"}

    @pytest.mark.parametrize("texts", [[("Nothing here .", [], [])], [("Ann sleeps .", [(0, 1, "PER")], [])]])
    def test_initialize_again_with_unusable_data_changes_nothing(self, trained, texts):
        # As the whole pipeline's initialize makes a new encoder too, only the component's is called.
        pipe = clone(trained).get_pipe("spert")
        before = pipe.to_bytes()
        with pytest.raises(ValueError, match="found no entities|expects the relation labels"):
            pipe.initialize(lambda: [make_example(trained, *text) for text in texts])
        assert pipe.to_bytes() == before


class TestUpstream:
    def test_no_upstream(self):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert")
        with pytest.raises(ValueError, match="add_pipe\\('transformer', before='spert'\\)"):
            initialize(nlp)

    def test_upstream_behind_the_component(self, encoder):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert")
        add_transformer(nlp, encoder)
        with pytest.raises(ValueError, match="before='spert'"):
            initialize(nlp)

    def test_transformer_disabled_at_prediction(self, trained):
        nlp = clone(trained)
        with nlp.select_pipes(disable="transformer"), pytest.raises(ValueError, match="document 'Ann met Bob'"):
            nlp("Ann met Bob")

    def test_other_output_in_the_place_of_transformer_data(self, trained):
        nlp = clone(trained)
        doc = nlp.make_doc("Ann met Bob")
        doc._.trf_data = "curated"
        with pytest.raises(ValueError, match="Can't read <class 'str'>.*'Ann met Bob'"):
            nlp.get_pipe("spert")(doc)

    def test_encoder_of_another_width(self, trained):
        nlp = clone(trained)
        doc = nlp("Ann met Bob")
        states = doc._.trf_data.model_output["last_hidden_state"]
        doc._.trf_data.model_output["last_hidden_state"] = states[:, :, :16]
        with pytest.raises(ValueError, match="16 wide.*width of 32"):
            nlp.get_pipe("spert")(doc)

    def test_no_prediction_before_initialize(self, encoder):
        nlp = make_nlp(encoder)
        with pytest.raises(ValueError, match="not initialized"):
            nlp.get_pipe("spert")(nlp.make_doc("Ann"))


class TestInitialize:
    def test_no_entities_at_all(self, encoder):
        with pytest.raises(
            ValueError, match=r"no entities in the training data \(2 documents read\).*spans\['spert'\]"
        ):
            untrained(encoder, [("Nothing here .", [], []), ("Nor here .", [], [])])

    @pytest.mark.parametrize(
        "settings, labels",
        [({}, LABELS), ({"symmetric_labels": ["partner_of"]}, None), ({"task": "relations"}, None)],
        ids=["given labels", "symmetric labels", "task"],
    )
    def test_relations_expected_but_none_read(self, encoder, settings, labels):
        nlp = make_nlp(encoder, **settings)
        if labels:
            nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
        with pytest.raises(ValueError, match=r"not one relation was read.*\(8 documents, 19 entities\)"):
            initialize(nlp, [(text, entities, []) for text, entities, _ in TEXTS])

    def test_unannotated_data_has_no_entities(self, encoder):
        nlp = make_nlp(encoder)
        docs = [nlp.make_doc("Ann met Bob .")]
        with pytest.raises(ValueError, match="no entities"):
            nlp.initialize(lambda: [Example(doc.copy(), doc) for doc in docs])

    def test_table_is_logged_once_with_all_counts(self, encoder, caplog):
        messages = log_of(caplog, make_nlp(encoder))
        assert len(messages) == 1 and messages[0].startswith("Training data: 8 documents")
        assert rows_of(messages[0]) == {
            None: ["label", "kept"],
            ("entity", "LOC"): [6],
            ("entity", "ORG"): [7],
            ("entity", "PER"): [6],
            ("entity", "all"): [19],
            ("relation", "based_in"): [4],
            ("relation", "partner_of"): [3],
            ("relation", "works_for"): [3],
            ("relation", "all"): [10],
        }

    def test_losses_are_counted_by_reason(self, encoder, caplog):
        nlp = make_nlp(encoder, max_span_width=2, max_relation_distance=3)
        fine = make_example(nlp, "Ann met Bob .", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "knows")])
        wide = make_example(nlp, "a b c Bob", [(0, 3, "ORG"), (3, 4, "PER")], [(1, 0, "works_for")])
        far = make_example(nlp, "Ann a b c d Bob", [(0, 1, "PER"), (5, 6, "PER")], [(0, 1, "knows")])
        split = make_example(nlp, "Ann slept . Bob", [(0, 1, "PER"), (3, 4, "PER")], [(0, 1, "knows")])
        across = make_example(nlp, "Ann . Bob", [(0, 1, "PER"), (1, 3, "ORG")], [(0, 1, "works_for")])
        for example, start in ((split, 3), (across, 2)):
            for token in example.predicted:
                token.is_sent_start = token.i in (0, start)
        gold = make_doc(nlp.vocab, "Ann knowsBob", [(0, 1, "PER"), (1, 2, "PER")], [(0, 1, "knows")])
        coarse = Example(Doc(nlp.vocab, words=["Ann", "know", "sBob"]), gold)
        gold = make_doc(nlp.vocab, "Ann knows Bob", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "knows")])
        misaligned = Example(Doc(nlp.vocab, words=["Ann", "knowsBob"], spaces=[True, False]), gold)
        (table,) = log_of(caplog, nlp, examples=[fine, wide, far, split, across, coarse, misaligned])
        header = [
            "kept",
            "lost: across sentences",
            "lost: farther apart than max_relation_distance",
            "lost: head or tail is lost",
            "lost: not on token boundaries",
            "lost: wider than max_span_width",
        ]
        rows = rows_of(table)
        assert rows.pop(None) == ["label", *header]
        assert rows == {
            ("entity", "ORG"): [0, 1, 0, 0, 0, 1],
            ("entity", "PER"): [11, 0, 0, 0, 1, 0],
            ("entity", "all"): [11, 1, 0, 0, 1, 1],
            ("relation", "knows"): [2, 1, 1, 1, 0, 0],
            ("relation", "works_for"): [0, 0, 0, 2, 0, 0],
            ("relation", "all"): [2, 1, 1, 3, 0, 0],
        }

    def test_what_the_window_cuts_is_counted(self, encoder, caplog):
        text = "Ann " + "x" * 30 + " Bob"
        nlp = make_nlp(encoder, max_length=16)
        (table,) = log_of(
            caplog, nlp, [(text, [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "knows")]), (PAIR[0], PAIR[1], PAIR[2])]
        )
        rows = rows_of(table)
        assert rows[None] == ["label", "kept", "lost: cut by the encoder's window", "lost: head or tail is lost"]
        assert rows["entity", "PER"] == [3, 1, 0]
        assert rows["relation", "knows"] == [1, 0, 1]

    def test_sentence_marks_of_an_annotating_sentencizer_are_counted(self, encoder, caplog):
        nlp = make_nlp(encoder)
        nlp.add_pipe("sentencizer", first=True)
        nlp.config["training"]["annotating_components"] = ["sentencizer"]
        texts = [PAIR, ("Ann slept . Bob", [(0, 1, "PER"), (3, 4, "PER")], [(0, 1, "knows")])]
        (table,) = log_of(caplog, nlp, texts)
        assert rows_of(table)["relation", "knows"] == [1, 1]

    def test_unannotated_documents_are_counted(self, encoder, caplog):
        nlp = make_nlp(encoder)
        blank = Example(nlp.make_doc("Ann"), nlp.make_doc("Ann"))
        (table,) = log_of(caplog, nlp, examples=[*make_examples(nlp), blank])
        assert table.startswith("Training data: 9 documents, of which 1 have no annotated entities")

    def test_gold_from_ents(self, encoder):
        nlp = make_nlp(encoder)
        doc = Doc(nlp.vocab, words=["Ann", "met", "Bob"])
        doc.ents = [Span(doc, 0, 1, label="PER"), Span(doc, 2, 3, label="PER")]
        example = Example(Doc(nlp.vocab, words=["Ann", "met", "Bob"]), doc)
        nlp.initialize(lambda: [example])
        assert nlp.get_pipe("spert").label_data == {"entities": ["PER"], "relations": []}

    def test_same_span_with_two_labels(self, encoder):
        nlp = untrained(encoder, [("Ann met Bob", [(0, 1, "PER"), (0, 1, "ORG")], [])])
        assert nlp.get_pipe("spert").entity_labels == ("ORG", "PER")


class TestPrediction:
    def test_gold_is_reproduced(self, trained):
        docs = list(trained.pipe(text for text, _, _ in TEXTS))
        assert [entities_of(doc) for doc in docs] == [sorted(entities) for _, entities, _ in TEXTS]
        assert [relations_of(doc) for doc in docs] == [gold_relations(e, r) for _, e, r in TEXTS]

    def test_every_span_has_a_probability(self, trained):
        group = trained(TEXTS[6][0]).spans["spert"]
        assert len(group) == 4
        scores = numpy.asarray(group.attrs["scores"])
        assert scores.shape == (4,) and (scores > 0.5).all() and (scores <= 1.0).all()

    def test_ents_are_the_best_non_overlapping_spans(self, trained):
        doc = trained(TEXTS[2][0])
        group = doc.spans["spert"]
        scores = {(span.start, span.end): score for span, score in zip(group, group.attrs["scores"])}
        better = max([(0, 3), (2, 3)], key=scores.__getitem__)
        assert [(ent.start, ent.end) for ent in doc.ents] == [better, (4, 6)]

    def test_symmetric_relations_are_in_textual_order(self, trained):
        doc = trained(TEXTS[1][0])
        assert [(r.head.text, r.tail.text, r.label) for r in doc._.relations] == [("Bob", "Eve", "partner_of")]

    def test_predict_changes_nothing(self, trained):
        doc = trained.get_pipe("transformer")(trained.make_doc(TEXTS[0][0]))
        before = doc.to_bytes(exclude=["user_data"])
        trained.get_pipe("spert").predict([doc])
        assert doc.to_bytes(exclude=["user_data"]) == before

    def test_second_run_gives_the_same(self, trained):
        doc = trained(TEXTS[0][0])
        first = entities_of(doc), relations_of(doc), len(doc.ents)
        doc = trained.get_pipe("spert")(doc)
        assert (entities_of(doc), relations_of(doc), len(doc.ents)) == first

    def test_candidates_stay_within_sentences(self, encoder):
        nlp = untrained(encoder, max_span_width=3, entities_per_token=0.0)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        doc = Doc(nlp.vocab, words=list("abcdefg"), sent_starts=[True, False, False, True, True, False, False])
        nlp(doc)
        bounds = [(0, 3), (3, 4), (4, 7)]
        expected = [
            (start, end)
            for first, last in bounds
            for start in range(first, last)
            for end in range(start + 1, min(start + 3, last) + 1)
        ]
        assert [(span.start, span.end) for span in doc.spans["spert"]] == expected

    def test_relations_stay_within_sentences(self, encoder):
        nlp = untrained(encoder, max_span_width=1, relation_threshold=0.0)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        doc = nlp(Doc(nlp.vocab, words=list("abcd"), sent_starts=[True, False, True, False]))
        assert {(r.head.start, r.tail.start) for r in doc._.relations} == {(0, 1), (1, 0), (2, 3), (3, 2)}

    def test_relations_are_not_farther_apart_than_allowed(self, encoder):
        nlp = untrained(
            encoder, max_span_width=1, relation_threshold=0.0, max_relation_distance=1, relations_per_token=0.0
        )
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        doc = nlp(Doc(nlp.vocab, words=list("abcd")))
        pairs = {(r.head.start, r.tail.start) for r in doc._.relations}
        assert pairs == {(i, j) for i in range(4) for j in range(4) if 0 < abs(i - j) <= 2}

    def test_limit_keeps_the_best_entities(self, encoder):
        nlp = untrained(encoder, max_span_width=2, entities_per_token=0.0)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        text = "Ann met Bob at Acme"
        group = nlp(text).spans["spert"]
        assert len(group) == 9
        best = sorted(zip(group.attrs["scores"], entities_of(nlp(text))), reverse=True)
        nlp.get_pipe("spert").cfg["entities_per_token"] = 0.5
        assert entities_of(nlp(text)) == sorted(entity for _, entity in best[:3])

    def test_limit_is_reported_once_with_its_numbers(self, encoder, caplog):
        nlp = untrained(encoder, max_span_width=2, entities_per_token=0.5, relations_per_token=0.0)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        caplog.clear()
        for _ in range(2):
            nlp("Ann met Bob at Acme")
        (message,) = [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]
        assert message.startswith(
            "[W001] Component 'spert' kept only the best 3 of 9 predicted entities in a sentence of 5 tokens "
            "(document 'Ann met Bob at Acme')"
        )

    def test_limit_keeps_the_best_relations_and_is_reported_once(self, encoder, caplog):
        nlp = untrained(encoder, max_span_width=1, relation_threshold=0.0, relations_per_token=0.0)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        words = list("abcd")
        found = nlp(Doc(nlp.vocab, words=words))._.relations
        caplog.clear()
        nlp.get_pipe("spert").cfg["relations_per_token"] = 0.5
        for _ in range(2):
            kept = nlp(Doc(nlp.vocab, words=words))._.relations
        assert sorted(r.score for r in kept) == sorted(r.score for r in found)[-2:]
        (message,) = [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]
        assert message.startswith(f"[W002] Component 'spert' kept only the best 2 of {len(found)} predicted relations")


@pytest.fixture(scope="module")
def with_ruler(trained):
    nlp = clone(trained)
    ruler = nlp.add_pipe("entity_ruler", before="spert")
    ruler.add_patterns([{"label": "RULE", "pattern": "Ann Lee works"}, {"label": "RULE", "pattern": "for"}])
    return nlp


class TestEnts:
    def test_earlier_ents_are_replaced(self, with_ruler):
        doc = with_ruler(TEXTS[0][0])
        assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == TEXTS[0][1]

    def test_earlier_ents_are_kept(self, with_ruler, monkeypatch):
        monkeypatch.setitem(with_ruler.get_pipe("spert").cfg, "overwrite_ents", False)
        doc = with_ruler(TEXTS[0][0])
        ents = [(0, 3, "RULE"), (3, 4, "RULE"), (4, 6, "ORG"), (7, 8, "LOC")]
        assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == ents

    def test_kept_ents_do_not_change_the_spans(self, with_ruler, monkeypatch):
        monkeypatch.setitem(with_ruler.get_pipe("spert").cfg, "overwrite_ents", False)
        doc = with_ruler(TEXTS[0][0])
        assert entities_of(doc) == TEXTS[0][1]
        assert relations_of(doc) == gold_relations(TEXTS[0][1], TEXTS[0][2])


@pytest.fixture(scope="module")
def entities_nlp(encoder):
    nlp = make_nlp(encoder, task="entities", max_span_width=4, model={"dropout": 0.0})
    initialize(nlp)
    train(nlp, 40)
    return nlp


class TestEntitiesTask:
    def test_entities_are_learned(self, entities_nlp):
        docs = [entities_nlp(text) for text, _, _ in TEXTS]
        assert [entities_of(doc) for doc in docs] == [sorted(entities) for _, entities, _ in TEXTS]

    def test_no_relations_are_predicted(self, entities_nlp, monkeypatch):
        monkeypatch.setitem(entities_nlp.get_pipe("spert").cfg, "relation_threshold", 0.0)
        assert [entities_nlp(text)._.relations for text, _, _ in TEXTS] == [()] * len(TEXTS)

    def test_there_is_no_relation_head(self, entities_nlp):
        assert torch_head(entities_nlp).relation_head is None

    def test_no_pairs_are_sampled(self, entities_nlp):
        samples = make_samples(entities_nlp.get_pipe("spert"), make_examples(entities_nlp))
        assert len(samples.spans) > 0 and len(samples.pairs) == 0

    def test_roundtrip(self, entities_nlp):
        assert entities_of(clone(entities_nlp)(TEXTS[0][0])) == TEXTS[0][1]

    def test_relation_labels_may_be_missing_from_the_given_labels(self, encoder):
        nlp = make_nlp(encoder, task="entities")
        nlp.config["initialize"]["components"]["spert"] = {"labels": {"entities": ENTITY_LABELS}}
        initialize(nlp)
        nlp.update(make_examples(nlp))


@pytest.fixture(scope="module")
def relations_nlp(encoder):
    settings = {"task": "relations", "entities_key": "given", "symmetric_labels": SYMMETRIC, "max_span_width": 2}
    nlp = make_nlp(encoder, model={"dropout": 0.0}, **settings)
    initialize(nlp)
    train(nlp, 40)
    return nlp


class TestRelationsTask:
    @pytest.fixture
    def nlp(self, relations_nlp):
        return relations_nlp

    @staticmethod
    def give(nlp, text, entities, key="given"):
        doc = Doc(nlp.vocab, words=text.split())
        spans = [Span(doc, start, end, label=label) for start, end, label in entities]
        if key:
            doc.spans[key] = spans
        else:
            doc.ents = spans
        return nlp(doc)

    def test_relations_between_given_spans(self, nlp):
        docs = [self.give(nlp, text, entities) for text, entities, _ in TEXTS]
        assert [relations_of(doc) for doc in docs] == [gold_relations(e, r) for _, e, r in TEXTS]

    def test_relations_between_ents(self, nlp, monkeypatch):
        monkeypatch.setitem(nlp.get_pipe("spert").cfg, "entities_key", None)
        flat = [row for row in TEXTS if not row[0].startswith("University")]
        docs = [self.give(nlp, text, entities, key=None) for text, entities, _ in flat]
        assert [relations_of(doc) for doc in docs] == [gold_relations(e, r) for _, e, r in flat]
        assert [[(e.start, e.end, e.label_) for e in doc.ents] for doc in docs] == [entities for _, entities, _ in flat]

    def test_given_entities_are_kept(self, nlp):
        doc = self.give(nlp, *TEXTS[2][:2])
        assert entities_of(doc, "given") == entities_of(doc) == sorted(TEXTS[2][1])
        assert len(doc.ents) == 0

    def test_entities_that_differ_in_white_space_alone_are_related_once(self, nlp):
        """Neither twice to others, nor to each other. Those of other labels are others."""
        text, entities, relations = TEXTS[0]
        words = [word for each in text.split() for word in ("\n", each)]
        doc = Doc(nlp.vocab, words=words)
        moved = [Span(doc, 2 * start + 1, 2 * end, label=label) for start, end, label in entities]
        padded = [Span(doc, span.start - 1, span.end, label=span.label_) for span in moved]
        other = Span(doc, moved[0].start, moved[0].end, label="OTHER")
        doc.spans["given"] = [*padded, *moved, other]
        nlp(doc)
        assert [span for span in doc.spans["spert"] if span.label_ != "OTHER"] == sorted(moved)
        assert other in list(doc.spans["spert"])
        own = [relation for relation in doc._.relations if other not in (relation.head, relation.tail)]
        assert len(own) == len(relations)

    def test_order_of_the_given_spans_does_not_matter(self, nlp):
        docs = []
        for text, entities, _ in TEXTS:
            docs.append(Doc(nlp.vocab, words=text.split()))
            docs[-1].spans["given"] = [Span(docs[-1], start, end, label=label) for start, end, label in entities[::-1]]
        assert [relations_of(doc) for doc in nlp.pipe(docs)] == [gold_relations(e, r) for _, e, r in TEXTS]

    def test_entity_wider_than_max_span_width(self, nlp):
        """University of Bonn has three tokens, max_span_width is 2: learned above, and predicted."""
        doc = self.give(nlp, *TEXTS[2][:2])
        assert ((0, 3), (2, 3), "based_in") in relations_of(doc)

    def test_missing_span_group(self, nlp):
        with pytest.raises(ValueError, match="document 'Ann met Bob' has no span group 'given'"):
            nlp("Ann met Bob")

    def test_no_entities_given(self, nlp):
        doc = self.give(nlp, "Ann met Bob", [])
        assert doc._.relations == () and list(doc.spans["spert"]) == []

    def test_nothing_is_learned_of_given_spans(self, nlp):
        samples = make_samples(nlp.get_pipe("spert"), make_examples(nlp))
        assert samples.given and (samples.span_labels > 0).all()
        assert len(samples.spans) == 19

    def test_entity_across_a_sentence_mark(self, nlp):
        doc = Doc(nlp.vocab, words=["Acme", "Labs", "and", "Bonn"], sent_starts=[True, True, False, False])
        doc.spans["given"] = [Span(doc, 0, 2, label="ORG"), Span(doc, 3, 4, label="LOC")]
        nlp(doc)
        assert entities_of(doc) == [(0, 2, "ORG"), (3, 4, "LOC")]
        assert doc._.relations == ()


def examples_in_group(nlp, key):
    return [
        Example(nlp.make_doc(text), make_doc(nlp.vocab, text, entities, relations, key=key))
        for text, entities, relations in TEXTS
    ]


@pytest.fixture(scope="module")
def other_group_nlp(encoder):
    nlp = make_nlp(encoder, spans_key="mine", max_span_width=4, symmetric_labels=SYMMETRIC, model={"dropout": 0.0})
    fix_random_seed(0)
    nlp.initialize(lambda: examples_in_group(nlp, "mine"))
    optimizer = Adam(0.01)
    for _ in range(40):
        nlp.update(examples_in_group(nlp, "mine"), sgd=False)
        finish_update(nlp, optimizer)
    return nlp


class TestSpansKey:
    def test_predictions_go_to_this_group(self, other_group_nlp):
        doc = other_group_nlp(TEXTS[0][0])
        assert "spert" not in doc.spans
        assert entities_of(doc, "mine") == TEXTS[0][1]
        assert relations_of(doc) == gold_relations(*TEXTS[0][1:])

    @pytest.mark.parametrize(
        "name", ["spans_mine_p", "spans_mine_r", "spans_mine_f", "rels_mine_f", "rels_strict_mine_f"]
    )
    def test_scores(self, other_group_nlp, name):
        scores = other_group_nlp.evaluate(examples_in_group(other_group_nlp, "mine"))
        assert scores[name] == 1.0
        assert "spans_spert_f" not in scores


class TestOddDocuments:
    @pytest.mark.parametrize(
        "words", [[], ["\n  "], ["Ann"], [" ", "\n\n", "\t"]], ids=["empty", "blank", "one", "blanks"]
    )
    def test_no_relations_and_no_error(self, trained, words):
        doc = trained(Doc(trained.vocab, words=words))
        assert len(doc.spans["spert"]) <= 1
        assert doc._.relations == ()

    def test_blank_tokens_are_no_entities(self, encoder):
        nlp = untrained(encoder, max_span_width=1)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        doc = nlp(Doc(nlp.vocab, words=["\n  ", "Ann", " ", "met", "\n"]))
        assert [(span.start, span.end) for span in doc.spans["spert"]] == [(1, 2), (3, 4)]

    def test_empty_document_among_others(self, trained):
        texts = ["", TEXTS[0][0], "", "", TEXTS[1][0], ""]
        docs = list(trained.pipe(texts))
        assert [entities_of(doc) for doc in docs] == [[], TEXTS[0][1], [], [], TEXTS[1][1], []]

    def test_only_empty_documents(self, trained):
        docs = list(trained.pipe(["", ""]))
        assert [entities_of(doc) for doc in docs] == [[], []]

    def test_no_documents(self, trained):
        assert list(trained.pipe([])) == []

    def test_long_document_on_an_untrained_model(self, encoder, caplog):
        nlp = untrained(encoder, max_span_width=10)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.bias[0] = -100.0
        words = [word for text, _, _ in TEXTS for word in text.split()]
        doc = Doc(nlp.vocab, words=(words * 100)[:5000])
        caplog.clear()
        tracemalloc.start()
        start = time.monotonic()
        nlp(doc)
        seconds = time.monotonic() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(doc.spans["spert"]) == 5000
        assert len(doc._.relations) <= 10000
        assert seconds < 60
        assert peak < 2**30
        warnings = [record.getMessage() for record in caplog.records if "kept only the best" in record.getMessage()]
        assert len(warnings) == 2
        assert "best 5000 of 49955 predicted entities" in warnings[0]
        assert "best 10000 of" in warnings[1]

    def test_document_without_annotation_gives_no_loss(self, trained):
        nlp = clone(trained)
        example = Example(nlp.make_doc("Ann met Bob"), nlp.make_doc("Ann met Bob"))
        assert nlp.update([example])["spert"] == 0.0

    def test_document_without_annotation_changes_nothing_beside_others(self, trained):
        nlp = clone(trained)
        spert = nlp.get_pipe("spert")
        blank = Example(nlp.make_doc("Ann met Bob"), nlp.make_doc("Ann met Bob"))
        numpy.random.seed(0)
        alone = make_samples(spert, [make_example(nlp, *TEXTS[0])])
        numpy.random.seed(0)
        beside = make_samples(spert, [blank, make_example(nlp, *TEXTS[0])])
        assert (beside.spans - 3 == alone.spans).all()
        assert (beside.pairs == alone.pairs).all()

    def test_annotated_document_without_entities_gives_loss(self, trained):
        nlp = clone(trained)
        assert nlp.update([make_example(nlp, "Ann met Bob")])["spert"] > 0.0


class TestSentenceWindows:
    def test_each_sentence_is_read_on_its_own(self, encoder):
        nlp = make_nlp(encoder, spans=SENT_SPANS, max_span_width=4, model={"dropout": 0.0})
        nlp.add_pipe("sentencizer", first=True)
        initialize(nlp)
        losses = train(nlp, 20, annotates=["sentencizer"])
        assert losses[-1] < losses[0] / 2
        texts = [TEXTS[0][0], TEXTS[4][0]]
        (first, scores), (second, more_scores) = (prediction(nlp(text)) for text in texts)
        n = len(nlp.make_doc(texts[0]))
        spans = [*first[0], *((start + n, end + n, label) for start, end, label in second[0])]
        both, all_scores = prediction(nlp(" ".join(texts)))
        assert len(spans) > 3 and both[0] == spans
        expected = [*scores[: len(first[0])], *more_scores[: len(second[0])]]
        assert all_scores[: len(spans)] == pytest.approx(expected, abs=1e-5)

    def test_overlapping_windows_train(self, encoder):
        nlp = make_nlp(encoder, spans=strided(4, 2), max_span_width=4, model={"dropout": 0.0})
        initialize(nlp)
        losses = train(nlp, 20)
        assert losses[-1] < losses[0] / 2


class TestMisfit:
    def test_weights_of_a_model_with_other_labels(self, trained, encoder):
        other = untrained(encoder, [PAIR], max_span_width=4, model={"width_embedding": 8})
        with pytest.raises(ValueError, match="weights of component 'spert'.*1 entity and 1 relation labels"):
            other.get_pipe("spert").from_bytes(trained.get_pipe("spert").to_bytes(), exclude=["cfg", "vocab"])

    def test_component_with_other_labels_over_an_initialized_one(self, trained, encoder):
        other = untrained(encoder, [PAIR], max_span_width=4, model={"width_embedding": 8})
        with pytest.raises(ValueError, match="The files come from another model"):
            other.get_pipe("spert").from_bytes(trained.get_pipe("spert").to_bytes())

    def test_weights_of_another_width(self, trained, encoder, tmp_path):
        nlp = spacy.blank("xx")
        block = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 1, "embed_size": 50, "window_size": 1}
        block.update(maxout_pieces=2, subword_features=True, pretrained_vectors=None)
        nlp.add_pipe("spert", config={"max_span_width": 4, "model": {"tok2vec": block, "width_embedding": 8}})
        trained.get_pipe("spert").to_disk(tmp_path / "spert")
        with pytest.raises(ValueError, match="weights of component 'spert'"):
            nlp.get_pipe("spert").from_disk(tmp_path / "spert")

    def test_weights_of_another_max_span_width(self, trained, encoder):
        other = untrained(encoder, max_span_width=7, model={"width_embedding": 8})
        with pytest.raises(ValueError, match="spans of up to"):
            other.get_pipe("spert").from_bytes(trained.get_pipe("spert").to_bytes(), exclude=["cfg", "vocab"])


def test_spans_of_another_group_are_not_touched(trained):
    doc = Doc(trained.vocab, words=TEXTS[0][0].split())
    set_entities(doc, "other", [Span(doc, 0, 2, label="X"), Span(doc, 3, 4, label="Y")], [(0, 1, "r", 1.0)])
    trained(doc)
    assert entities_of(doc, "other") == [(0, 2, "X"), (3, 4, "Y")]
    assert ((0, 2), (3, 4), "r") in relations_of(doc)


def test_what_is_related_becomes_an_entity(trained):
    """With all spans paired and the lowest threshold every pair is related; with a high one only entities are."""
    nlp = clone(trained)
    cfg = nlp.get_pipe("spert").cfg
    texts = [text for text, _, _ in TEXTS]
    before = list(nlp.pipe(texts))
    cfg["pairing_threshold"] = 0.999
    for old, doc in zip(before, nlp.pipe(texts)):
        assert prediction(doc)[0] == prediction(old)[0]
        group = doc.spans["spert"]
        certain = {(span.start, span.end): score for span, score in zip(group, group.attrs["scores"])}
        for relation, (head, tail, _, score) in zip(old._.relations, doc._.relations):
            ends = certain[head.start, head.end] * certain[tail.start, tail.end]
            assert score == pytest.approx(relation.score * ends, abs=1e-6)
    cfg.update(pairing_threshold=0.0, relation_threshold=0.0, entities_per_token=0, relations_per_token=0)
    doc = nlp("Ann works")
    assert [(span.start, span.end) for span in doc.spans["spert"]] == [(0, 1), (0, 2), (1, 2)]
    assert len(doc._.relations) == 6 * len(nlp.get_pipe("spert").relation_labels) - 3 * len(cfg["symmetric_labels"])
    cfg["relation_threshold"] = 1.0
    kept = {(span.start, span.end) for span in nlp("Ann works").spans["spert"]}
    cfg.update(pairing_threshold=None, relation_threshold=0.4)
    assert kept == {(span.start, span.end) for span in nlp("Ann works").spans["spert"]}
