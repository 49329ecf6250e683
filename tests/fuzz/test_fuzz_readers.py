"""Bounded runs of the fuzz functions, the same mutants every time."""

from __future__ import annotations

import tracemalloc

import pytest

from fuzz.corpus import Corpora, good_documents
from fuzz.fuzz_readers import READERS, survive
from fuzz.mutator import Mutator

# Parsed JSON is larger than its text: a dictionary for "{}", for example.
MEMORY_FOR_A_BYTE = 150
MEMORY_FOR_NOTHING = 2**20


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """Good documents for every reader."""
    return good_documents(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("reader", READERS)
def test_good_documents_are_read(corpora: Corpora, reader: str) -> None:
    for document in corpora[reader]:
        READERS[reader](document)


@pytest.mark.parametrize("reader", READERS)
def test_bad_documents_raise_only_errors_of_ours(corpora: Corpora, reader: str) -> None:
    _survive(corpora, reader, 20_260_101, 400)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_many_bad_documents_raise_only_errors_of_ours(corpora: Corpora, reader: str) -> None:
    _survive(corpora, reader, 20_260_102, 50_000)


@pytest.mark.parametrize("reader", READERS)
def test_memory_is_bounded_by_what_is_there_to_read(corpora: Corpora, reader: str) -> None:
    mutator = Mutator(corpora[reader], 20_260_103)
    for _ in range(100):
        mutant = mutator.mutant()
        tracemalloc.start()
        survive(reader, mutant)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= MEMORY_FOR_NOTHING + MEMORY_FOR_A_BYTE * len(mutant)


def _survive(corpora: Corpora, reader: str, seed: int, count: int) -> None:
    mutator = Mutator(corpora[reader], seed)
    for _ in range(count):
        survive(reader, mutator.mutant())
