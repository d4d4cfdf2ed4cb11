"""Write what the vLLM run needs, with the libraries of vLLM's own environment: make_model.py GGUF FOLDER.

FOLDER/model gets the GGUF file dequantised as a Hugging Face folder, which is the layout that vLLM loads. FOLDER/adapter gets a LoRA adapter in
PEFT's layout that was never trained: its matrices are drawn at random (seed 0) and large, so that an answer with it must differ.
"""

import sys
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    """Write both folders."""
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    # older transformers dequantise whatever they read from a GGUF file, newer ones when they are told to
    told = hasattr(transformers, "GgufConfig")
    how = {"quantization_config": transformers.GgufConfig(dequantize=True)} if told else {}
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16, **how)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "v_proj"]))
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.06)
    adapted.save_pretrained(folder / "adapter")


if __name__ == "__main__":
    main()
