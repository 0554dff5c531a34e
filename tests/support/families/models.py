"""The models that are pulled often: their architecture, chat template and fill-in tokens."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models with one architecture and one way to write tool calls and thinking.

    `template` is the key of a template in `chat_templates.JINJA`, "" for models without tools, and
    `fill_in` the tokens between which they fill in. `vision` and `audio` are what encodes images
    and sounds, see `tests.families.media`.
    """

    models: str
    architecture: str
    template: str = ""
    fill_in: tuple[str, ...] = ()
    vision: str = ""
    audio: str = ""


def _family(
    models: str,
    architecture: str,
    template: str = "",
    *fill_in: str,
    vision: str = "",
    audio: str = "",
) -> Family:
    return Family(
        models=models,
        architecture=architecture,
        template=template,
        fill_in=fill_in,
        vision=vision,
        audio=audio,
    )


_FIM: Final = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
_STAR: Final = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_CODE: Final = ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>")
_DEEPSEEK: Final = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")

FAMILIES: Final = (
    _family("Llama 2, Vicuna, TinyLlama, Yi", "llama"),
    _family("CodeLlama", "llama", "", "▁<PRE>", "▁<SUF>", "▁<MID>"),
    _family("Llama 3, 3.1, 3.2, 3.3", "llama", "llama-3"),
    _family("Mistral, Mixtral", "llama", "mistral"),
    _family("Magistral", "llama", "magistral"),
    _family("Codestral", "llama", "", "[SUFFIX]", "[PREFIX]"),
    _family("Functionary 3.2", "llama", "functionary-3.2"),
    _family("Firefunction 2", "llama", "firefunction"),
    _family("SmolLM 2, Hermes", "llama", "hermes"),
    _family("Seed-Coder", "llama", "", "<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),
    _family("DeepSeek R1 distils of Llama, Cogito", "llama", "deepseek-r1"),
    _family("LLaVA, BakLLaVA", "llama", vision="llava"),
    _family("Ultravox", "llama", "llama-3", audio="ultravox"),
    _family("Llama 4", "llama4", "llama-3", vision="llama4"),
    _family("Nemotron Super and Ultra", "deci", "nemotron-nano-2"),
    _family("Ministral 3, Mistral Small 4", "mistral3", "magistral", vision="mistral3"),
    _family("Qwen 2, 2.5", "qwen2", "hermes"),
    _family("Qwen2.5-Coder", "qwen2", "hermes", *_FIM),
    _family("DeepSeek R1 distils of Qwen, QwQ", "qwen2", "deepseek-r1"),
    _family("Qwen 2 MoE", "qwen2moe", "hermes"),
    _family("Qwen 2-VL, 2.5-VL", "qwen2vl", "hermes", vision="qwen25vl"),
    _family("Qwen 3", "qwen3", "qwen3"),
    _family("Qwen 3 MoE", "qwen3moe", "qwen3"),
    _family("Qwen3-Coder", "qwen3moe", "qwen3-coder", *_FIM),
    _family("Qwen3-VL", "qwen3vl", "qwen3", vision="qwen3vl"),
    _family("Qwen3-VL MoE", "qwen3vlmoe", "qwen3", vision="qwen3vlmoe"),
    _family("Qwen3-Next, Qwen3-Coder-Next", "qwen3next", "qwen3"),
    _family("Qwen 3.5", "qwen35", "qwen3.5", vision="qwen35"),
    _family("Qwen 3.5 MoE", "qwen35moe", "qwen3.5", vision="qwen35"),
    _family("Gemma", "gemma"),
    _family("CodeGemma", "gemma", "", *_FIM),
    _family("Gemma 2", "gemma2"),
    _family("Gemma 3", "gemma3", vision="gemma3"),
    _family("FunctionGemma", "gemma3", "functiongemma"),
    _family("Gemma 3n", "gemma3n"),
    _family("Gemma 4", "gemma4", "gemma-4", vision="gemma4", audio="gemma4"),
    _family("Phi 2, Dolphin-Phi", "phi2"),
    _family("Phi 3, 3.5, Phi 4", "phi3"),
    _family("Phi 4-mini", "phi3", "phi-4-mini"),
    _family("Phi 3.5 MoE", "phimoe"),
    _family("DeepSeek MoE", "deepseek"),
    _family("DeepSeek V2, DeepSeek-Coder V2", "deepseek2", "", *_DEEPSEEK),
    _family("DeepSeek V3, R1", "deepseek2", "deepseek-r1"),
    _family("DeepSeek V3.1", "deepseek2", "deepseek-v3.1"),
    _family("Kimi K2", "deepseek2", "kimi-k2"),
    _family("Kimi K2 Thinking", "deepseek2", "kimi-k2-thinking"),
    _family("Kimi K3", "kimi-k3", "kimi-k3"),
    _family("GigaChat 3", "deepseek2", "gigachat-3"),
    _family("DeepSeek-OCR", "deepseek2-ocr", vision="deepseekocr"),
    _family("Kimi Linear", "kimi-linear", "kimi-k2"),
    _family("gpt-oss", "gpt-oss", "gpt-oss"),
    _family("Command R", "command-r", "command-r"),
    _family("Command R7B, Command A", "cohere2", "command-a"),
    _family("Granite 3", "granite", "granite-3"),
    _family("Granite 3.2, 3.3", "granite", "granite-3", *_FIM),
    _family("Granite Code", "granite", "", *_STAR),
    _family("Granite 3 MoE", "granitemoe", "granite-3"),
    _family("Granite 4 H", "granitehybrid", "hermes"),
    _family("OLMo", "olmo"),
    _family("OLMo 2", "olmo2"),
    _family("OLMo 3", "olmo2", "olmo3"),
    _family("OLMoE", "olmoe"),
    _family("SmolLM 3", "smollm3", "smollm3"),
    _family("Falcon", "falcon"),
    _family("Falcon H1", "falcon-h1", "hermes"),
    _family("StarCoder", "starcoder", "", *_STAR),
    _family("StarCoder 2", "starcoder2", "", *_STAR),
    _family("GPT-2", "gpt2"),
    _family("GPT-NeoX, Pythia, Dolly", "gptneox"),
    _family("StableLM 2, Stable Code", "stablelm", "", *_STAR),
    _family("Nemotron Mini, Nemotron 4", "nemotron"),
    _family("Nemotron H, Nemotron Nano 2", "nemotron_h", "nemotron-nano-2"),
    _family("LFM 2", "lfm2", "lfm2"),
    _family("LFM 2.5", "lfm2", "lfm2.5"),
    _family(
        "Nemotron 3, Nemotron 3 Omni",
        "nemotron_h_moe",
        "qwen3.5",
        vision="nemotron_h_omni",
        audio="nemotron_h_omni",
    ),
    _family("LFM 2 MoE", "lfm2moe", "lfm2"),
    _family("GLM 4", "glm4", "", *_CODE),
    _family("GLM 4.5, 4.6, 4.7", "glm4moe", "glm", *_CODE),
    _family("Solar Open", "glm4moe", "solar-open"),
    _family("Laguna", "laguna", "glm"),
    _family("ChatGLM 3, CodeGeeX 4", "chatglm", "", *_CODE),
    _family("EXAONE 3", "exaone"),
    _family("EXAONE 4", "exaone4", "hermes"),
    _family("Hunyuan", "hunyuan-dense"),
    _family("Hunyuan A13B", "hunyuan-moe"),
    _family("Hunyuan 3", "hy_v3", "hunyuan-3"),
    _family("Seed-OSS", "seed_oss", "seed-oss"),
    _family("ERNIE 4.5", "ernie4_5"),
    _family("MiniCPM, MiniCPM-V", "minicpm"),
    _family("MiniCPM 5", "minicpm", "minicpm5"),
    _family("MiniCPM 3", "minicpm3"),
    _family("MiniMax M1", "minimax-01", "minimax-m1"),
    _family("MiniMax M2", "minimax-m2", "minimax-m2"),
    _family("MiniMax M3", "minimax-m3", "minimax-m3"),
    _family("InternLM 2", "internlm2"),
    _family("Baichuan", "baichuan"),
    _family("Ling 2, Ring 2", "bailingmoe2", "qwen3"),
    _family("RWKV 6", "rwkv6"),
    _family("RWKV 7", "rwkv7"),
    _family("Mamba", "mamba"),
    _family("Mamba 2, Codestral Mamba", "mamba2"),
    _family("Jamba", "jamba"),
    _family("all-minilm, bge, mxbai-embed, snowflake-arctic-embed", "bert"),
    _family("nomic-embed-text", "nomic-bert"),
    _family("nomic-embed-text v2", "nomic-bert-moe"),
    _family("jina-embeddings v2", "jina-bert-v2"),
    _family("granite-embedding, ModernBERT", "modern-bert"),
    _family("embeddinggemma", "gemma-embedding"),
)
