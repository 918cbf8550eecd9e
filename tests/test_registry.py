"""What the package declares to spaCy, and what that costs."""

import inspect
import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import forked
import pytest
import spacy
from spacy.language import Language

import spacy_spert
from spacy_spert.formats import format_names, readers, writers
from spacy_spert.formats.registry import records
from spacy_spert.ml.optimizer import build_adamw
from spacy_spert.ml.relation_head import build_relation_head
from spacy_spert.ml.span_head import build_span_head
from spacy_spert.pipeline import Spert

# Group of entry points: the registry that spaCy resolves its names with.
REGISTRIES = {
    "spacy_factories": "factories",
    "spacy_architectures": "architectures",
    "spacy_augmenters": "augmenters",
    "spacy_readers": "readers",
    "spacy_scorers": "scorers",
    "spacy_callbacks": "callbacks",
    "thinc_optimizers": "optimizers",
    "spacy_cli": "cli",
    "spacy_span_getters": "span_getters",
}
# Those of the package's own registries.
FORMATS = {"spacy_spert_readers": readers, "spacy_spert_writers": writers, "spacy_spert_records": records}
DECLARED = distribution("spacy-spert").entry_points
ENTRY_POINTS = [(entry.group, entry.name) for entry in DECLARED if entry.group in REGISTRIES]


def test_all_groups_are_known():
    assert {entry.group for entry in DECLARED} == {*REGISTRIES, *FORMATS}


def test_declared_names():
    assert set(ENTRY_POINTS) == {
        ("spacy_factories", "spert"),
        ("spacy_factories", "spert_entities"),
        ("spacy_factories", "spert_relations"),
        ("spacy_callbacks", "spacy-spert.add_labels.v1"),
        ("spacy_cli", "spert_log"),
        ("spacy_architectures", "spacy-spert.OnnxTransformer.v1"),
        ("spacy_architectures", "spacy-spert.CuratedListener.v1"),
        ("spacy_architectures", "spacy-spert.Spert.v1"),
        ("spacy_architectures", "spacy-spert.SpanHead.v1"),
        ("spacy_architectures", "spacy-spert.RelationHead.v1"),
        ("spacy_architectures", "spacy-spert.BiLSTM.v1"),
        ("spacy_architectures", "spacy-spert.Convolutions.v1"),
        ("spacy_architectures", "spacy-spert.LayerMixTransformer.v1"),
        ("spacy_architectures", "spacy-spert.WordpieceListener.v1"),
        ("spacy_augmenters", "spacy-spert.exchange_mentions.v1"),
        ("spacy_augmenters", "spacy-spert.keep_relations.v1"),
        ("spacy_readers", "spacy-spert.Corpus.v1"),
        ("spacy_span_getters", "spacy-spert.strided_spans.v1"),
        ("spacy_scorers", "spacy-spert.spert_scorer.v1"),
        ("thinc_optimizers", "spacy-spert.AdamW.v1"),
        ("spacy_cli", "spert"),
    }


@pytest.mark.parametrize("group, name", ENTRY_POINTS)
def test_every_declared_name_resolves(group, name):
    if group == "spacy_factories":
        assert Language.has_factory(name) or spacy.blank("xx").has_factory(name)
    assert spacy.registry.has(REGISTRIES[group], name)
    assert callable(spacy.registry.get(REGISTRIES[group], name))


@pytest.mark.parametrize("group, verb", [("spacy_spert_readers", "read_"), ("spacy_spert_writers", "write_")])
def test_every_format_resolves(group, verb):
    names = sorted(entry.name for entry in DECLARED if entry.group == group)
    assert set(names) <= set(format_names(FORMATS[group]))
    functions = [FORMATS[group].get(name).__name__ for name in names]
    assert functions == [verb + name.replace("-", "_") for name in names]


def test_default_config():
    """Names that users write into their configs. Think twice before changing one."""
    config = spacy.blank("xx").get_factory_meta("spert").default_config
    assert set(config) == {
        "spans_key",
        "task",
        "entities_key",
        "max_span_width",
        "relation_threshold",
        "symmetric_labels",
        "negative_spans",
        "negative_relations",
        "negative_sampling",
        "near_misses",
        "near_miss_none",
        "boundary_smoothing",
        "pairing_threshold",
        "consistency",
        "entity_thresholds",
        "relation_thresholds",
        "relation_types",
        "relation_types_share",
        "calibration",
        "relation_scope",
        "max_relation_distance",
        "entities_per_token",
        "relations_per_token",
        "overwrite_ents",
        "scorer",
        "model",
    }
    names = ("@architectures", "width_embedding", "dropout", "context", "pooling", "mixer", "shapes")
    assert set(config["model"]) == {*names, "span_head", "relation_head", "tok2vec"}
    assert set(config["model"]["tok2vec"]) == {"@architectures", "upstream", "grad_factor"}


