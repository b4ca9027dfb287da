"""Base models of a hub: what is brought, what is refused. The hub is a protocol double."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from platform_assets.checkpoints.bases import KeptModels
from resources import registry
from resources.encoding.checkpoint import read_checkpoint
from resources.model_hub import ModelCard, Origin
from resources.model_hub.huggingface import HuggingFaceHub
from resources.model_hub.package import PackageHub
from resources.settings import Settings, UsageError
from tests.checkpoints import CONFIG, OWN, write_checkpoint
from tests.servers import free_ports
from tests.servers.hub import EXPIRED, TOKEN, HubDouble, hub_double
from tests.spies import Platform

REPO = "acme/tiny-encoder"
USELESS = dict.fromkeys(("pytorch_model.bin", "train_script.py", "onnx/model.onnx"), b"x")
CARD = b"---\nlicense: cc-by-4.0\n---\nA tiny encoder."


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """A tiny encoder as authors publish it, with much that is of no use here."""
    folder = write_checkpoint(tmp_path / "published")
    paths = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {**found, **USELESS, "README.md": CARD}


@pytest.fixture
def client(hub: HubDouble, tmp_path: Path) -> HuggingFaceHub:
    del hub
    return HuggingFaceHub("huggingface://", tmp_path / "cache", PackageHub())


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_pinned_model_is_brought_without_pickles_and_programs_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, files: dict[str, bytes]
) -> None:
    model = hub.put(REPO, files)
    hub.put(REPO, {"config.json": b"the next commit is another model"})
    folder = client.fetch(model)
    assert names(folder) == files.keys() - {
        "pytorch_model.bin",
        "train_script.py",
        "onnx/model.onnx",
    }
    assert all((folder / name).read_bytes() == files[name] for name in names(folder))
    read_checkpoint(folder)
    asked = len(hub.calls)
    assert client.fetch(model) == folder
    assert client.origin(model) == Origin(REPO, "cc-by-4.0")
    assert len(hub.calls) == asked, "what is on the disk is not asked for again"


def test_many_that_want_a_model_bring_it_once_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, files: dict[str, bytes]
) -> None:
    model = hub.put(REPO, files)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(client.fetch, [model] * 4))) == 1
    assert sum(path.startswith("/cdn/") for _, path, _ in hub.calls) == 1


def test_a_client_that_is_to_stay_offline_says_so_on_the_hub_double(
    hub: HubDouble,
    client: HuggingFaceHub,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE is set: unset it"):
        client.fetch(hub.put(REPO, files))
    assert not hub.calls


def test_a_model_without_an_owner_is_a_packages_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub
) -> None:
    assert client.fetch("all-MiniLM-L6-v2") == PackageHub().fetch("all-MiniLM-L6-v2")
    assert client.origin("all-MiniLM-L6-v2").licence == "apache-2.0"
    assert not hub.calls


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (CARD, "cc-by-4.0"),
        (None, "unknown"),
        (b"no metadata", "unknown"),
        (b"---\nlicense: [mit, x]\n---\n", "unknown"),
        (b"---\nlicense: 'mit` **buy**'\n---\n", "unknown"),
        (b"---\n{ broken\n---\n", "unknown"),
    ],
)
def test_the_licence_is_what_the_card_says_on_the_hub_double(
    hub: HubDouble,
    client: HuggingFaceHub,
    files: dict[str, bytes],
    card: bytes | None,
    licence: str,
) -> None:
    del files["README.md"]
    model = hub.put(REPO, files | ({"README.md": card} if card else {}))
    assert client.origin(model).licence == licence


def config(**more: Any) -> bytes:
    return json.dumps(CONFIG | more).encode()


def modules(path: str, kind: str) -> bytes:
    return json.dumps([{"path": path, "type": kind}]).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config.json": config(auto_map={"AutoModel": "m.Model"})}, r"asks for code .* auto_map"),
        ({"modules.json": modules("", "custom_st.Transformer")}, "asks for custom_st.Transformer"),
        (
            {"modules.json": modules("../..", f"{OWN}.Transformer")},
            r"'\.\./\.\.' is no file's name",
        ),
        ({"../../escaped.json": b"{}"}, r"'\.\./\.\./escaped.json' is no file's name that stays"),
        ({"/tmp/escaped.json": b"{}"}, r"'/tmp/escaped.json' is no file's name that stays"),
        ({"model.safetensors": None}, "only pytorch_model.bin, which may be a pickle"),
        ({"model.safetensors": None, "pytorch_model.bin": None}, "has no weights as .safetensors"),
    ],
)
def test_a_model_that_is_unsafe_to_read_is_refused_on_the_hub_double(
    hub: HubDouble,
    client: HuggingFaceHub,
    files: dict[str, bytes],
    tmp_path: Path,
    change: dict[str, bytes | None],
    message: str,
) -> None:
    changed = {name: data for name, data in {**files, **change}.items() if data is not None}
    with pytest.raises(ValueError, match=message):
        client.fetch(hub.put(REPO, changed))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".safetensors"]
    assert not list(tmp_path.rglob("escaped.json"))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_differs_from_what_the_hub_lists_is_refused_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, files: dict[str, bytes], name: str
) -> None:
    model = hub.put(REPO, files)
    hub.corrupted.add(name)
    with pytest.raises(ValueError, match=f"{name} is not the file that the hub lists"):
        client.fetch(model)
    hub.corrupted.clear()
    assert (client.fetch(model) / name).read_bytes() == files[name]


def test_a_model_that_is_not_there_or_not_shown_is_explained_on_the_hub_double(
    hub: HubDouble,
    client: HuggingFaceHub,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = hub.put(REPO, files, private=True)
    with pytest.raises(LookupError, match=r"has no acme/none .*HF_TOKEN"):
        client.fetch(f"acme/none@{'0' * 40}")
    with pytest.raises(LookupError, match="shows it only to some: set HF_TOKEN"):
        client.fetch(model)
    monkeypatch.setenv("HF_TOKEN", EXPIRED)
    with pytest.raises(PermissionError, match=r"refuses the token .*expired") as refused:
        client.fetch(model)
    assert EXPIRED not in str(refused.getrepr(style="long", chain=True))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(LookupError, match="is the commit right"):
        client.fetch(f"{REPO}@{'0' * 40}")
    assert client.fetch(model).is_dir()
    assert {token for _, path, token in hub.calls if path.startswith("/cdn/")} == {None}


def test_a_gated_model_says_what_to_accept_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, files: dict[str, bytes]
) -> None:
    with pytest.raises(PermissionError, match=r"is gated .*accept its terms"):
        client.fetch(hub.put(REPO, files, gated=True))


def test_no_token_but_that_of_the_environment_is_sent_on_the_hub_double(
    hub: HubDouble,
    client: HuggingFaceHub,
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = tmp_path / "token"
    left.write_text("hf_left_by_a_login")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(left))
    client.fetch(hub.put(REPO, files))
    assert {token for _, _, token in hub.calls} == {None}


def test_a_mirror_is_given_by_its_endpoint_on_the_hub_double(
    hub: HubDouble, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_double(*free_ports(1)) as mirror:
        model = mirror.put(REPO, files)
        monkeypatch.setenv("LAKELOOM_HUB", f"{mirror.url}/")
        monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
        assert registry.connect_hub(Settings.from_env()).fetch(model).is_dir()
        assert mirror.calls
    assert all(path == "/api/agent-harnesses" for _, path, _ in hub.calls)


@pytest.mark.parametrize(
    ("variable", "url", "message"),
    [
        ("LAKELOOM_HUB", "huggingface://acme/model", "LAKELOOM_HUB=.*stands alone"),
        ("LAKELOOM_HUB", "https://me:secret@mirror.example", "LAKELOOM_HUB=.*set HF_TOKEN"),
        ("HF_ENDPOINT", "https://me:secret@mirror.example", "HF_ENDPOINT=.*set HF_TOKEN"),
    ],
)
def test_a_hub_that_cannot_be_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, message: str
) -> None:
    monkeypatch.setenv("LAKELOOM_HUB", "huggingface://")
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path))
    monkeypatch.setenv(variable, url)
    with pytest.raises(UsageError, match=message) as refused:
        registry.connect_hub(Settings.from_env())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("model", ["acme/model", "acme/model@main", f"acme/model@{'A' * 40}"])
def test_a_name_that_pins_nothing_is_refused(client: HuggingFaceHub, model: str) -> None:
    with pytest.raises(ValueError, match="is not pinned: write owner/name@"):
        client.fetch(model)


def test_a_model_is_kept_in_the_lake_on_the_hub_double(
    hub: HubDouble, platform: Platform, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Another machine, with another disk and no hub, has it from the lake."""
    del hub
    state = platform.state
    with hub_double(*free_ports(1)) as double:
        model = double.put(REPO, files)
        here = HuggingFaceHub(double.url, tmp_path / "here", PackageHub())
        brought = KeptModels(here, state.lake, state.checkpoints).fetch(model)
    gone = HuggingFaceHub(double.url, tmp_path / "elsewhere", PackageHub())
    kept = KeptModels(gone, state.lake, state.checkpoints)
    assert names(kept.fetch(model)) == names(brought)
    assert kept.origin(model) == Origin(REPO, "cc-by-4.0")
    assert state.checkpoints.broken(kept.fetch(model).name) is None


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_explained(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nobody = HuggingFaceHub(f"http://127.0.0.1:{port}", tmp_path, PackageHub())
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} does not answer.*LAKELOOM_HUB"):
        nobody.fetch(f"{REPO}@{'0' * 40}")


