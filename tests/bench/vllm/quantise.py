"""Writes a GGUF file again with other weights: python quantise.py IN.gguf OUT.gguf F16|Q8_0|Q5_0|Q4_0 (needs the package gguf, as in vLLM's environment).

Matrices are dequantised and rounded anew; the rest stays. What a quantised file has lost does not come back.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, quants

_FILE_TYPES = {
    "F16": LlamaFileType.MOSTLY_F16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
}


def main(source: str, target: str, kind: str) -> None:
    """Write the file."""
    wanted = GGMLQuantizationType[kind]
    reader = GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(_FILE_TYPES[kind])
    for tensor in reader.tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        # Vectors (norms) keep their numbers.
        form = wanted if len(tensor.shape) > 1 else GGMLQuantizationType.F32
        made = quants.quantize(np.ascontiguousarray(values, dtype=np.float32), form)
        writer.add_tensor(tensor.name, made, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
