"""`spacy spert import`: a checkpoint of the original SpERT, made into a pipeline."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.language import Language
from wasabi import msg

from . import app
from ._folders import check_folder, save_pipeline


@app.command("import")
def import_cli(
    checkpoint_dir: Annotated[
        Path,
        typer.Argument(
            help="Folder with config.json, vocab.txt, and pytorch_model.bin or model.safetensors",
            exists=True,
            file_okay=False,
        ),
    ],
    output_dir: Annotated[Path, typer.Argument(help="Folder for the pipeline. Folders on the way to it are made")],
    types: Annotated[
        Path, typer.Option("--types", "-t", help="types.json that the model was trained with", exists=True)
    ],
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language, for the tokenizer")] = "en",
    max_span_width: Annotated[
        int, typer.Option("--max-span-width", "-w", help="Widest entity in tokens, the original's max_span_size")
    ] = 10,
    relation_threshold: Annotated[
        float,
        typer.Option(
            "--relation-threshold", "-r", help="Lowest probability of a relation, the original's rel_filter_threshold"
        ),
    ] = 0.4,
    lowercase: Annotated[
        Optional[bool],
        typer.Option(
            "--lowercase/--cased",
            help="Whether texts are lower-cased. By default as tokenizer_config.json says, and not if it doesn't",
        ),
    ] = None,
    sentences: Annotated[
        bool, typer.Option("--sentences", "-s", help="Add a sentencizer and go through texts sentence by sentence")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-F", help="Replace a pipeline in the output folder")] = False,
) -> None:
    """
    Make a pipeline of a checkpoint of the original SpERT. The labels come from
    the types.json of its training data.
    """
    try:
        nlp = import_(
            checkpoint_dir,
            output_dir,
            types,
            force=force,
            lang=lang,
            max_span_width=max_span_width,
            relation_threshold=relation_threshold,
            lowercase=lowercase,
            sentences=sentences,
        )
    except (ValueError, OSError, ImportError) as err:
        msg.fail("Nothing was written", str(err), exits=1)
    spert: Any = nlp.get_pipe("spert")
    n_entities, n_relations = len(spert.entity_labels), len(spert.relation_labels)
    symmetric = ", ".join(spert.cfg["symmetric_labels"]) or "none"
    msg.good(f"Wrote {output_dir}: {n_entities} entity labels, {n_relations} relation labels (symmetric: {symmetric})")
    tokenizer = nlp.get_pipe("transformer").model.tokenizer  # type: ignore[attr-defined]
    msg.info(
        "Texts are lower-cased (--cased leaves them as they are)"
        if tokenizer.do_lower_case
        else "Texts are not lower-cased (--lowercase does that)"
    )


def import_(checkpoint_dir: Path, output_dir: Path, types: Path, *, force: bool = False, **settings: Any) -> Language:
    """Make a pipeline of a checkpoint and save it. The output appears only when it is complete.

    checkpoint_dir (Path): The folder of the checkpoint.
    output_dir (Path): The folder to write.
    types (Path): The types.json that the model was trained with.
    force (bool): Replace a pipeline that is in the output folder.
    **settings (Any): Those of `spacy_spert.checkpoint.import_checkpoint`.
    RETURNS (Language): The pipeline.
    RAISES (ValueError): If there is something in the output folder, or the checkpoint can't be used.
    """
    from ..checkpoint import import_checkpoint

    output = check_folder(output_dir, force, Path(checkpoint_dir), Path(types))
    nlp = import_checkpoint(checkpoint_dir, types, **settings)
    save_pipeline(nlp, output)
    return nlp
