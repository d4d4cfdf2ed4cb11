"""Who may read and delete transcripts, and when they are gone by themselves."""

from dataclasses import replace

import pytest
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.gateway import CreatedApiKey
from sluice.contracts.paging import Page
from sluice.contracts.transcripts import Transcript as Shown
from sluice.db import open_database
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers
from sluice_gateway.domain.transcripts import Transcript
from sluice_gateway.retention_store import RetentionStore

pytestmark = pytest.mark.integration
PATH = "/admin/transcripts"
FAR = 4_000_000_000.0
ONE = Transcript(
    "tr_1", "req_00000001", 1_000.0, FAR, "acme", "org_1", None, "key_1", "ann", "/v1/chat/completions", "m", "ok", 200,
    True, {"messages": [{"role": "user", "content": "\x00hé"}]}, {"choices": []}, 10, "default",
)  # fmt: skip


async def admin_key(gateway: Gateway, tenant: str, role: str = "admin") -> dict[str, str]:
    body = {"name": "k", "tenant": tenant, "role": role}
    made = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    return {"authorization": f"Bearer {CreatedApiKey.model_validate_json(made.content).key}"}


async def test_an_admin_key_reads_and_deletes_its_own_organisations_only(gateway: Gateway) -> None:
    await gateway.deps.transcripts.add(
        [ONE, replace(ONE, id="tr_2", at=1_001.0), replace(ONE, id="tr_3", request_id="req_00000003", tenant="other")]
    )
    mine, others = await admin_key(gateway, "acme"), await admin_key(gateway, "other")
    page = Page[Shown].model_validate_json((await gateway.client.get(PATH, headers=mine)).content)
    assert [one.id for one in page.data] == ["tr_2", "tr_1"]
    whole = Shown.model_validate_json((await gateway.client.get(f"{PATH}/tr_1", headers=mine)).content)
    assert (whole.request, whole.answer, whole.redacted) == (ONE.request, ONE.answer, True)
    by_request = await gateway.client.get(f"{PATH}/req_00000001", headers=admin_headers())
    assert by_request.json()["id"] == "tr_2", "of two with one request id the later one"
    for path in ("tr_3", "req_00000003", "tr_404"):
        answer = await gateway.client.get(f"{PATH}/{path}", headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (404, "transcript_not_found")
    assert (await gateway.client.get(PATH, params={"tenant": "acme"}, headers=others)).json()["data"][0]["id"] == "tr_3"
    gone = await gateway.client.delete(PATH, params={"tenant": "acme", "to": 2_000}, headers=others)
    assert gone.json()["deleted"] == 1, "its own, whatever it asks for"
    assert (await gateway.client.delete(PATH, params={"end_user": "ann"}, headers=mine)).json()["deleted"] == 2
    assert (await gateway.client.get(PATH, headers=admin_headers())).json()["data"] == []


async def test_a_deletion_is_in_the_audit_log_of_each_organisation_that_it_reached(gateway: Gateway) -> None:
    mine = await admin_key(gateway, "acme")
    own = (await gateway.client.get("/admin/keys", headers=mine)).json()["data"][0]["organization_id"]
    many = [replace(ONE, id=f"tr_{number:04}", organization_id=own) for number in range(501)]
    await gateway.deps.transcripts.add([*many, replace(ONE, id="tr_x", organization_id="org_2", tenant="other")])
    gone = await gateway.client.delete(PATH, params={"end_user": "ann"}, headers=admin_headers())
    assert gone.json()["deleted"] == 502
    assert (await gateway.client.delete(PATH, params={"end_user": "ann"}, headers=mine)).json()["deleted"] == 0
    listed = await gateway.client.get("/admin/audit", params={"target": "transcripts"}, headers=admin_headers())
    records = {one["organization_id"]: one for one in listed.json()["data"]}
    assert len(listed.json()["data"]) == 2, "none for what deleted nothing"
    assert {name: one["before"]["deleted"] for name, one in records.items()} == {own: 501, "org_2": 1}
    assert records[own]["before"]["end_user"] == "ann"
    assert (records[own]["action"], records[own]["actor_id"], records[own]["after"]) == ("delete", "admin", None)
    seen = await gateway.client.get("/admin/audit", params={"target": "transcripts"}, headers=mine)
    assert [one["organization_id"] for one in seen.json()["data"]] == [own]


async def test_odd_names_and_a_repeated_write_hold_nothing_up(gateway: Gateway) -> None:
    """A caller says who its user is and which model it means, and nobody else's transcript is to wait for what it says."""
    odd = replace(ONE, id="tr_2", end_user="a\x00b", model="m\x00" + "x" * 300)
    await gateway.deps.transcripts.add([ONE, odd])
    await gateway.deps.transcripts.add([ONE, replace(ONE, id="tr_3")])  # a shutdown came between writing and noting it
    shown = (await gateway.client.get(PATH, params={"order": "asc"}, headers=admin_headers())).json()["data"]
    assert [one["id"] for one in shown] == ["tr_1", "tr_2", "tr_3"]
    assert (shown[1]["end_user"], shown[1]["model"]) == ("ab", "m" + "x" * 199)


async def test_members_read_none_and_nobody_deletes_all_by_mistake(gateway: Gateway) -> None:
    member = await admin_key(gateway, "acme", "member")
    for method in ("GET", "DELETE"):
        assert (await gateway.client.request(method, PATH, headers=member)).status_code == 403
    answer = await gateway.client.delete(PATH, headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "filter_missing")
    answer = await gateway.client.get(PATH, params={"after": "tr_404"}, headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_unknown")


async def test_an_expired_one_is_not_shown_and_the_worker_deletes_it(
    gateway: Gateway, platform: PlatformSettings
) -> None:
    await gateway.deps.transcripts.add([replace(ONE, expires_at=2_000.0), replace(ONE, id="tr_2")])
    shown = (await gateway.client.get(PATH, headers=admin_headers())).json()["data"]
    assert [one["id"] for one in shown] == ["tr_2"]
    assert (await gateway.client.get(f"{PATH}/tr_1", headers=admin_headers())).status_code == 404
    database = open_database(platform, "gateway")
    assert await RetentionStore(database).delete_transcripts(3_000.0) == 1
    await database.close()
