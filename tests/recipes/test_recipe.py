"""What annotated documents hold, and the settings that are chosen for them."""

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from util import make_example, make_examples

from spacy_spert.recipes.choices import choose_settings
from spacy_spert.recipes.config import make_config
from spacy_spert.recipes.encoder import Encoder, read_encoder
from spacy_spert.recipes.survey import take_survey

PEOPLE = [(0, 1, "PER"), (2, 3, "PER")]


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("xx")


@pytest.fixture(scope="module")
def tiny(nlp):
    return take_survey(make_examples(nlp), "spert")


def survey_of(nlp, texts):
    return take_survey([make_example(nlp, *text) for text in texts], "spert")


def values_of(choices):
    return {choice.setting: choice.value for choice in choices}


def why_of(choices, setting):
    return next(choice.why for choice in choices if choice.setting == setting)


class TestSurvey:
    def test_counts(self, tiny):
        assert sorted(tiny.lengths) == [5, 5, 5, 6, 7, 8, 9, 9]
        assert tiny.annotated == 8
        assert tiny.widths == {1: 13, 2: 5, 3: 1}
        assert tiny.entities == {"PER": 6, "ORG": 7, "LOC": 6}
        assert tiny.relations == {"works_for": 3, "based_in": 4, "partner_of": 3}
        assert (tiny.crossing, tiny.split) == (0, 0)

    def test_widths(self, tiny):
        assert [tiny.width(share) for share in (0.5, 0.69, 0.9, 1.0)] == [1, 2, 2, 3]
        assert tiny.covered(2) == pytest.approx(18 / 19)
        assert [tiny.length(share) for share in (0.0, 0.5, 1.0)] == [5, 7, 9]

    def test_widths_are_those_of_the_pipeline_without_white_space(self, nlp):
        """The annotated document has one token where the pipeline has three, of which one is white space."""
        predicted = nlp.make_doc("New  York shines")
        assert [token.text for token in predicted] == ["New", " ", "York", "shines"]
        reference = Doc(nlp.vocab, words=["New  York", "shines"])
        reference.set_ents([reference.char_span(0, 9, label="LOC")])
        survey = take_survey([Example(predicted, reference)], "spert")
        assert survey.widths == {2: 1} and survey.lengths == [3]

    def test_relations_that_cross_sentences(self, nlp):
        text = ("Ann met Bob . Eve left Zeta .", [(0, 1, "PER"), (2, 3, "PER"), (4, 5, "PER")])
        survey = survey_of(nlp, [(*text, [(0, 1, "knows"), (1, 2, "knows"), (0, 2, "knows")])])
        assert survey.crossing == 2 and survey.relations == {"knows": 3}

    def test_a_relation_of_a_split_entity_crosses_sentences(self, nlp):
        survey = survey_of(nlp, [("Ann and the St . Mary Inn", [(0, 1, "PER"), (2, 6, "ORG")], [(0, 1, "at")])])
        assert (survey.split, survey.crossing) == (1, 1)

    def test_nothing(self, nlp):
        survey = take_survey([Example(nlp.make_doc("Ann"), nlp.make_doc("Ann"))], "spert")
        assert (survey.annotated, survey.width(1.0), survey.covered(3)) == (0, 0, 1.0)


class TestSymmetric:
    @pytest.mark.parametrize(
        "n, relations, expected",
        [
            (1, [(0, 1, "spouse"), (1, 0, "spouse")], ["spouse"]),
            (20, [(0, 1, "spouse")], ["spouse"]),
            (19, [(0, 1, "spouse")], []),
            (20, [(1, 0, "spouse")], []),
        ],
    )
    def test_both_directions_or_always_the_same(self, nlp, n, relations, expected):
        survey = survey_of(nlp, [("Ann loves Bob", PEOPLE, relations)] * n)
        assert survey.symmetric_labels == expected

    def test_order_says_nothing_where_the_labels_differ(self, nlp):
        text = ("Ann at Zeta", [(0, 1, "PER"), (2, 3, "ORG")], [(0, 1, "works_for")])
        assert survey_of(nlp, [text] * 30).symmetric_labels == []

    def test_one_relation_the_other_way_round_gives_a_direction(self, nlp):
        texts = [("Ann begat Bob", PEOPLE, [(0, 1, "parent_of")])] * 30
        assert survey_of(nlp, [*texts, ("Ann , Bob", PEOPLE, [(1, 0, "parent_of")])]).symmetric_labels == []