def test_default_values_are_those_of_the_paper():
    config = spacy.blank("xx").get_factory_meta("spert").default_config
    in_paper = {
        "task": "joint",
        "max_span_width": 10,
        "relation_threshold": 0.4,
        "negative_spans": 100,
        "negative_relations": 100,
        "negative_sampling": "strong",
        "relation_scope": "sentence",
    }
    # What the paper does not have is off.
    off = {
        "near_misses": 0,
        "boundary_smoothing": 0.0,
        "consistency": 0.0,
        "pairing_threshold": None,
        "relation_types": None,
        "calibration": None,
        "entity_thresholds": [],
        "relation_thresholds": [],
        "symmetric_labels": [],
    }
    assert {name: config[name] for name in (*in_paper, *off)} == {**in_paper, **off}
    in_paper = {"width_embedding": 25, "dropout": 0.1, "context": "localized", "pooling": "max"}
    off = {"mixer": None, "shapes": False}
    assert {name: config["model"][name] for name in (*in_paper, *off)} == {**in_paper, **off}
    for head, builder in (("span_head", build_span_head), ("relation_head", build_relation_head)):
        off = {name: value.default for name, value in inspect.signature(builder).parameters.items()}
        assert not any(off.values())
        block = dict(config["model"][head])
        block.pop("@architectures")
        assert block == {name: off[name] for name in block}
    optimizer = inspect.signature(build_adamw).parameters
    assert [optimizer[name].default for name in ("head_learn_rate", "averages_decay")] == [None, 0.0]


@pytest.mark.parametrize("name", ["spert", "spert_tok2vec"])
def test_config_of_the_paper_changes_no_setting_of_the_component(name):
    config = spacy.util.load_config(Path(__file__).parents[1] / "configs" / f"{name}.cfg")
    default = spacy.blank("xx").get_factory_meta("spert").default_config
    block = config["components"]["spert"]
    model = block.pop("model")
    block.pop("scorer")
    assert {**default, **block, "factory": "spert"} == {**default, "factory": "spert"}
    settings = {key: value for key, value in model.items() if key != "tok2vec"}
    assert settings == {key: default["model"][key] for key in settings}


def test_default_score_weights():
    weights = spacy.blank("xx").get_factory_meta("spert").default_score_weights
    assert {name: weight for name, weight in weights.items() if weight} == {
        "spans_spert_f": 0.5,
        "rels_strict_f": 0.5,
    }


@pytest.mark.parametrize(
    "factory, assigns",
    [
        ("spert", {"doc.spans", "doc.ents", "doc._.relations"}),
        ("spert_entities", {"doc.spans", "doc.ents"}),
        ("spert_relations", {"doc.spans", "doc._.relations"}),
    ],
)
def test_what_the_component_assigns(factory, assigns):
    assert set(spacy.blank("xx").get_factory_meta(factory).assigns) == assigns


@pytest.mark.parametrize(
    "factory, weights",
    [("spert_entities", {"spans_spert_f": 1.0}), ("spert_relations", {"rels_strict_f": 1.0})],
)
def test_weights_of_one_task(factory, weights):
    nlp = spacy.blank("xx")
    nlp.add_pipe(factory)
    given = nlp.config["training"]["score_weights"]
    assert {name: weight for name, weight in given.items() if weight} == weights


@pytest.mark.parametrize(
    "factory, task, settings",
    [
        ("spert_entities", "entities", {"spans_key", "max_span_width", "negative_spans"}),
        ("spert_relations", "relations", {"spans_key", "entities_key", "relation_threshold", "symmetric_labels"}),
    ],
)
def test_settings_of_one_task(factory, task, settings):
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe(factory, config={"spans_key": "mine"})
    assert isinstance(pipe, Spert) and pipe.name == factory
    assert pipe.cfg["task"] == task and pipe.cfg["spans_key"] == "mine"
    config = nlp.get_pipe_config(factory)
    assert settings <= set(config) and "task" not in config
    whole = nlp.get_factory_meta("spert").default_config
    same = set(config) - {"factory", "spans_key", "scorer"}
    assert {key: config[key] for key in same} == {key: whole[key] for key in same}