@pytest.fixture
def published(client: HuggingFaceHub, files: dict[str, bytes], hub: HubDouble) -> Path:
    return client.fetch(hub.put(REPO, files))


def card(repo: str) -> ModelCard:
    return ModelCard(REPO, "cc-by-4.0", ("one",), f"# {repo}\n")


def test_a_folder_is_published_in_one_commit_and_comes_back_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    made = client.publish(published, "my-encoder", card, private=True)
    assert made.repo == "weaver/my-encoder"
    assert made.url == f"{hub.url}/weaver/my-encoder"
    assert hub.repositories[made.repo].private
    assert len(hub.repositories[made.repo].commits) == 2  # its creation, and all files at once
    assert client.publish(published, "my-encoder", card, private=True) == made, "nothing changed"
    back = client.fetch(f"{made.repo}@{made.revision}")
    assert names(back) == names(published)
    assert (back / "model.safetensors").read_bytes() == (
        published / "model.safetensors"
    ).read_bytes()
    assert (back / "README.md").read_text().startswith(f"---\nbase_model: {REPO}\n")


@pytest.mark.parametrize(("token", "repo"), [(None, "mine"), (EXPIRED, "mine"), (TOKEN, "acme/x")])
def test_who_may_not_publish_is_told_on_the_hub_double(
    client: HuggingFaceHub,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    repo: str,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PermissionError, match=r"refuses the token .*lacks the right") as refused:
        client.publish(published, repo, card, private=False)
    assert (token or "nothing") not in str(refused.value)


def test_what_is_no_repository_or_unsafe_is_not_published_on_the_hub_double(
    hub: HubDouble, client: HuggingFaceHub, published: Path
) -> None:
    with pytest.raises(UsageError, match="is no repository's name"):
        client.publish(published, "a/b/c", card, private=False)
    os.link(published / "config.json", published / "weights.pkl")
    with pytest.raises(ValueError, match="pickle"):
        client.publish(published, "mine", card, private=False)
    assert "weaver/mine" not in hub.repositories
