"""Pipelines that earlier releases saved, and what is said of those that can't be read.

`tests/saved/save_release.py` made the folders in `tests/saved/`, one for each release.
"""

import io
import json
import shutil
import socket
from pathlib import Path

import catalogue
import numpy
import pytest
import spacy
import srsly
import torch
from spacy.tokens import DocBin
from util import TEXTS, entities_of, gold_relations, prediction, relations_of, train

import spacy_spert
from spacy_spert import versions
from spacy_spert.versions import FORMAT, FORMATS, add_requirement, requirement, retired

SAVED = Path(__file__).parent / "saved"
RELEASES = sorted(path.name for path in SAVED.iterdir() if path.is_dir() and path.name[0].isdigit())
PIPELINES = [SAVED / release / name for release in RELEASES for name in ("tok2vec", "transformer")]
LATEST = SAVED / RELEASES[-1] / "tok2vec"


def outputs_of(nlp):
    return [prediction(nlp(text)) for text, _, _ in TEXTS]


def assert_as_saved(outputs, path):
    """The same entities and relations, with scores that differ by 1e-5 at most."""
    expected = srsly.read_json(path.with_suffix(".json"))
    # Tuples are lists in the file.
    assert json.loads(json.dumps([found for found, _ in outputs])) == [found for found, _ in expected]
    for (_, scores), (_, others) in zip(outputs, expected):
        numpy.testing.assert_allclose(scores, others, rtol=0, atol=1e-5)


@pytest.fixture(params=PIPELINES, ids=lambda path: f"{path.parent.name}-{path.name}")
def path(request):
    return request.param


@pytest.fixture
def copy(tmp_path):
    """A pipeline of the latest release, to be altered."""
    shutil.copytree(LATEST, tmp_path / "copy")
    return tmp_path / "copy"


def change_json(path, change):
    """Alter a JSON file in place."""
    value = srsly.read_json(path)
    change(value)
    srsly.write_json(path, value)


def change_config(path, old, new):
    """Alter the config of a pipeline in place."""
    text = (path / "config.cfg").read_text(encoding="utf8")
    assert old in text
    (path / "config.cfg").write_text(text.replace(old, new), encoding="utf8")


def rename_weight(path, old, new):
    """Alter the weights of a component in place."""
    model = srsly.msgpack_loads(path.read_bytes())
    for shims in model["shims"]:
        for i, data in enumerate(shims):
            shim = srsly.msgpack_loads(data)
            weights = torch.load(io.BytesIO(shim["state"]), weights_only=True)
            weights[new] = weights.pop(old)
            buffer = io.BytesIO()
            torch.save(weights, buffer)
            shims[i] = srsly.msgpack_dumps({**shim, "state": buffer.getvalue()})
    path.write_bytes(srsly.msgpack_dumps(model))


class TestReleases:
    def test_loads_and_gives_the_same(self, path):
        """A warning would be an error."""
        assert_as_saved(outputs_of(spacy.load(path)), path)

    def test_is_saved_again(self, path, tmp_path):
        nlp = spacy.load(path)
        nlp.to_disk(tmp_path / "again")
        assert_as_saved(outputs_of(spacy.load(tmp_path / "again")), path)
        cfg = srsly.read_json(tmp_path / "again" / "spert" / "cfg")
        assert (cfg["version"], cfg["format"]) == (spacy_spert.__version__, FORMAT)
        assert srsly.read_json(tmp_path / "again" / "meta.json")["requirements"] == [requirement()]

    def test_trains_on(self, path):
        nlp = spacy.load(path)
        losses = train(nlp, 3, learn_rate=0.001)
        assert losses[-1] < losses[0] < 20

    def test_never_asks_a_hub(self, tmp_path, monkeypatch):
        """Whatever the config says of where the transformer came from."""
        monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the network"))
        path = SAVED / RELEASES[-1] / "transformer"
        shutil.copytree(path, tmp_path / "copy")
        change_config(tmp_path / "copy", 'name = "tiny"', 'name = "bert-base-cased"')
        assert_as_saved(outputs_of(spacy.load(tmp_path / "copy")), path)

    def test_annotated_documents(self, path):
        docs = DocBin().from_disk(path.parent / "docs.spacy").get_docs(spacy.blank("xx").vocab)
        expected = [(sorted(entities), gold_relations(entities, relations)) for _, entities, relations in TEXTS]
        assert [(entities_of(doc), relations_of(doc)) for doc in docs] == expected