class TestChoices:
    def test_steps_by_the_size_of_the_data(self, nlp, tiny):
        train = take_many(tiny, 922, 29)
        values = values_of(choose_settings(train, tiny, Encoder("e", "base", "")))
        # 1.2 * 4 * 29 tokens, in which four documents of 29 have a place.
        assert values["training.batcher.size"] == 139
        # Of each 256 documents, and of the last 154: (3 * 64 + 39) * 20
        assert values["training.max_steps"] == 4620
        assert values["training.eval_frequency"] == 462
        for rate in ("learn_rate", "head_learn_rate"):
            assert values[f"training.optimizer.{rate}.total_steps"] == 4620
            assert values[f"training.optimizer.{rate}.warmup_steps"] == 462

    def test_little_data_is_read_more_often(self, tiny):
        choices = choose_settings(tiny, tiny, Encoder("e", "base", ""))
        assert values_of(choices)["training.max_steps"] == 500
        assert why_of(choices, "training.max_steps") == "167 times over 8 documents in 3 batches"

    def test_much_data_is_read_less_often(self, tiny):
        train = take_many(tiny, 20_000)
        assert values_of(choose_settings(train, tiny, Encoder("e", "base", "")))["training.max_steps"] == 25_000

    @pytest.mark.parametrize("n_dev, evaluations", [(8, 10), (500, 3), (5000, 2)])
    def test_much_development_data_is_scored_less_often(self, tiny, n_dev, evaluations):
        values = values_of(choose_settings(take_many(tiny, 100), take_many(tiny, n_dev), Encoder("e", "base", "")))
        assert values["training.max_steps"] / values["training.eval_frequency"] == evaluations

    @pytest.mark.parametrize("length, size", [(30, 144), (400, 1024), (2000, 1024)])
    def test_batches_of_long_documents_are_smaller(self, tiny, length, size):
        train = take_many(tiny, 100, length)
        assert values_of(choose_settings(train, tiny, Encoder("e", "base", "")))["training.batcher.size"] == size

    @pytest.mark.parametrize(
        "widths, expected", [({1: 9}, 5), ({9: 1, 1: 999}, 9), ({30: 1, 7: 999}, 7), ({12: 9}, 12), ({99: 5}, 40)]
    )
    def test_span_width(self, tiny, widths, expected):
        train = take_many(tiny, 100)
        train.widths.clear()
        train.widths.update(widths)
        choices = choose_settings(train, tiny)
        assert values_of(choices)["components.spert.max_span_width"] == expected

    def test_share_of_the_entities_that_the_width_covers(self, nlp, tiny):
        choices = choose_settings(tiny, survey_of(nlp, [("a b c d e f", [(0, 6, "X"), (0, 1, "X")], [])]))
        why = "covers 100.00% of the entities of the training data, 50.00% of dev"
        assert why_of(choices, "components.spert.max_span_width") == why

    def test_labels(self, tiny):
        values = values_of(choose_settings(tiny, tiny))
        assert values["initialize.components.spert.labels"] == {
            "entities": ["LOC", "ORG", "PER"],
            "relations": ["based_in", "partner_of", "works_for"],
        }
        assert values["components.spert.symmetric_labels"] == []

    def test_symmetric_labels_can_be_given(self, tiny):
        values = values_of(choose_settings(tiny, tiny, symmetric=["partner_of"]))
        assert values["components.spert.symmetric_labels"] == ["partner_of"]
        with pytest.raises(ValueError, match=r"S017.*'loves' is not among"):
            choose_settings(tiny, tiny, symmetric=["loves"])

    def test_without_relations_only_entities_are_learned(self, nlp):
        survey = survey_of(nlp, [("Ann loves Bob", PEOPLE, [])])
        values = values_of(choose_settings(survey, survey, Encoder("e", "base", "")))
        assert values["components.spert.factory"] == "spert_entities"
        config = make_config(choose_settings(survey, survey), "xx", "t", "d")
        assert "relation_threshold" not in config["components"]["spert"]

    def test_without_entities(self, nlp):
        survey = survey_of(nlp, [("Ann", [], [])])
        with pytest.raises(ValueError, match="S010"):
            choose_settings(survey, survey)

    def test_sentences_of_long_documents(self, nlp):
        words = " ".join(["so it is ."] * 40)
        text = (f"Ann . Bob {words}", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "knows")])
        choices = choose_settings(*[survey_of(nlp, [text])] * 2)
        values = values_of(choices)
        assert values["nlp.pipeline"] == ["sentencizer", "spert"]
        assert values["training.annotating_components"] == ["sentencizer"]
        assert "1 of the 1 relations cross sentences and can't be found" in why_of(choices, "nlp.pipeline")
        weights = make_config(choices, "xx", "t", "d")["training"]["score_weights"]
        assert (weights["sents_f"], weights["spans_spert_f"], weights["rels_strict_f"]) == (None, 0.5, 0.5)


