"""The causal loop by itself: a tiny decoder, in one process and in two."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from resources.training import TrainingJob
from resources.training.causal.blocks import SCHEMA
from tests.checkpoints import WORDS
from tests.integration.test_training_engines import materialize

pytestmark = pytest.mark.slow

STEPS = 3


def write_decoder(folder: Path) -> Path:
    """A decoder of a few thousand weights that knows a few words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    words = {word: number for number, word in enumerate(["[UNK]", "[END]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[END]")
    fast.save_pretrained(folder)
    set_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(
        vocab_size=len(words), num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, **sizes
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    text = " ".join(WORDS[number % len(WORDS)] for number in range(16 * 8))
    rows = [{"text": text, "held_out": held_out} for held_out in (False, True)]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "texts.parquet")
    hyperparameters = {
        "base": "tiny",
        "steps": STEPS,
        "batch_size": 4,
        "tokens": 16,
        "learning_rate": 1e-2,
        "warmup_ratio": 0.0,
        "lora": {"rank": 2, "alpha": 4, "layers": ["q_proj"]},
        "held_out_blocks": 2,
        "seed": 3,
    }
    base, texts = write_decoder(tmp_path / "base"), tmp_path / "texts.parquet"
    output, state = tmp_path / "one" / "adapter", tmp_path / "state"
    output.parent.mkdir()
    return TrainingJob(base, texts, output, state, hyperparameters, task="causal")


def test_two_processes_learn_what_one_does(job: TrainingJob, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    other = replace(job, output=tmp_path / "two" / "adapter")
    one, two = materialize("accelerate://", job), materialize("accelerate://?processes=2", other)
    assert (one.world_size, two.world_size) == (1, 2)
    assert [loss for _, loss in two.losses] == pytest.approx([loss for _, loss in one.losses], 1e-4)
    mine, theirs = (
        load_file(output / "adapter_model.safetensors") for output in (job.output, other.output)
    )
    assert mine.keys() == theirs.keys()
    assert all(theirs[name] == pytest.approx(mine[name], abs=1e-4) for name in mine)
    assert list(other.output.parent.iterdir()) == [other.output], "nothing half written stays"
