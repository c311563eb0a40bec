from agent.link.link import GuestLink
from agent.link.warmup import warm_up
from tests.agent.running_guest import events, output


async def test_a_template_is_warmed_up_and_nothing_is_left_of_it(link: GuestLink) -> None:
    await warm_up(link)
    assert output(await events(link, "sh", "-c", "ls -A /tmp | grep -c nestbox-warm-up")) == b"0\n"
