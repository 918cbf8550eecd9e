"""What several commands do with files: read annotated data, and make sure that outputs can be written."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, List, Optional, Union

from ..errors import Errors

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import DocBin
    from spacy.training import Example


# In place of a file: stdin or stdout.
PIPE = Path("-")


def check_outputs(data: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Make sure before the work that the outputs are files, and not needed for something else.

    data (Iterable[Path]): What is read.
    outputs (Iterable[Path]): What is to be written.
    RAISES (ValueError): If an output is a folder, is read, or is another output as well.
    """
    data, outputs = [path for path in data if path != PIPE], list(outputs)
    for i, path in enumerate(outputs):
        reason = None
        if path == PIPE and sys.stdout is None:
            raise ValueError(Errors.S083.format(name="stdout"))
        if path in outputs[:i]:
            reason = "it is the other output as well"
        elif path == PIPE:
            continue
        elif path.is_dir():
            reason = "it is a folder"
        elif path.exists() and any(path.samefile(other) for other in data):
            reason = "it is the data"
        if reason is not None:
            raise ValueError(Errors.S048.format(path=path, reason=reason))


def to_stdout(*outputs: Optional[Path]) -> bool:
    """Find out whether an output goes to stdout, so that messages must not.

    outputs (Optional[Path]): What is to be written; None for nothing.
    RETURNS (bool): Whether one is "-", or a name of what stdout leads to.
    """
    from ..formats.files import is_stdout

    return any(is_stdout(Path(path)) for path in outputs if path is not None)


def write_text(path: Path, text: str) -> None:
    """Write an output.

    path (Path): The file, which appears when it is complete; "-" for stdout.
    text (str): What to write.
    """
    from ..formats.files import open_whole

    if Path(path) == PIPE:
        sys.stdout.write(text)
        return
    with open_whole(path) as file_:
        file_.write(text)


def open_data(path: Path) -> Union[Path, "DocBin"]:
    """Read annotated data from stdin, which can be read only once.

    path (Path): A file in spaCy's binary format, or a folder of such files; "-" for stdin.
    RETURNS (Union[Path, DocBin]): What `read_examples` takes: the documents of stdin, or the path.
    RAISES (ValueError): If there is no stdin, or it is of another kind.
    """
    from spacy.tokens import DocBin

    if path != PIPE:
        return path
    if sys.stdin is None:
        raise ValueError(Errors.S083.format(name="stdin"))
    try:
        return DocBin().from_bytes(sys.stdin.buffer.read())
    except Exception as err:  # whatever its parser meets in data of another kind
        raise ValueError(Errors.S047.format(path="stdin", error=err)) from err


def name_of(path: Path) -> str:
    """RETURNS (str): How to call data in a report."""
    return "stdin" if path == PIPE else path.name


def read_examples(data: Union[Path, "DocBin"], nlp: "Language", given_sentences: bool = False) -> List["Example"]:
    """Read annotated data.

    data (Union[Path, DocBin]): A file in spaCy's binary format, a folder of such files, or what `open_data` returned.
    nlp (Language): The pipeline whose tokenizer and vocabulary are used.
    given_sentences (bool): Give the documents the sentence marks of the data.
    RETURNS (List[Example]): The documents, not predicted yet.
    RAISES (ValueError): If it can't be read or holds nothing.
    """
    from spacy.tokens import DocBin
    from spacy.training import Corpus

    from ..corpus import give_sentences

    path = PIPE if isinstance(data, DocBin) else data
    corpus = Corpus(path)
    try:
        with warnings.catch_warnings():
            # spaCy's warning that no file was found is our error below.
            warnings.filterwarnings("ignore", message=r"\[W090\]")
            docs = data.get_docs(nlp.vocab) if isinstance(data, DocBin) else None
            examples = list(corpus(nlp) if docs is None else corpus.make_examples(nlp, docs))
    except Exception as err:  # whatever its parser meets in a file of another kind
        raise ValueError(Errors.S047.format(path=path, error=err)) from err
    if not examples:
        raise ValueError(Errors.S041.format(path=path))
    if given_sentences:
        for example in examples:
            give_sentences(example)
    return examples
