"""Settings: their checks, and one truth for `cfg` and the config of the pipeline."""

import copy
import pickle

import numpy
import pytest
import spacy
from spacy.util import load_config, load_model_from_config
from util import CNN, TEXTS, clone, initialize, make_examples, make_nlp

from spacy_spert.settings import CHECKS, Settings


def config_of(nlp, name="spert"):
    return nlp.get_pipe_config(name)


def cfg_of(nlp, name="spert"):
    return nlp.get_pipe(name).cfg


@pytest.fixture(scope="module")
def small():
    """A pipeline without transformer, initialized."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"max_span_width": 4, "relation_threshold": 0.7, "model": {"tok2vec": CNN}})
    return initialize(nlp)


@pytest.fixture
def nlp(small):
    return clone(small)


@pytest.fixture
def path(nlp, tmp_path):
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


class TestChecks:
    def test_every_setting_is_checked(self):
        assert set(CHECKS) == set(cfg_of(spacy.blank("xx").__class__.from_config(MINIMAL))) - NOT_SET

    @pytest.mark.parametrize(
        "setting, value",
        [
            ("relation_threshold", "0.4"),
            ("max_span_width", "10"),
            ("max_span_width", 2.5),
            ("negative_spans", True),
            ("entities_per_token", None),
            ("symmetric_labels", "partner_of"),
            ("spans_key", ""),
            ("overwrite_ents", 1),
            ("relation_scope", "paragraph"),
            ("relation_scope", 0),
            ("relation_scope", True),
            ("relation_scope", None),
            ("relation_scope", ["sentence"]),
        ],
    )
    def test_value_of_another_kind_is_named(self, nlp, setting, value):
        cfg_of(nlp)[setting] = value
        with pytest.raises(ValueError, match=rf"\[S031\] Setting {setting} of component 'spert' must be .*, got: "):
            initialize(nlp)

    @pytest.mark.parametrize("scope", ["sentence", 1, 3, "document"])
    def test_scopes(self, scope):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert", config={"relation_scope": scope, "model": {"tok2vec": CNN}})
        assert cfg_of(nlp)["relation_scope"] == scope
        assert config_of(clone(initialize(nlp)))["relation_scope"] == scope

    @pytest.mark.parametrize("scope", ["paragraph", 0, 1.5])
    def test_other_scopes_are_named_when_the_pipeline_is_made(self, scope):
        with pytest.raises(ValueError, match="relation_scope"):
            spacy.blank("xx").add_pipe("spert", config={"relation_scope": scope, "model": {"tok2vec": CNN}})

    def test_numbers_of_numpy_become_plain(self):
        assert type(Settings({"a": numpy.float64(0.5)})["a"]) is float


class TestOneTruth:
    def test_change_is_in_the_config(self, nlp):
        cfg_of(nlp)["relation_threshold"] = 0.5
        cfg_of(nlp).update(symmetric_labels=["partner_of"])
        assert config_of(nlp)["relation_threshold"] == 0.5
        assert nlp.config["components"]["spert"]["symmetric_labels"] == ["partner_of"]

    def test_assigned_settings_are_in_the_config(self, nlp):
        """As `spacy find-threshold` does."""
        nlp.get_pipe("spert").cfg = {**cfg_of(nlp), "relation_threshold": numpy.float64(0.25)}
        assert config_of(nlp)["relation_threshold"] == cfg_of(nlp)["relation_threshold"] == 0.25
        cfg_of(nlp)["relation_threshold"] = 0.5
        assert config_of(nlp)["relation_threshold"] == 0.5

    def test_change_is_saved(self, nlp, tmp_path):
        cfg_of(nlp)["relation_threshold"] = 0.5
        nlp.to_disk(tmp_path)
        assert load_config(tmp_path / "config.cfg")["components"]["spert"]["relation_threshold"] == 0.5
        assert cfg_of(spacy.load(tmp_path))["relation_threshold"] == 0.5

    def test_config_given_at_load(self, path, tmp_path):
        nlp = spacy.load(path, config={"components": {"spert": {"relation_threshold": 0.2}}})
        assert cfg_of(nlp)["relation_threshold"] == config_of(nlp)["relation_threshold"] == 0.2
        assert cfg_of(nlp)["max_span_width"] == 4
        nlp.to_disk(tmp_path / "again")
        assert cfg_of(spacy.load(tmp_path / "again"))["relation_threshold"] == 0.2

    @pytest.mark.parametrize("value", [0.2, 0.7])
    def test_config_edited_after_saving(self, nlp, tmp_path, value):
        """Also back to what it was before `cfg` was changed."""
        cfg_of(nlp)["relation_threshold"] = 0.5
        nlp.to_disk(tmp_path)
        text = (tmp_path / "config.cfg").read_text(encoding="utf8")
        changed = text.replace("relation_threshold = 0.5", f"relation_threshold = {value}")
        assert changed != text
        (tmp_path / "config.cfg").write_text(changed, encoding="utf8")
        assert cfg_of(spacy.load(tmp_path))["relation_threshold"] == value

    def test_config_given_to_a_pipeline_that_loads_bytes(self, nlp):
        config = nlp.config.copy()
        config["components"]["spert"]["relation_threshold"] = 0.2
        other = load_model_from_config(config).from_bytes(nlp.to_bytes())
        assert cfg_of(other)["relation_threshold"] == 0.2

    def test_loading_again_restores(self, path):
        nlp = spacy.load(path)
        cfg_of(nlp)["relation_threshold"] = 0.2
        nlp.from_disk(path)
        assert cfg_of(nlp)["relation_threshold"] == config_of(nlp)["relation_threshold"] == 0.7

    def test_component_loaded_alone_has_its_own_settings(self, nlp):
        data = nlp.get_pipe("spert").to_bytes()
        other = spacy.blank("xx")
        other.add_pipe("spert", config={"model": {"tok2vec": CNN}}).from_bytes(data)
        assert cfg_of(other)["relation_threshold"] == config_of(other)["relation_threshold"] == 0.7

    def test_pipeline_saved_without_a_record(self, path):
        """As older versions did: nobody knows what the config said, so that `cfg` counts."""
        import srsly

        cfg = srsly.read_json(path / "spert" / "cfg")
        assert cfg.pop("config")["relation_threshold"] == [pytest.approx(0.7)]
        srsly.write_json(path / "spert" / "cfg", {**cfg, "relation_threshold": 0.3})
        nlp = spacy.load(path)
        assert cfg_of(nlp)["relation_threshold"] == config_of(nlp)["relation_threshold"] == 0.3

    def test_variable_in_the_config_stays_until_it_is_changed(self, nlp):
        config = nlp.config.copy()
        config["variables"] = {"threshold": 0.7}
        config["components"]["spert"]["relation_threshold"] = "${variables.threshold}"
        other = load_model_from_config(config).from_bytes(nlp.to_bytes())
        assert config_of(other)["relation_threshold"] == "${variables.threshold}"
        cfg_of(other)["relation_threshold"] = 0.5
        assert config_of(other)["relation_threshold"] == 0.5

    @pytest.mark.parametrize("setting, value", [("max_span_width", 7), ("task", "entities")])
    def test_setting_that_needs_other_weights(self, path, setting, value):
        with pytest.raises(ValueError, match=rf"\[S034\] The config says {setting} = {value!r}.*trained with"):
            spacy.load(path, config={"components": {"spert": {setting: value}}})

    def test_value_out_of_range_given_at_load(self, path):
        with pytest.raises(ValueError, match="relation_threshold"):
            spacy.load(path, config={"components": {"spert": {"relation_threshold": 4.0}}})

    def test_dict_methods(self, nlp):
        cfg = cfg_of(nlp)
        cfg |= {"relation_threshold": 0.66}
        assert cfg.setdefault("relation_threshold", 0.1) == 0.66 and cfg.setdefault("new", 1) == cfg["new"] == 1
        assert config_of(nlp)["relation_threshold"] == 0.66

    def test_config_of_the_component_edited_before_it_is_saved(self, nlp, tmp_path):
        nlp.get_pipe_config("spert")["relation_threshold"] = 0.8
        nlp.to_disk(tmp_path)
        loaded = spacy.load(tmp_path)
        assert cfg_of(loaded)["relation_threshold"] == config_of(loaded)["relation_threshold"] == 0.8
        loaded.to_disk(tmp_path)
        assert cfg_of(spacy.load(tmp_path))["relation_threshold"] == 0.8

    def test_copies_share_no_rows(self, nlp):
        cfg_of(nlp)["relation_thresholds"] = [["works_for", 0.5]]
        copied = copy.deepcopy(cfg_of(nlp))
        copied["relation_thresholds"][0][1] = 0.9
        assert config_of(nlp)["relation_thresholds"] == cfg_of(nlp)["relation_thresholds"] == [["works_for", 0.5]]

    def test_list_changed_in_place(self, nlp, tmp_path):
        cfg_of(nlp)["symmetric_labels"].append("partner_of")
        nlp.to_disk(tmp_path)
        assert cfg_of(spacy.load(tmp_path))["symmetric_labels"] == ["partner_of"]

    def test_renamed_component(self, nlp):
        nlp.rename_pipe("spert", "other")
        cfg_of(nlp, "other")["relation_threshold"] = 0.5
        assert config_of(nlp, "other")["relation_threshold"] == 0.5

    def test_removed_component_changes_no_config(self, nlp):
        pipe = nlp.get_pipe("spert")
        nlp.remove_pipe("spert")
        nlp.add_pipe("spert", config={"model": {"tok2vec": CNN}})
        pipe.cfg["relation_threshold"] = 0.5
        assert config_of(nlp)["relation_threshold"] == 0.4

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, dict, lambda cfg: cfg.copy()])
    def test_copy_of_cfg_changes_no_config(self, nlp, copied):
        copied(cfg_of(nlp))["relation_threshold"] = 0.5
        assert config_of(nlp)["relation_threshold"] == cfg_of(nlp)["relation_threshold"] == 0.7


class TestCopies:
    """What is changed in a copy of a pipeline is not lost when it is saved, and the original keeps its own."""

    @staticmethod
    def sourced(nlp):
        other = spacy.blank("xx")
        other.add_pipe("spert", source=nlp)
        return other

    @staticmethod
    def pickled(nlp):
        return pickle.loads(pickle.dumps(nlp))

    @pytest.mark.parametrize("kind", ["sourced", "pickled"])
    def test_change_survives(self, nlp, tmp_path, kind):
        other = getattr(self, kind)(nlp)
        cfg_of(other)["relation_threshold"] = 0.5
        other.to_disk(tmp_path)
        loaded = spacy.load(tmp_path)
        assert cfg_of(loaded)["relation_threshold"] == config_of(loaded)["relation_threshold"] == 0.5

    @pytest.mark.parametrize("kind", ["sourced", "pickled"])
    def test_config_edited_after_saving(self, nlp, tmp_path, kind):
        other = getattr(self, kind)(nlp)
        other.to_disk(tmp_path)
        loaded = spacy.load(tmp_path, config={"components": {"spert": {"relation_threshold": 0.2}}})
        assert cfg_of(loaded)["relation_threshold"] == 0.2

    def test_initialize_keeps_the_config_in_step_again(self, nlp):
        other = self.sourced(nlp)
        cfg_of(other)["relation_threshold"] = 0.5
        other.initialize(lambda: make_examples(other))
        assert config_of(other)["relation_threshold"] == 0.5

    def test_component_keeps_no_pipeline_alive(self, nlp):
        import gc
        import weakref

        pipe = self.sourced(nlp).get_pipe("spert")
        other = clone(nlp)
        kept, gone = other.get_pipe("spert"), weakref.ref(other)
        del other
        gc.collect()
        assert gone() is None
        kept.cfg["relation_threshold"] = pipe.cfg["relation_threshold"] = 0.5

    def test_component_alone(self, nlp):
        pipe = pickle.loads(pickle.dumps(nlp.get_pipe("spert")))
        assert pipe.cfg == cfg_of(nlp) and pipe.name == "spert"
        pipe.cfg["relation_threshold"] = 0.5
        assert cfg_of(nlp)["relation_threshold"] == 0.7


NOT_SET = {"learned_types", "entity_labels", "relation_labels", "width"}
MINIMAL = {"nlp": {"lang": "xx", "pipeline": ["spert"]}, "components": {"spert": {"factory": "spert"}}}


def test_predictions_follow_the_config_given_at_load(trained, tmp_path):
    trained.to_disk(tmp_path)
    nlp = spacy.load(tmp_path, config={"components": {"spert": {"relation_threshold": 1.0}}})
    assert nlp(TEXTS[0][0])._.relations == () or nlp(TEXTS[0][0])._.relations == []
    assert len(spacy.load(tmp_path)(TEXTS[0][0])._.relations) == 2


def test_settings_of_another_encoder(encoder):
    assert cfg_of(make_nlp(encoder, max_span_width=3))["max_span_width"] == 3