def take_many(survey, n, length=None):
    """The same survey as if there were other documents."""
    from copy import deepcopy

    survey = deepcopy(survey)
    survey.lengths = [length or survey.length(0.5)] * n
    return survey


class TestEncoder:
    def test_a_folder(self, encoder):
        found = read_encoder(str(encoder))
        assert found[:4] == (str(encoder), "small", "2 layers of 32", 128)

    @pytest.mark.parametrize(
        "width, size", [(384, "small"), (512, "small"), (768, "base"), (1024, "large"), (513, "base")]
    )
    def test_sizes(self, tmp_path, width, size):
        from transformers import BertConfig

        BertConfig(hidden_size=width, num_attention_heads=1).save_pretrained(tmp_path)
        assert read_encoder(str(tmp_path)).size == size

    def test_positions_that_begin_with_two(self, tmp_path):
        from transformers import RobertaConfig

        RobertaConfig(max_position_embeddings=130).save_pretrained(tmp_path)
        assert read_encoder(str(tmp_path)).max_length == 128

    def test_a_tokenizer_that_pads_on_the_left(self, tmp_path):
        from transformers import XLNetConfig

        XLNetConfig().save_pretrained(tmp_path)
        found = read_encoder(str(tmp_path))
        assert (found.max_length, found.tokenizer) == (512, {"padding_side": "right"})

    @pytest.mark.parametrize(
        "name, size",
        [
            ("bert-base-cased", "base"),
            ("FacebookAI/xlm-roberta-large", "large"),
            ("sentence-transformers/all-MiniLM-L6-v2", "small"),
            ("microsoft/deberta-v3-xsmall", "small"),
        ],
    )
    def test_a_name(self, name, size, monkeypatch):
        monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
        assert read_encoder(name).size == size

    def test_a_folder_without_a_transformer(self, tmp_path):
        with pytest.raises(ValueError, match=r"S202.*config\.json is missing"):
            read_encoder(str(tmp_path))

    def test_window_fits(self, tiny, encoder):
        values = values_of(choose_settings(tiny, tiny, read_encoder(str(encoder))))
        block = "components.transformer.model"
        assert values[f"{block}.tokenizer_config"] == {"use_fast": True, "model_max_length": 128}
        assert (values[f"{block}.get_spans.window"], values[f"{block}.get_spans.stride"]) == (64, 48)
