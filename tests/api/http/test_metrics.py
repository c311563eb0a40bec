"""What Prometheus is told, read with its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from tests.api.client import Client

Samples = dict[str, list[tuple[dict[str, str], float]]]


async def _samples(client: Client) -> Samples:
    response = await client.http.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=")
    found: Samples = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _of(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for given, value in samples[name] if labels.items() <= given.items())


async def test_an_admin_reads_how_the_platform_is(admin_client: Client, client: Client) -> None:
    before = await _samples(admin_client)
    sandbox = await client.create()
    await client.command("pauseSandbox", "__typename", id=sandbox["id"])
    after = await _samples(admin_client)
    assert _of(after, "nestbox_sandboxes", state="paused") == _of(before, "nestbox_sandboxes", state="paused") + 1
    assert _of(after, "nestbox_operations", kind="fork") == 0
    assert _of(after, "nestbox_host_reachable") >= 1
    assert _of(after, "nestbox_host_memory_bytes") > _of(after, "nestbox_host_memory_free_bytes") > 0
    assert _of(after, "nestbox_reconciler_runs_total") > 0
    name = "nestbox_http_request_duration_seconds_count"
    graphql = {"route": "/graphql", "status": "200"}
    assert _of(after, name, **graphql) >= _of(before, name, **graphql) + 2


async def test_paths_from_outside_do_not_grow_the_metrics(admin_client: Client) -> None:
    for path in ("/one", "/two/three", "/sandboxes/sb-1/files?path=/a", "/graphqlx"):
        await admin_client.http.get(path)
    samples = await _samples(admin_client)
    routes = {labels["route"] for labels, _ in samples["nestbox_http_request_duration_seconds_count"]}
    assert routes <= {"/graphql", "/sandboxes", "/auth", "/hosts", "/metrics", "other"}


async def test_nobody_else_reads_them(client: Client) -> None:
    refused = await client.http.get("/metrics")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")
    anonymous = await client.http.get("/metrics", headers={"authorization": ""})
    assert (anonymous.status_code, anonymous.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
