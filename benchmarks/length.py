"""Time for a token and peak memory of long documents."""

from typing import Any, List, Optional, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from .measure import Spread, Stopwatch, peak_memory
from .pipelines import Setup, read_docs, set_entity_count, trained_nlp
from .report import Result, Row, Target

MARKED = "Length: documents with sentences of 25 tokens"
UNMARKED = "Length: documents without sentence marks, an entity for every 20 tokens"
MARKED_LENGTHS = (1000, 5000, 10_000, 50_000)
UNMARKED_LENGTHS = (500, 1000, 2000, 5000)
SENTENCE = 25
# So many tokens at least are measured in each repetition, of short documents several.
TOKENS = 10_000
PARTS = ("all", "transformer", "spert")
TARGETS = {MARKED: 1.10, UNMARKED: 1.5}


def measure(setup: Setup) -> Result:
    """Measure documents of several lengths, with the small encoder.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    nlp = trained_nlp(setup, setup.encoder)
    words = [token.text for doc in read_docs(nlp, setup.data) for token in doc]
    result = Result()
    _measure(result, setup, nlp, words, MARKED, [60, 120] if setup.quick else MARKED_LENGTHS)
    _spread_entities(nlp, _make_doc(nlp, words, 60 if setup.quick else UNMARKED_LENGTHS[-1], marks=False))
    _measure(result, setup, nlp, words, UNMARKED, [60, 120] if setup.quick else UNMARKED_LENGTHS)
    return result


def _measure(result: Result, setup: Setup, nlp: Language, words: List[str], title: str, lengths: Sequence[int]) -> None:
    rows = [_row(setup, nlp, words, length, marks=title == MARKED) for length in lengths]
    result.tables[title] = rows
    short, long = rows[0], rows[-1]
    for part in PARTS:
        what = f"time for a token, {long['tokens']} tokens over {short['tokens']}"
        what += f", sentences of {SENTENCE}" if title == MARKED else ", no sentence marks"
        result.targets.append(Target(f"{what}: {part}", long[f"{part}, us"] / short[f"{part}, us"], TARGETS[title]))


def _row(setup: Setup, nlp: Language, words: List[str], length: int, marks: bool) -> Row:
    """Time and memory of one length. Time is that of the components, as a pipeline runs them."""
    transformer, spert = nlp.get_pipe("transformer"), nlp.get_pipe("spert")
    count = 1 if setup.quick else max(1, TOKENS // length)
    values = {part: [] for part in PARTS}  # type: ignore[var-annotated]
    for repeat in range(setup.repeats + 1):
        stopwatch = Stopwatch()
        docs = [_make_doc(nlp, words, length, marks) for _ in range(count)]
        for doc in docs:
            with stopwatch.part("all"):
                with stopwatch.part("transformer"):
                    doc = transformer(doc)
                with stopwatch.part("spert"):
                    doc = spert(doc)
        if repeat:
            for part in PARTS:
                seconds = sum(stopwatch.seconds.values()) if part == "all" else stopwatch.seconds[part]
                values[part].append(1e6 * seconds / (count * length))
    doc = docs[0]
    n_entities, n_relations = len(doc.spans["spert"]), len(doc._.relations)
    spert_peak = peak_memory(lambda: spert(doc))
    doc = _make_doc(nlp, words, length, marks)
    transformer_peak = peak_memory(lambda: transformer(doc))
    return {
        "tokens": length,
        "entities": n_entities,
        "relations": n_relations,
        **{f"{part}, us": Spread(values[part]) for part in PARTS},
        "transformer, MB": transformer_peak / 1e6,
        "spert, MB": spert_peak / 1e6,
    }


def _make_doc(nlp: Language, words: List[str], length: int, marks: bool) -> Doc:
    repeated = (words * (length // len(words) + 1))[:length]
    starts: Optional[List[bool]] = [i % SENTENCE == 0 for i in range(length)] if marks else None
    return Doc(nlp.vocab, words=repeated, sent_starts=starts)  # type: ignore[arg-type]


def _spread_entities(nlp: Language, doc: Doc) -> None:
    nlp.get_pipe("transformer")(doc)
    set_entity_count(nlp.get_pipe("spert"), [doc], len(doc) // 20)


def draw(result: Result, figure: Any) -> None:
    """Draw time and memory by length."""
    for axes, (title, rows) in zip(figure.subplots(1, 2), result.tables.items()):
        tokens = [row["tokens"] for row in rows]
        for part in PARTS[1:]:
            medians = [row[f"{part}, us"].median for row in rows]
            axes.plot(tokens, medians, marker="o", label=f"{part}, microseconds for a token")
        for part in PARTS[1:]:
            axes.plot(
                tokens, [row[f"{part}, MB"] for row in rows], marker="x", linestyle=":", label=f"{part}, peak in MB"
            )
        axes.set(xscale="log", yscale="log", xlabel="tokens", title=title.split(": ")[1])
        axes.title.set_fontsize("small")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
