"""`spacy spert tune` with a pipeline and data on disk."""

import click
import numpy
import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner
from util import TEXTS, clone, entities_of, make_examples, relations_of

from spacy_spert.cli.tune import tune
from spacy_spert.evaluation.calibration import calibration_error
from spacy_spert.evaluation.run import evaluate_pipeline

# Twice, so that every fold has seen all of them.
DATA = TEXTS * 2


def run(*args):
    return CliRunner().invoke(app, ["spert", "tune", *map(str, args)])


def printed(result):
    """The output without colours and line breaks."""
    return " ".join(click.unstyle(result.output).split())


@pytest.fixture
def nlp(trained):
    """Knows the texts by heart, but its threshold is so high that only half of the relations come out."""
    nlp = clone(trained)
    scores = sorted(relation.score for doc in nlp.pipe(text for text, _, _ in TEXTS) for relation in doc._.relations)
    nlp.get_pipe("spert").cfg["relation_threshold"] = (scores[4] + scores[5]) / 2
    return nlp


@pytest.fixture
def paths(nlp, tmp_path):
    nlp.to_disk(tmp_path / "model")
    DocBin(docs=[example.reference for example in make_examples(nlp, DATA)]).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "model", tmp_path / "dev.spacy", tmp_path / "new" / "tuned"


def test_command_tunes_and_writes(paths, tmp_path):
    result = run(*paths, "--output", tmp_path / "m.json", "--folds", 3, "--shrinkage", 1)
    assert result.exit_code == 0, result.output
    output = printed(result)
    for text in (
        "Relations, strict",
        "new threshold",
        "Cross-validated",
        "95 % interval",
        "Expected calibration error",
    ):
        assert text in output
    assert "Fitted: " in output and "thresholds of relations" in output
    data = srsly.read_json(tmp_path / "m.json")
    assert data["scores"]["rels_strict"]["F"]["a"] < data["scores"]["rels_strict"]["F"]["b"]
    cfg = spacy.load(paths[2]).get_pipe("spert").cfg
    settings = data["settings"]["after"]
    assert cfg["relation_threshold"] == pytest.approx(settings["relation_threshold"])
    for label, threshold in settings["relation_thresholds"]:
        assert dict(cfg["relation_thresholds"])[label] == pytest.approx(threshold)
    assert [row[0] for row in cfg["calibration"]["relations"]] == ["based_in", "partner_of", "works_for"]
    assert cfg["relation_types"] is None
    assert sorted(path.name for path in paths[2].parent.iterdir()) == ["tuned"]


def test_tuned_pipeline_gives_what_was_counted(paths):
    tuned = tune(*map(str, paths), folds=2, shrinkage=1.0)
    before, after = (
        evaluate_pipeline(nlp, make_examples(nlp, DATA)) for nlp in (spacy.load(paths[0]), spacy.load(paths[2]))
    )
    measured = tuned.tuning.measured.relations.sum(axis=(0, 1)).tolist()
    totals = [
        sum(getattr(score, name) for score in before.counts["rels_strict"].values()) for name in ("tp", "fp", "fn")
    ]
    assert measured == totals
    assert after.scores["rels_strict_f"] > before.scores["rels_strict_f"]


def test_calibration_alone_changes_scores_but_no_decision(paths, nlp):
    # All thresholds there can be.
    spert = nlp.get_pipe("spert")
    spert.cfg["relation_thresholds"] = [["works_for", 0.9]]
    spert.cfg["entity_thresholds"] = [["PER", 0.5]]
    nlp.to_disk(paths[0])
    tuned = tune(*map(str, paths), fit=["calibration"], folds=2)
    before, after = ([nlp(text) for text, _, _ in TEXTS] for nlp in (spacy.load(paths[0]), spacy.load(paths[2])))
    assert list(map(entities_of, before)) == list(map(entities_of, after))
    assert list(map(relations_of, before)) == list(map(relations_of, after))
    scores = [numpy.asarray([r.score for doc in docs for r in doc._.relations]) for docs in (before, after)]
    changed = not numpy.allclose(*scores, atol=1e-4)
    assert changed == ("calibration of relations" in tuned.tuning.taken)
    errors = [calibration_error(each, numpy.ones(len(each))) for each in scores]
    assert errors[1] <= errors[0]


def test_types_are_learned_if_asked(paths):
    tune(*map(str, paths), fit=["types"], folds=2)
    expected = [["based_in", "ORG", "LOC"], ["partner_of", "ORG", "ORG"], ["partner_of", "PER", "PER"]]
    assert spacy.load(paths[2]).get_pipe("spert").cfg["relation_types"] == [*expected, ["works_for", "PER", "ORG"]]


def test_recall_at_a_precision(paths):
    tuned = tune(*map(str, paths), fit=["relations"], precision=0.9, folds=2)
    right, wrong, _ = tuned.tuning.expected.relations.sum(axis=(0, 1))
    assert right / (right + wrong) >= 0.9


def test_sentence_marks_of_the_data(paths, nlp):
    """Where each token is a sentence, nothing lies within one."""
    docs = [example.reference for example in make_examples(nlp, [TEXTS[0], *TEXTS])]
    for token in docs[0]:
        token.is_sent_start = True
    DocBin(docs=docs).to_disk(paths[1])
    plain, given = (tune(*map(str, paths), given_sentences=each, folds=2, force=True) for each in (False, True))
    right = [tuned.tuning.measured.relations[..., 0].sum() for tuned in (plain, given)]
    assert right[0] > right[1] > 0
    assert "1 of 9 documents have sentence marks, which were used." in given.notes
    assert [tuned.to_json()["given_sentences"] for tuned in (plain, given)] == [False, True]


def test_json_on_stdout(paths):
    result = CliRunner().invoke(app, ["spert", "tune", *map(str, paths), "--folds", "2", "--output", "-"])
    assert result.exit_code == 0
    assert set(srsly.json_loads(result.stdout)["settings"]) == {"before", "after"}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fit": ["threshold"]}, r"What to fit must be some of .*'types'.*got: \('threshold',\)"),
        ({"fit": []}, "What to fit must be"),
        ({"precision": 1.5}, "precision must be above 0 and at most 1, got: 1.5"),
        ({"folds": 1}, "folds must be at least 2, got: 1"),
        ({"folds": 17}, "with 16 annotated documents: it takes at least 17"),
        ({"shrinkage": -1.0}, "shrinkage must be at least 0"),
        ({"min_share": 2.0}, "smallest share of a type must be between 0 and 1"),
        ({"component": "other"}, "'other' is not a 'spert' component"),
        ({"symmetric": "never"}, "Can't score with symmetric = 'never'"),
    ],
)
def test_errors(paths, tmp_path, change, message):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        tune(*map(str, paths), **change)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_there_is_replaced_only_if_asked(paths):
    model, data, _ = paths
    with pytest.raises(ValueError, match="is not an empty folder"):
        tune(str(model), data, model, force=True)
    tune(*map(str, paths), fit=["types"], folds=2)
    with pytest.raises(ValueError, match="is not an empty folder"):
        tune(*map(str, paths), folds=2)
    tune(*map(str, paths), fit=["relations"], folds=2, force=True)
    assert spacy.load(paths[2]).get_pipe("spert").cfg["relation_types"] is None


def test_command_says_what_is_wrong(paths):
    result = run("no_such_model", *paths[1:])
    assert result.exit_code == 1 and "Nothing was written" in printed(result)
