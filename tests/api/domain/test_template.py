"""Names of templates, and what may be done with them."""

import pytest

from api.domain.template import check_template_name, template_actions
from api.errors import Forbidden, Invalid
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, PLATFORM_TEAM_ID, new_id
from tests.api.records import a_template


@pytest.mark.parametrize("name", ["a", "0", "web-2.1_x", "a" * 63])
def test_good_names_are_taken_as_they_are(name: str) -> None:
    assert check_template_name(name, DEFAULT_TEAM_ID) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "a\0", "a" * 64, "\ud800"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_template_name(name, PLATFORM_TEAM_ID)
    assert refused.value.path == ("name",)


@pytest.mark.parametrize("name", ["base", "platform", "nestbox", "nestbox-python"])
def test_reserved_names_are_the_platforms(name: str) -> None:
    assert check_template_name(name, PLATFORM_TEAM_ID) == name
    with pytest.raises(Forbidden) as refused:
        check_template_name(name, DEFAULT_TEAM_ID)
    assert refused.value.code == "TEMPLATE_NAME_RESERVED"


def test_what_may_be_deleted() -> None:
    own = a_template(id=new_id(), team_id=DEFAULT_TEAM_ID)
    foreign = a_template(id=new_id(), team_id=new_id())
    platforms = a_template(id=new_id())
    base = a_template()
    assert base.id == BASE_TEMPLATE_ID
    for template, in_use, is_admin, allowed in (
        (own, False, False, True),
        (own, True, False, False),
        (platforms, False, False, False),
        (platforms, False, True, True),
        (platforms, True, True, False),
        (base, False, True, False),
        (foreign, False, True, False),
    ):
        (entry,) = template_actions(template, in_use=in_use, is_platform_admin=is_admin, team_id=DEFAULT_TEAM_ID)
        assert entry.allowed is allowed
        assert (entry.reason is None) is allowed