@pytest.fixture(scope="module")
def fresh():
    """What a new interpreter says after importing the factory's module only."""
    code = """
import json, sys
import spacy
before = set(sys.modules)
import spacy_spert.factories
added = sorted(set(sys.modules) - before)
print(json.dumps([sorted(before), added, spacy.tokens.Doc.has_extension("relations")]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("module", ["torch", "transformers", "spacy_transformers", "tokenizers", "safetensors"])
def test_the_factory_is_light(fresh, module):
    _, added, _ = fresh
    assert "spacy_spert.pipeline" in added
    assert module not in {name.split(".")[0] for name in added}


HEAVY = [
    "transformers",
    "spacy_transformers",
    *(f"spacy_spert.{name}" for name in ("ml.model", "cli", "evaluation", "extraction", "formats", "checkpoint")),
]


@pytest.mark.parametrize("module", HEAVY)
def test_the_factory_does_not_load(fresh, module):
    before, added, _ = fresh
    assert module not in before and module not in added


def test_the_factory_registers_no_relations(fresh):
    """A program that does not use the component can have the name."""
    assert fresh[2] is False


def run(code):
    """What an interpreter that has not imported the package prints last."""
    result = forked.run(["-c", code])
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode().splitlines()[-1]


OTHER = """
import spacy, sys
from spacy.tokens import Doc, Span

def has():
    return [name for name in ("relations", "links") if Doc.has_extension(name)]

def refused(use):
    try:
        use()
    except ValueError as err:
        return "install_extension(name=" in str(err) and "doc._.relations" in str(err)
    return False

def add_pipe():
    spacy.blank("xx").add_pipe("spert")
"""


@pytest.mark.parametrize(
    "use",
    [
        "add_pipe()",
        "from spacy_spert import get_relations",
        "import spacy_spert; spacy_spert.Relation",
        "import spacy_spert; spacy_spert.install_extension()",
    ],
)
def test_first_use_registers_the_relations(use):
    assert run(
        f"{OTHER}\nimport spacy_spert.pipeline\nspacy.blank('xx')\nprint(has(), end=' ')\n{use}\nprint(has())"
    ) == ("[] ['relations']")


NAME_IS_TAKEN = f"""{OTHER}
Doc.set_extension("relations", default=7)
import spacy_spert
spacy.blank("xx")
results = [refused(add_pipe), refused(lambda: spacy_spert.get_relations)]
results.append(refused(spacy_spert.install_extension))
spacy_spert.install_extension(name="links")
add_pipe()
doc = Doc(spacy.blank("xx").vocab, words=["a", "b"])
doc.ents = [Span(doc, 0, 1, "X"), Span(doc, 1, 2, "X")]
doc._.links = [(*doc.ents, "r")]
results.append([r.label for r in spacy_spert.get_relations(doc)] == [r.label for r in doc._.links] == ["r"])
print(results, doc._.relations, len(spacy_spert.to_triples(doc)))
"""


def test_name_that_is_taken():
    assert run(NAME_IS_TAKEN) == "[True, True, True, True] 7 1"


NAME_IS_TAKEN_LATER = f"""{OTHER}
import spacy_spert
nlp = spacy.blank("xx")
spert = nlp.add_pipe("spert")
results = [has()]
try:
    Doc.set_extension("relations", default=7)
except ValueError as err:
    results.append("E090" in str(err))
doc = Doc(nlp.vocab, words=["a", "b"])
doc.ents = [Span(doc, 0, 1, "X")]
try:
    doc._.relations = [{{"head": 0, "tail": 1, "label": "r", "score": 1.0}}]
except ValueError as err:
    results.append("install_extension(name=" in str(err))
Doc.set_extension("relations", default=7, force=True)
results.append(refused(lambda: spert.set_annotations([], None)))
spacy_spert.install_extension("links")
results.append(has())
spacy_spert.install_extension()
results.append(has())
print(results)
"""


def test_name_that_is_taken_later():
    names = ["relations", "links"]
    assert run(NAME_IS_TAKEN_LATER) == str([["relations"], True, True, True, names, names])


def test_another_name_instead_of_the_first():
    code = "spacy_spert.install_extension('links'); print(has()); add_pipe(); print(has())"
    assert run(f"{OTHER}\nimport spacy_spert\nadd_pipe()\n{code}") == "['links']"


@pytest.mark.parametrize("name", spacy_spert.__all__)
def test_public_names_are_there(name):
    assert getattr(spacy_spert, name).__module__.startswith("spacy_spert.")


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = spacy_spert.nothing
