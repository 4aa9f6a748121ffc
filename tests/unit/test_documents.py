"""What docs/ says of the code is what the code does."""

import pytest

from daemon.mappings import LENSES
from tests.documents import DOCS, WRITTEN_FROM_CODE, mapping_tables


@pytest.mark.parametrize("name", WRITTEN_FROM_CODE)
def test_what_is_written_from_the_code_is_current(name: str) -> None:
    found = (DOCS / name).read_text("utf-8")
    assert found == WRITTEN_FROM_CODE[name](), f"docs/{name} is not current; run `make docs`"


def test_every_field_of_every_lens_stands_in_the_tables() -> None:
    text = mapping_tables()
    for each in LENSES:
        section = text.partition(f"### {each.category}\n")[2].partition("\n#")[0]
        for field in each.fields:
            assert f"| `{field}` |" in section
