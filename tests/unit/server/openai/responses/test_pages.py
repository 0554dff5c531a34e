"""Lists of items, page by page."""

import pytest

from server.errors import BadRequest
from server.openai.responses.pages import PageQuery, page_of

ITEMS = [{"id": name} for name in "abcde"]


@pytest.mark.parametrize(
    ("limit", "newest_first", "after", "ids", "has_more"),
    [
        (20, False, None, "abcde", False),
        (20, True, None, "edcba", False),
        (2, False, None, "ab", True),
        (2, False, "b", "cd", True),
        (2, False, "d", "e", False),
        (2, True, "b", "a", False),
        (5, False, "e", "", False),
    ],
)
def test_a_page_begins_behind_an_item(
    limit: int, newest_first: bool, after: str | None, ids: str, has_more: bool
) -> None:
    page = page_of(ITEMS, PageQuery(limit, newest_first, after))

    assert [item["id"] for item in page.data] == list(ids)
    assert (page.first_id, page.last_id) == ((ids[0], ids[-1]) if ids else (None, None))
    assert page.has_more == has_more


def test_a_page_behind_nothing_is_refused() -> None:
    with pytest.raises(BadRequest):
        page_of(ITEMS, PageQuery(after="x"))
