"""`spacy spert card`: a pipeline ready to be published."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Dict, Optional

import srsly
import typer
from wasabi import msg

from ..errors import Errors
from . import app
from ._data import read_examples, write_text

if TYPE_CHECKING:
    from spacy.language import Language

    from ..evaluation.card import Card

# Searched for a text with a relation, as an example.
SEARCHED = 100
PACKAGES = ("spacy-spert", "spacy", "spacy-transformers", "thinc", "torch", "transformers")


@app.command("card")
def card_cli(
    model: Annotated[Path, typer.Argument(help="Folder of the pipeline", exists=True, file_okay=False)],
    metrics: Annotated[
        Optional[Path],
        typer.Option(
            "--metrics",
            "-m",
            help="What `evaluate --output` wrote; by default scores of the training",
            exists=True,
        ),
    ] = None,
    train: Annotated[
        Optional[Path], typer.Option("--train", "-t", help="Training data (.spacy), to count labels", exists=True)
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Name of the data")] = "own data",
    split: Annotated[Optional[str], typer.Option("--split", "-s", help="The part of it that was scored")] = None,
    base_model: Annotated[
        Optional[str], typer.Option("--base-model", "-b", help="Name of the transformer that it was made of")
    ] = None,
    license: Annotated[Optional[str], typer.Option("--license", "-l", help="Licence of the pipeline")] = None,
    name: Annotated[Optional[str], typer.Option("--name", "-n", help="Name of the pipeline, without language")] = None,
    version: Annotated[Optional[str], typer.Option("--version", "-v", help="Version of the pipeline")] = None,
    text: Annotated[
        Optional[str], typer.Option("--text", help="Text of the example; by default one of the training data")
    ] = None,
    component: Annotated[
        Optional[str], typer.Option("--component", "-c", help="Name of the component, if there are several")
    ] = None,
) -> None:
    """
    Make a pipeline ready to be published: write its README.md, with results as
    the model hubs read them, put scores into its meta, and take local paths out
    of its config.
    """
    try:
        made = card(
            model,
            metrics=metrics,
            train=train,
            dataset=dataset,
            split=split,
            base_model=base_model,
            license=license,
            name=name,
            version=version,
            text=text,
            component=component,
        )
    except (ValueError, OSError, ImportError) as err:
        msg.fail("Nothing was written", str(err), exits=1)
    msg.good(f"Wrote {model / 'README.md'}, and changed meta.json and config.cfg")
    if made.base_model is None and (model / "transformer").exists():
        msg.warn("The card does not say which transformer it was made of", "Give its name with --base-model")
    if not made.front_matter().get("license"):
        msg.warn("The pipeline has no licence", "Give one with --license")


def card(
    model: Path,
    *,
    metrics: Optional[Path] = None,
    train: Optional[Path] = None,
    dataset: str = "own data",
    split: Optional[str] = None,
    base_model: Optional[str] = None,
    license: Optional[str] = None,
    name: Optional[str] = None,
    version: Optional[str] = None,
    text: Optional[str] = None,
    component: Optional[str] = None,
) -> "Card":
    """Write the card of a pipeline, put its scores into its meta, and take local paths out of its config.

    model (Path): Folder of the pipeline.
    metrics (Optional[Path]): Scores that `spacy spert evaluate --output` wrote. By default the meta's, of the training.
    train (Optional[Path]): Training data in spaCy's binary format, to count labels.
    dataset (str): Name of the data.
    split (Optional[str]): The part of it that was scored; by default "test", or "development" for those of the meta.
    base_model (Optional[str]): Name of the transformer that it was made of.
    license (Optional[str]): Licence of the pipeline; by default that of the meta.
    name (Optional[str]): Name of the pipeline without its language; by default that of the meta.
    version (Optional[str]): Version of the pipeline; by default that of the meta.
    text (Optional[str]): Text of the example. By default one of the training data with a relation.
    component (Optional[str]): The name of the component, needed only if there are several.
    RETURNS (Card): The card.
    RAISES (ValueError): If the scores are of another component, or of relations between given entities.
    """
    from spacy.util import load_config, load_model

    from ..components import find_component
    from ..evaluation.card import Card
    from ..evaluation.publish import base_model_of, is_local, with_scores, without_paths
    from ..recipes.survey import take_survey

    model = Path(model)
    config = load_config(model / "config.cfg")
    nlp = load_model(model)
    component, pipe = find_component(nlp, component)
    scores = read_scores(metrics, component) if metrics is not None else {}
    meta = with_scores(srsly.read_json(model / "meta.json"), scores, pipe.cfg["spans_key"])
    given_meta = {"license": license, "name": name, "version": version}
    meta.update({key: value for key, value in given_meta.items() if value is not None})
    given = base_model or base_model_of(config)
    examples = read_examples(train, nlp) if train is not None else []
    survey = take_survey(examples, pipe.cfg["spans_key"]) if examples else None
    if text is None:
        texts = [example.reference.text.strip() for example in examples[:SEARCHED]]
        text = next((each for each in texts if nlp(each)._.relations), texts[0] if texts else "")
    written = {"config.cfg": without_paths(config, base_model).to_str(), "meta.json": srsly.json_dumps(meta, indent=2)}
    training = config.interpolate().get("training", {})
    facts = {"data": dataset, "documents": len(examples) or None, "seed": training.get("seed")}
    facts["saved by spacy-spert"] = srsly.json_loads((model / component / "cfg").read_text("utf8")).get("version")
    made = Card(
        meta=meta,
        cfg=pipe.cfg,
        scores=scores or meta["performance"],
        dataset=dataset,
        split=split or ("test" if metrics is not None else "development"),
        base_model=None if is_local(given) else given,
        example=(text, show(nlp, text)),
        counts={} if survey is None else {"entities": survey.entities, "relations": survey.relations},
        facts={fact: value for fact, value in facts.items() if value is not None},
        versions=versions_here(),
        checksums=checksums(model, written),
    )
    card = made.markdown()
    for file, content in written.items():
        write_text(model / file, content)
    write_text(model / "README.md", card)
    return made


def read_scores(path: Path, component: str) -> Dict[str, Any]:
    """Read what `spacy spert evaluate` wrote.

    path (Path): The JSON file.
    component (str): The component that must have been scored.
    RETURNS (Dict[str, Any]): Scores, counts and settings.
    RAISES (ValueError): If the file is another one, or does not say how good the whole pipeline is.
    """
    scores: Dict[str, Any] = srsly.read_json(path)
    settings = scores.get("settings", {}) if isinstance(scores, dict) else {}
    if settings.get("component") != component:
        raise ValueError(Errors.S207.format(path=path, component=component, got=settings.get("component")))
    if settings.get("gold_entities"):
        raise ValueError(Errors.S208.format(path=path))
    return scores


def show(nlp: "Language", text: str) -> str:
    """RETURNS (str): What the lines of the card print for a text."""
    doc = nlp(text)
    entities = [(ent.text, ent.label_) for ent in doc.ents]
    return f"{entities}\n{[(rel.head.text, rel.label, rel.tail.text) for rel in doc._.relations]}"


def versions_here() -> Dict[str, str]:
    """RETURNS (Dict[str, str]): The versions of Python and of what the pipeline runs on, as far as it is installed."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    found = {"Python": python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def checksums(model: Path, changed: Dict[str, str]) -> Dict[str, str]:
    """Compute the checksums of a pipeline.

    model (Path): Its folder.
    changed (Dict[str, str]): Files that are going to be written, with what will be in them.
    RETURNS (Dict[str, str]): SHA-256 of all files but the card, by name.
    """
    from hashlib import sha256

    files = {path.relative_to(model).as_posix(): path for path in sorted(model.rglob("*")) if path.is_file()}
    return {
        name: sha256(changed[name].encode("utf8") if name in changed else path.read_bytes()).hexdigest()
        for name, path in files.items()
        if name != "README.md"
    }
