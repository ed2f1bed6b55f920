"""`python -m memescope.backbones.tinyvlm.serving FOLDER --port 8000`: `transformers serve`, which then knows TinyVLM.

For a folder that `memescope models export` wrote from a run on a TinyVLM; others are served by `transformers serve` or
vLLM as they are. Needs `pip install 'transformers[serving]'`. Options are those of `transformers serve`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Serve until stopped."""
    from transformers import AutoModelForMultimodalLM
    from transformers.cli.transformers import main as transformers_cli
    from transformers.models.auto import modeling_auto

    from memescope.backbones.tinyvlm import TinyVlmConfig, TinyVlmForConditionalGeneration

    names = modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES
    names[TinyVlmConfig.model_type] = TinyVlmForConditionalGeneration.__name__
    AutoModelForMultimodalLM.register(TinyVlmConfig, TinyVlmForConditionalGeneration, exist_ok=True)
    sys.argv[1:1] = ["serve"]
    transformers_cli()


if __name__ == "__main__":
    main()
