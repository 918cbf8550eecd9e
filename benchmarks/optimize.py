"""What ONNX Runtime and smaller batches of the transformer save: `nlp.pipe` of whole pipelines, side by side.

What int8 costs in F1 needs a trained pipeline: `spacy spert optimize MODEL OUT --int8 --check DEV.spacy`.
"""

from typing import Any, Callable, Dict, List

from spacy.language import Language
from spacy.tokens import Doc

from spacy_spert.ml.batches import CPU_BATCH, GPU_BATCH
from spacy_spert.optimization import optimize_pipeline

from .measure import Spread, compare
from .pipelines import Encoder, Setup, encoders, fresh, read_docs, trained_nlp
from .report import Result, Target, bars

RUNTIMES = "Optimize: documents a second on torch and on ONNX Runtime"
BATCHES = "Optimize: documents a second by most tokens in a batch"
N_DOCS = {"small": 256, "base": 96}
# Documents in a batch of the pipeline, for each table.
SIZES = {RUNTIMES: (1, 32), BATCHES: (32, 128)}
# The least that the documents a second are to grow by.
TARGETS = {
    (RUNTIMES, "small", 32): 1.6,
    (RUNTIMES, "small", 1): 1.15,
    (RUNTIMES, "base", 32): 1.8,
    (BATCHES, "small", 32): 1.45,
    (BATCHES, "small", 128): 1.25,
}

TaskT = Callable[[List[Doc]], None]


def measure(setup: Setup) -> Result:
    """Measure all runtimes with all encoders, and both sizes of batches with the small one.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({RUNTIMES: [], BATCHES: []})
    with encoders(setup) as found:
        for encoder in found:
            nlp = trained_nlp(setup, encoder.path)
            docs = read_docs(nlp, setup.data)[: 8 if setup.quick else N_DOCS[encoder.size]]
            pipelines = {
                "torch": nlp,
                "float32": optimize_pipeline(nlp),
                "int8": optimize_pipeline(nlp, int8=True),
            }
            for size in SIZES[RUNTIMES]:
                tasks = {name: _runner(each, size, CPU_BATCH) for name, each in pipelines.items()}
                _add(result, RUNTIMES, setup, encoder, docs, size, tasks)
            for size in SIZES[BATCHES] if encoder.size == "small" else ():
                tasks = {str(items): _runner(nlp, size, items) for items in (GPU_BATCH, CPU_BATCH)}
                _add(result, BATCHES, setup, encoder, docs, size, tasks)
    return result


def _runner(nlp: Language, batch_size: int, max_batch_items: int) -> TaskT:
    """RETURNS (TaskT): Runs the pipeline with such batches of documents, and such batches of the transformer."""
    transformer: Any = nlp.get_pipe("transformer")

    def run(docs: List[Doc]) -> None:
        transformer.cfg["max_batch_items"] = max_batch_items
        for _ in nlp.pipe(docs, batch_size=batch_size):
            pass

    return run


def _add(
    result: Result, title: str, setup: Setup, encoder: Encoder, docs: List[Doc], size: int, tasks: Dict[str, TaskT]
) -> None:
    """Add a row: documents a second of each task, and how many times those of the others the last one does."""
    at_a_time = max(size, 32)
    batches = [docs[i : i + at_a_time] for i in range(0, len(docs), at_a_time)]
    times = compare(tasks, batches, setup.repeats, lambda batch: [fresh(doc) for doc in batch])
    *names, last = tasks
    row = {"encoder": encoder.name, "batch": size, "documents": len(docs)}
    speeds = {name: Spread([len(docs) / seconds for seconds in each.wall.values]) for name, each in times.items()}
    ratios = {f"{last} / {name}": times[name].wall / times[last].wall for name in names}
    result.tables[title].append({**row, **speeds, **ratios})
    least = TARGETS.get((title, encoder.size, size))
    if least is not None:
        for name in names:
            what = f"time, {last} over {name}, {encoder.name}, batch {size}"
            result.targets.append(Target(what, times[last].wall / times[name].wall, round(1 / least, 3)))


def draw(result: Result, figure: Any) -> None:
    """Draw the documents a second."""
    for axes, (title, rows) in zip(figure.subplots(1, 2), result.tables.items()):
        names = ("torch", "float32", "int8") if title == RUNTIMES else (str(GPU_BATCH), str(CPU_BATCH))
        labels = [f"{row['encoder'].split(' ')[0]}, {row['batch']}" for row in rows]
        for i, name in enumerate(names):
            offset = (i - (len(names) - 1) / 2) * 0.8 / len(names)
            bars(axes, labels, [row[name] for row in rows], name, offset=offset, width=0.75 / len(names))
        axes.set(xlabel="encoder, batch size", ylabel="documents / s")
        axes.legend()
