import tomllib
from pathlib import Path

import pytest

from platform_assets.checkpoints.recipes import load_recipes
from resources.training.hyperparameters import Hyperparameters

TRAINED = """
[tuned]
base = "some-model"
[tuned.training]
corpora = ["packages"]
negatives = 2
min_pairs = 10
steps = 3
batch_size = 4
learning_rate = 1e-5
warmup_ratio = 0.1
scale = 20
max_tokens = 64
seed = 1
save_steps = 2
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text)
    return path


def test_own_recipes_are_a_base_and_one_tuned_from_it() -> None:
    recipes = load_recipes()
    assert recipes["minilm"].training is None
    assert recipes["minilm-tuned"].base == recipes["minilm"].base
    assert recipes["minilm-tuned"].training is not None
    assert len({recipe.digest for recipe in recipes.values()}) == len(recipes)


def test_worker_is_told_the_hyperparameters_and_nothing_else(tmp_path: Path) -> None:
    training = load_recipes(write(tmp_path, TRAINED))["tuned"].training
    assert training is not None
    told = training.hyperparameters()
    written = tomllib.loads(TRAINED)["tuned"]["training"]
    others = {"corpora", "negatives", "min_pairs"}
    assert told.items() >= {key: written[key] for key in written.keys() - others}.items()
    assert not told.keys() & others
    assert Hyperparameters.model_validate(told).model_dump(exclude_none=True, mode="json") == told


def test_every_way_to_train_is_a_field(tmp_path: Path) -> None:
    text = TRAINED + (
        "loss = 'symmetric'\ndimensions = [192, 96]\nschedule = 'cosine'\nprecision = 'float32'\n"
        "dropout = 0\nmicro_batch = 8\nweight_decay = 0\n"
        "[tuned.training.lora]\nrank = 8\nalpha = 16\nlayers = ['query', 'dense']\n"
    )
    training = load_recipes(write(tmp_path, text))["tuned"].training
    assert training is not None
    assert training.lora is not None
    assert (training.dimensions, training.lora.layers) == ((192, 96), ("query", "dense"))


def test_digest_covers_every_field_and_not_the_spelling(tmp_path: Path) -> None:
    digest = load_recipes(write(tmp_path, TRAINED))["tuned"].digest
    spelled = TRAINED.replace("scale = 20", "scale = 20.0  # a comment")
    assert load_recipes(write(tmp_path, spelled))["tuned"].digest == digest
    changes = ('"some-model"', '"other"'), ("seed = 1", "seed = 2"), ('["packages"]', '"all"')
    for old, new in changes:
        assert load_recipes(write(tmp_path, TRAINED.replace(old, new)))["tuned"].digest != digest


def test_where_a_recipe_is_trained_is_no_part_of_its_digest(tmp_path: Path) -> None:
    plain = load_recipes(write(tmp_path, TRAINED))["tuned"]
    asking = """engine = "ray://?workers=2"
[tuned.training.resources]
gpus = 2
cpu = 8
memory = "32Gi"
"""
    recipe = load_recipes(write(tmp_path, TRAINED + asking))["tuned"]
    assert recipe.digest == plain.digest
    assert recipe.training is not None
    assert plain.training is not None
    assert recipe.training.hyperparameters() == plain.training.hyperparameters()
    assert recipe.training.engine == "ray://?workers=2"
    assert recipe.training.resources.memory_bytes == 32 * 2**30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TRAINED + 'engine = "horse://"\n', "training.engine: .*error, 'horse:' names no known"),
        (TRAINED + "epochs = inf\n", "training.epochs: .*finite"),
        (TRAINED.replace("scale = 20", "scale = nan"), "training.scale: "),
        (TRAINED.replace('["packages"]', '"packages"'), r'corpora: .*"all", or .*: \["packages"\]'),
        (
            TRAINED.replace("batch_size = 4", "batch_size = 1").replace("es = 2", "es = 0"),
            "training: .*nothing but its answer",
        ),
        (TRAINED + 'engine = "ray://?worker=2"\n', "training.engine: .*worker: Extra inputs"),
        (TRAINED + "resources = { gpu = 1 }\n", "training.resources.gpu: Extra inputs"),
        (TRAINED + 'resources = { memory = "3 GB" }\n', "training.resources.memory: .*pattern"),
        ("[tuned]\n", "recipe 'tuned': base: Field required"),
        (TRAINED + "epoch = 1\n", "recipe 'tuned': training.epoch: Extra inputs"),
        (TRAINED.replace("batch_size = 4", "batch_size = 0"), "training.batch_size: .*than 0"),
        (TRAINED.replace("seed = 1", 'seed = "1"'), "training.seed: .*integer"),
        (TRAINED + "dropout = 99\n", "training.dropout: .*than 1"),
        (TRAINED + "precision = 'fp8'\n", "training.precision: .*'bf16'"),
        (TRAINED + "lora = {rank = 0, alpha = 1}\n", "training.lora.rank: .*greater than 0"),
        (TRAINED.replace("negatives = 2", "negatives = 9"), "training.negatives: .*equal to 4"),
        (TRAINED.replace("steps = 3\n", "", 1), "training: .*give epochs, steps, or both"),
        (TRAINED.replace("[tuned]", "[Tuned]").replace("[tuned.", "[Tuned."), "'Tuned': name"),
        ('[tuned]\nbase = "acme/model"', "recipe 'tuned': base: .*40 hex digits of a commit"),
        ('[tuned]\nbase = "acme/model@main"', "recipe 'tuned': base: .*pin one of a hub"),
        ('[tuned]\nbase = "../model"', "recipe 'tuned': base: "),
        ('[tuned]\nname = "other"\nbase = "x"', "its heading is its name"),
        ("tuned = 1", "a recipe is a table"),
        ("[tuned", "some.toml: "),
    ],
)
def test_wrong_recipe_names_recipe_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipes(write(tmp_path, text))


def test_a_corpus_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    training = load_recipes(write(tmp_path, TRAINED))["tuned"].training
    assert training is not None
    assert training.fault({"packages", "stdlib"}) is None
    assert training.fault({"stdlib"}) == "recipes.toml names no corpus of this lake: packages"
    everything = load_recipes(write(tmp_path, TRAINED.replace('["packages"]', '"all"')))
    assert everything["tuned"].training is not None
    assert everything["tuned"].training.fault(set()) is None


def test_the_recipe_in_the_docs_can_be_used(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    example = docs.split("```toml\n")[1].split("```")[0]
    assert load_recipes(write(tmp_path, example))["minilm-lora"].training is not None
