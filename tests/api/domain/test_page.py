"""Pages of lists."""

import pytest

from api.domain.page import PAGE_SIZE_DEFAULT, PageRequest, page_request
from api.errors import Invalid
from api.ids import new_id


def test_without_arguments_it_is_the_first_page() -> None:
    assert page_request() == PageRequest(size=PAGE_SIZE_DEFAULT)


def test_before_alone_reads_backwards() -> None:
    assert page_request(before=new_id()).backwards


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"last": 10**9}, {"first": 1, "last": 1}])
def test_sizes_have_limits(arguments: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        page_request(**arguments)  # type: ignore[arg-type]
