"""Make an encoder like another one, but with random weights: what remains of a transformer without its pre-training."""

from pathlib import Path

import typer
from spacy.util import fix_random_seed


def main(encoder: str, target: Path, seed: int = 0) -> None:
    """
    Copy an encoder's tokenizer and architecture, and draw its weights anew.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    if (target / "model.safetensors").exists():
        return
    fix_random_seed(seed)
    AutoModel.from_config(AutoConfig.from_pretrained(encoder)).save_pretrained(target)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(target)


if __name__ == "__main__":
    typer.run(main)