class TestFormats:
    def test_each_came_with_a_version(self):
        assert FORMATS[FORMAT] <= spacy_spert.__version__
        assert set(FORMATS.values()) <= {*RELEASES, spacy_spert.__version__}

    def test_settings_that_are_new_since_the_last_release_take_a_new_format(self):
        """Its configs say all settings, so that earlier versions can't read one with another."""
        saved = srsly.read_json(LATEST / "spert" / "cfg")
        known = {*spacy.blank("xx").add_pipe("spert").cfg, "version", "format", "config"}
        assert set(saved) == known or saved["format"] < FORMAT or saved["version"] == spacy_spert.__version__

    def test_a_setting_that_was_not_known_has_its_default(self, copy):
        change_config(copy, "near_miss_none = 0.9\n", "")
        change_json(
            copy / "spert" / "cfg", lambda cfg: (cfg.pop("near_miss_none"), cfg["config"].pop("near_miss_none"))
        )
        nlp = spacy.load(copy)
        assert nlp.get_pipe("spert").cfg["near_miss_none"] == 0.9
        assert_as_saved(outputs_of(nlp), LATEST)

    def test_a_pipeline_without_version_is_of_the_first(self, copy):
        change_json(copy / "spert" / "cfg", lambda cfg: (cfg.pop("version"), cfg.pop("format")))
        change_json(copy / "meta.json", lambda meta: meta.pop("requirements"))
        assert_as_saved(outputs_of(spacy.load(copy)), LATEST)


class TestRefused:
    def test_newer_format(self, copy):
        change_json(copy / "spert" / "cfg", lambda cfg: cfg.update(version="0.9.0", format=99))
        with pytest.raises(ValueError, match=r"S203.*saved by spacy-spert 0\.9\.0 in format 99") as error:
            spacy.load(copy)
        assert f"This is spacy-spert {spacy_spert.__version__}, which reads 1" in str(error.value)
        assert "pip install 'spacy-spert==0.9.0'" in str(error.value)

    def test_newer_pipeline_with_a_new_setting(self, copy):
        """Before spaCy complains about the setting."""
        change_json(copy / "meta.json", lambda meta: meta.update(requirements=["spacy-spert>=0.9.0,<2"]))
        change_config(copy, "[components.spert]\n", "[components.spert]\nfuture = 1\n")
        with pytest.raises(ImportError, match="S206") as error:
            spacy.load(copy)
        assert f"for spacy-spert>=0.9.0,<2, and this is spacy-spert {spacy_spert.__version__}" in str(error.value)

    def test_format_that_is_not_read_any_more(self, copy, monkeypatch):
        monkeypatch.setattr(versions, "FORMATS", {7: "8.0.0"})
        with pytest.raises(ImportError, match=r"S206.*for spacy-spert>=0\.1\.0,<2"):
            spacy.load(copy)

    def test_component_alone(self, copy):
        change_json(copy / "spert" / "cfg", lambda cfg: cfg.update(format=0))
        with pytest.raises(ValueError, match=r"S203.*saved by spacy-spert 0\.1\.0 in format 0"):
            spacy.blank("xx").add_pipe("spert").from_disk(copy / "spert")

    def test_setting_that_does_not_exist(self, copy):
        change_json(copy / "spert" / "cfg", lambda cfg: cfg.update(version="0.0.9", gone=1))
        with pytest.raises(ValueError, match=r"S204.*saved by spacy-spert 0\.0\.9 with a setting 'gone'"):
            spacy.load(copy)

    def test_setting_in_the_config_that_does_not_exist(self, copy):
        change_config(copy, "[components.spert]\n", "[components.spert]\ngone = 1\n")
        with pytest.raises(ValueError, match="gone"):
            spacy.load(copy)

    def test_registered_name_that_does_not_exist(self, copy):
        change_config(copy, "spacy-spert.RelationHead.v1", "spacy-spert.RelationHead.v9")
        with pytest.raises(ValueError, match=r"spacy-spert\.RelationHead\.v9"):
            spacy.load(copy)

    def test_weight_of_another_name(self, copy):
        rename_weight(copy / "spert" / "model", "span_head.layer.bias", "span_head.layer.gone")
        with pytest.raises(ValueError, match="S025") as error:
            spacy.load(copy)
        message = str(error.value)
        assert f"saved by spacy-spert 0.1.0, and this is {spacy_spert.__version__}" in message
        assert "span_head.layer.bias" in message and "span_head.layer.gone" in message


