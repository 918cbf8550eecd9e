"""How much an encoder reads at a time."""

from thinc.api import NumpyOps, Ops

# Wordpieces in a batch, or rather tokens, padding included. A CPU is as fast with few, and all of a batch is padded to
# its longest text; a GPU needs many to be busy.
CPU_BATCH = 512
GPU_BATCH = 4096


def batch_size(ops: Ops) -> int:
    """RETURNS (int): How many tokens suit the device of these ops."""
    return CPU_BATCH if isinstance(ops, NumpyOps) else GPU_BATCH
