import io
from typing import get_args

import pytest
from rich.console import Console

from nestbox.demo.story import Story
from nestbox.demo.telling import StoryError
from tests.nestbox.demo.platform_fake import Lie, PlatformFake


async def _tell(platform: PlatformFake) -> tuple[Story, str]:
    text = io.StringIO()
    # long enough for ten counts, twice what a counter is forgiven
    story = Story(platform, Console(file=text, width=80), "demo", pause_seconds=1.0)
    await story.tell()
    return story, text.getvalue()


async def test_each_step_is_one_line_with_its_time() -> None:
    story, text = await _tell(PlatformFake())

    assert story.sandbox_id == ""
    lines = text.splitlines()
    assert len(lines) > 17
    assert all(" ms " in line for line in lines)


@pytest.mark.parametrize("lie", get_args(Lie))
async def test_a_platform_that_does_otherwise_is_found_out(lie: Lie) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await _tell(PlatformFake(lie))

    assert caught.group_contains(StoryError)


@pytest.mark.parametrize("lie", ["another pid", "children are one"])
async def test_a_failed_story_deletes_what_it_made(lie: Lie) -> None:
    platform = PlatformFake(lie)
    story = Story(platform, Console(file=io.StringIO()), "demo", pause_seconds=0.0)
    with pytest.raises(ExceptionGroup):
        await story.tell()

    await story.clean_up()

    assert platform.state == "DELETED"
    assert not platform.copies | platform.templates