class TestRequirement:
    def test_is_wider_than_a_minor_version(self):
        assert requirement() == f"spacy-spert>={FORMATS[FORMAT]},<2"
        assert spacy.util.is_compatible_version(spacy_spert.__version__, requirement().removeprefix("spacy-spert"))
        for version in ("0.2.0", "0.99", "1.5.2"):
            assert spacy.util.is_compatible_version(version, requirement().removeprefix("spacy-spert"))

    def test_stands_once_in_the_meta(self):
        nlp = spacy.blank("xx")
        nlp.meta["requirements"] = ["other>=1", "spacy-spert>=0.0.5,<1"]
        add_requirement(nlp)
        add_requirement(nlp)
        assert nlp.meta["requirements"] == ["other>=1", requirement()]

    def test_what_it_needs_besides_stays(self):
        nlp = spacy.blank("xx")
        nlp.meta["requirements"] = ["spacy-spert[onnx]>=0.0.5,<1"]
        add_requirement(nlp)
        assert nlp.meta["requirements"] == [requirement("[onnx]")]

    def test_of_the_user_stays(self):
        nlp = spacy.blank("xx")
        nlp.meta["requirements"] = ["spacy-spert==0.1.0"]
        nlp.add_pipe("spert")
        assert nlp.meta["requirements"] == ["spacy-spert==0.1.0"]

    # spaCy leaves the files of a package to the garbage collector to close.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_is_that_of_packages(self, tmp_path):
        from spacy.cli.package import package

        package(LATEST, tmp_path, name="tiny", version="0.0.1", create_sdist=False)
        meta = srsly.read_json(tmp_path / "xx_tiny-0.0.1" / "meta.json")
        assert [line for line in meta["requirements"] if line.startswith("spacy-spert")] == [requirement()]


class TestRetiredNames:
    def test_of_the_registry(self, monkeypatch):
        registry, old, new = spacy.registry.architectures, "spacy-spert.OldHead.v1", "spacy-spert.RelationHead.v1"
        # As an entry point would have it.
        function = retired(registry.get(new), old, new, "0.2.0")
        monkeypatch.setitem(catalogue.REGISTRY, (*registry.namespace, old), function)
        nlp = spacy.blank("xx")
        with pytest.warns(
            FutureWarning, match=r"W036.*'spacy-spert\.OldHead\.v1' is called 'spacy-spert\.RelationHead"
        ):
            nlp.add_pipe("spert", config={"model": {"relation_head": {"@architectures": old, "hidden_width": 7}}})
        assert nlp.get_pipe_config("spert")["model"]["relation_head"]["hidden_width"] == 7

    def test_of_python(self, monkeypatch):
        monkeypatch.setitem(spacy_spert._RETIRED, "relations_of", ("get_relations", "0.2.0"))
        with pytest.warns(
            FutureWarning, match=r"W036.*'relations_of' is called 'get_relations' since spacy-spert 0\.2"
        ):
            assert spacy_spert.relations_of is spacy_spert.get_relations
        with pytest.raises(AttributeError, match="nothing_such"):
            _ = spacy_spert.nothing_such
