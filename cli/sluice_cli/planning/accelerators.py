"""Accelerators by their makers' data sheets, with dense peaks; and the levels of memory below them."""

from typing import NamedTuple


class Accelerator(NamedTuple):
    """One device: memory in GB (10⁹ bytes), bandwidth in GB/s, dense peak in TFLOP/s of BF16 or FP16, board power in watts, bandwidth to the host in GB/s."""

    name: str
    memory_gb: float
    bandwidth_gb_s: float
    tflops: float
    watts: float
    host_gb_s: float

    @property
    def ridge(self) -> float:
        """Operations for each byte above which arithmetic, not memory, is the limit (Williams et al., "Roofline", 2009)."""
        return self.tflops * 1000 / self.bandwidth_gb_s


# Dense figures: data sheets also print twice these with structured sparsity (H100 SXM: 1,979), or those of INT8 (A100: 1,248 with sparsity) (F245).
# host_gb_s: one direction of PCIe 3.0 x16 (16), 4.0 (32) or 5.0 (64).
ACCELERATORS = {
    one.name: one
    for one in (
        Accelerator("h200", 141, 4800, 989, 700, 64),
        Accelerator("h100-sxm", 80, 3350, 989, 700, 64),
        Accelerator("h100-pcie", 80, 2000, 756, 350, 64),
        Accelerator("a100-80gb", 80, 2039, 312, 400, 32),
        Accelerator("a100-40gb", 40, 1555, 312, 400, 32),
        Accelerator("l40s", 48, 864, 362, 350, 32),
        Accelerator("l4", 24, 300, 121, 72, 32),
        Accelerator("t4", 16, 320, 65, 70, 16),
        Accelerator("mi300x", 192, 5300, 1307, 750, 64),
        Accelerator("mi250x", 128, 3277, 383, 560, 32),
        Accelerator("tpu-v4", 32, 1200, 275, 192, 16),
    )
}


class MemoryLevel(NamedTuple):
    """A level of the memory hierarchy with its usual bandwidth in GB/s, from and to."""

    name: str
    low_gb_s: float
    high_gb_s: float


HIERARCHY = (
    MemoryLevel("CPU memory (DRAM)", 25, 50),
    MemoryLevel("accelerator memory (HBM)", 1000, 3000),
    MemoryLevel("on-chip memory (SRAM)", 10_000, 20_000),
)
"""F246; single devices differ: see their own bandwidth."""
