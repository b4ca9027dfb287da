"""A decoder's training on a tiny one: what it must come to, however it is cut up or broken off."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from resources.training import TrainingJob
from resources.training.causal.blocks import SCHEMA
from tests.checkpoints import WORDS
from tests.integration.test_training_engines import ENGINES, materialize
from tests.trainings import Killed, Trained, alike, same, train_here

pytestmark = pytest.mark.slow

STEPS, BLOCKS, TOKENS = 5, 12, 16
LORA: dict[str, Any] = {"rank": 2, "alpha": 4, "layers": ["q_proj", "v_proj"]}
SETTINGS: dict[str, Any] = {
    "base": "tiny",
    "steps": STEPS,
    "batch_size": 4,
    "tokens": TOKENS,
    "learning_rate": 1e-2,
    "warmup_ratio": 0.0,
    "lora": LORA,
    "held_out_blocks": 2,
    "seed": 3,
    "save_steps": 2,
}


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


class Bench:
    """Jobs on one tiny decoder and the same texts, each with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = write_decoder(folder / "base")
        self.texts = folder / "texts.parquet"
        words = np.random.default_rng(0).choice(WORDS, size=BLOCKS * TOKENS)
        rows = [{"text": " ".join(words), "held_out": held_out} for held_out in (False, True)]
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), self.texts)

    def job(self, name: str, dropout: float = 0.0, **settings: Any) -> TrainingJob:
        out = self.folder / name
        out.mkdir()
        told = SETTINGS | {"lora": LORA | {"dropout": dropout}} | settings
        return TrainingJob(
            self.base, self.texts, out / "adapter", out / "state", told, task="causal"
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def undisturbed(bench: Bench) -> Trained:
    return train_here(bench.job("undisturbed"))


def run_short(patch: pytest.MonkeyPatch, most: int) -> None:
    """Let a model run out of memory at the end of a pass with more than `most` blocks."""
    from transformers import LlamaForCausalLM

    real = LlamaForCausalLM.forward

    def forward(self: Any, *rest: Any, **options: Any) -> Any:
        import torch

        found = real(self, *rest, **options)
        if len(options["input_ids"]) > most and torch.is_grad_enabled():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return found

    patch.setattr(LlamaForCausalLM, "forward", forward)


@pytest.fixture
def _poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gets no memory for the activations of more than two blocks."""
    run_short(monkeypatch, 2)


def test_losses_move(undisturbed: Trained) -> None:
    assert len({loss for _, loss in undisturbed.result.losses}) == STEPS
    metrics = undisturbed.result.metrics
    assert metrics["held_out_loss_after"] < metrics["held_out_loss_before"]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_at_any_step_it_ends_bit_for_bit_as_if_it_had_not_been(
    bench: Bench, step: int
) -> None:
    whole = train_here(bench.job(f"whole-{step}", dropout=0.3))
    job = bench.job(f"killed-{step}", dropout=0.3)
    with pytest.raises(Killed):
        train_here(job, die=f"step {step}/")
    assert not job.output.exists()
    resumed = train_here(job)
    assert resumed.result.steps == STEPS - (step - 1) // 2 * 2
    assert resumed.result.metrics == whole.result.metrics
    assert same(resumed, whole)


def lost_at_the_third_step(bench: Bench, name: str) -> tuple[TrainingJob, Path]:
    """A job, and the state that its killed training left."""
    job = bench.job(name)
    with pytest.raises(Killed):
        train_here(job, die="step 3/")
    (state,) = job.state.glob("*/step-*")
    return job, state


def test_a_state_that_lacks_a_learned_weight_is_not_taken_up(
    bench: Bench, undisturbed: Trained
) -> None:
    job, state = lost_at_the_third_step(bench, "lacking")
    weights = load_file(state / "model.safetensors")
    save_file({f"other.{name}": x for name, x in weights.items()}, state / "model.safetensors")
    resumed = train_here(job)
    assert resumed.result.steps == STEPS
    assert same(resumed, undisturbed)


class Planted:
    """What would make a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_no_pickle_in_a_state_is_run(bench: Bench, tmp_path: Path) -> None:
    job, state = lost_at_the_third_step(bench, "planted")
    assert not list(state.glob("custom_checkpoint*"))
    for name in ("custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl"):
        (state / name).write_bytes(pickle.dumps(Planted(tmp_path / "run")))
    with pytest.raises(Exception, match=r"[Ww]eights.only|custom checkpoint"):
        train_here(job)
    assert not (tmp_path / "run").exists()


def test_killed_before_the_adapter_is_written_it_has_no_step_to_do(
    bench: Bench, undisturbed: Trained
) -> None:
    job = bench.job("unwritten")
    with pytest.raises(Killed):
        train_here(job, die="held-out loss")
    resumed = train_here(job)
    assert resumed.result.steps == 0
    assert same(resumed, undisturbed)


def test_another_text_begins_anew(bench: Bench) -> None:
    job = bench.job("of-others")
    with pytest.raises(Killed):
        train_here(job, die="step 3/")
    rows = pq.read_table(bench.texts).to_pylist()
    rows[0]["text"] += " then the lazy dog sleeps" * TOKENS
    other = bench.folder / "other.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), other)
    assert train_here(replace(job, pairs=other)).result.steps == STEPS


def test_a_saved_state_holds_the_updates_and_not_the_base(bench: Bench) -> None:
    job = bench.job("saved")
    train_here(job)
    [state] = job.state.glob("*/step-*")
    names = load_file(state / "model.safetensors")
    assert names
    assert all("lora_" in name for name in names)


@pytest.mark.parametrize("micro_batch", [1, 3, 100])
def test_fewer_activations_give_the_same_gradients(
    bench: Bench, undisturbed: Trained, micro_batch: int
) -> None:
    found = train_here(bench.job(f"micro-{micro_batch}", micro_batch=micro_batch))
    assert alike(found, undisturbed)


@pytest.mark.usefixtures("_poor")
def test_out_of_memory_halves_the_micro_batch_and_says_so(
    bench: Bench, undisturbed: Trained
) -> None:
    found = train_here(bench.job("poor"))
    [told] = [message for message in found.log if "out of memory" in message]
    assert told == (
        "step 1: out of memory with the activations of 4 at a time; "
        "micro_batch is 2 from here on, batch_size stays"
    )
    assert alike(found, undisturbed)


@pytest.mark.usefixtures("_poor")
def test_what_ran_out_of_memory_leaves_no_trace_in_random_numbers(bench: Bench) -> None:
    found = train_here(bench.job("poor-dropout", dropout=0.3))
    assert same(found, train_here(bench.job("asked-dropout", dropout=0.3, micro_batch=2)))


@pytest.mark.usefixtures("_poor")
def test_a_resumed_training_remembers_how_much_memory_there_is(bench: Bench) -> None:
    job = bench.job("poor-killed")
    with pytest.raises(Killed):
        train_here(job, die="step 3/")
    resumed = train_here(job)
    assert resumed.result.steps == STEPS - 2
    assert not [message for message in resumed.log if "out of memory" in message]


def test_no_memory_for_a_single_block_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_short(monkeypatch, 0)
    message = "step 1: memory ran out with the activations of 1 blocks of 16 tokens: lower"
    with pytest.raises(RuntimeError, match=message):
        train_here(bench.job("no-memory"))


def test_a_loss_that_is_no_number_stops_with_the_batch_named(bench: Bench) -> None:
    job = bench.job("diverged", learning_rate=1e30, save_steps=1)
    with pytest.raises(FloatingPointError, match=r"step \d: the (loss|gradients)") as error:
        train_here(job)
    blocks = str(error.value).split("blocks ")[1].split(" of ")[0].split(", ")
    assert len({int(block) for block in blocks}) == SETTINGS["batch_size"]
    assert str(job.pairs) in str(error.value)
    assert not job.output.exists()
    [state] = job.state.glob("*/step-*")
    kept = load_file(state / "model.safetensors")
    assert all(np.isfinite(value).all() for value in kept.values())


@pytest.mark.parametrize(
    "engine", [engine for engine in ENGINES if "stage=3" not in str(engine.values)]
)
def test_two_processes_learn_what_one_does_and_what_they_saved_is_what_they_had(
    bench: Bench, engine: str
) -> None:
    """Three blocks a step, so that one process has two of them."""
    alone = train_here(bench.job(f"alone-{uuid4().hex}", batch_size=3))
    job = bench.job(f"two-{uuid4().hex}", batch_size=3)
    result = materialize(engine, job)
    assert (result.world_size, result.steps) == (2, STEPS)
    found = Trained(result, load_file(job.output / "adapter_model.safetensors"), [])
    assert found.weights.keys() == alone.weights.keys()
    assert alike(found, alone)
    again = replace(job, output=job.output.with_name("again"))
    assert materialize(engine, again).steps == 0
    assert same(Trained(result, load_file(again.output / "adapter_model.safetensors"), []), found)
    assert not list(job.output.parent.glob("*.partial"))
