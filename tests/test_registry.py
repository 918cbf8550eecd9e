"""What the package declares to spaCy, and what that costs."""

import json
import subprocess
import sys
from importlib.metadata import distribution

import pytest
import spacy
from spacy.language import Language

import spacy_spert

# Group of entry points: the registry that spaCy resolves its names with.
REGISTRIES = {
    "spacy_factories": "factories",
    "spacy_architectures": "architectures",
    "spacy_scorers": "scorers",
    "thinc_optimizers": "optimizers",
    "spacy_cli": "cli",
}
ENTRY_POINTS = [
    (entry.group, entry.name) for entry in distribution("spacy-spert").entry_points if entry.group in REGISTRIES
]


def test_all_groups_are_known():
    groups = {entry.group for entry in distribution("spacy-spert").entry_points}
    assert groups == set(REGISTRIES)


def test_declared_names():
    assert set(ENTRY_POINTS) == {
        ("spacy_factories", "spert"),
        ("spacy_architectures", "spacy-spert.OnnxTransformer.v1"),
        ("spacy_architectures", "spacy-spert.Spert.v1"),
        ("spacy_architectures", "spacy-spert.WordpieceListener.v1"),
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
        "max_relation_distance",
        "entities_per_token",
        "relations_per_token",
        "overwrite_ents",
        "scorer",
        "model",
    }
    assert set(config["model"]) == {"@architectures", "width_embedding", "dropout", "context", "pooling", "tok2vec"}
    assert set(config["model"]["tok2vec"]) == {"@architectures", "upstream", "grad_factor"}


def test_default_values_are_those_of_the_paper():
    config = spacy.blank("xx").get_factory_meta("spert").default_config
    values = {name: config[name] for name in ("max_span_width", "relation_threshold", "negative_spans")}
    assert values == {"max_span_width": 10, "relation_threshold": 0.4, "negative_spans": 100}
    model = {name: config["model"][name] for name in ("width_embedding", "dropout", "context", "pooling")}
    assert model == {"width_embedding": 25, "dropout": 0.1, "context": "localized", "pooling": "max"}


def test_default_score_weights():
    weights = spacy.blank("xx").get_factory_meta("spert").default_score_weights
    assert {name: weight for name, weight in weights.items() if weight} == {
        "spans_spert_f": 0.5,
        "rels_strict_f": 0.5,
    }


def test_what_the_component_assigns():
    assert set(spacy.blank("xx").get_factory_meta("spert").assigns) == {"doc.spans", "doc.ents", "doc._.relations"}


@pytest.fixture(scope="module")
def fresh():
    """What a new interpreter says after importing the factory's module only."""
    code = """
import json, sys
import spacy
before = set(sys.modules)
import spacy_spert.pipeline
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


def test_the_package_registers_the_relations(fresh):
    assert fresh[2] is True


@pytest.mark.parametrize("name", spacy_spert.__all__)
def test_public_names_are_there(name):
    assert getattr(spacy_spert, name).__module__.startswith("spacy_spert.")


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = spacy_spert.nothing
