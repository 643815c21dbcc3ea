"""Who is told, and when: one page per incident, signed, durable, pushed with an end that is renewed."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bus.events import AlertState, IncidentAlert, IncidentEvent, IncidentState, Moment
from fleet.clock import SystemClock
from oncall.guard import ForbiddenReceiver, check_address, check_scheme
from oncall.outbox import GIVE_UP_SECONDS, Notice, Outbox, OutboxError, Told
from oncall.payload import pushed_alerts, reason_to_tell, webhook_body
from oncall.service import OncallService, Receiver
from oncall.signature import BadSecret, signed_headers, signing_key
from oncall.webhook import Answer, Delivery, HttpPoster, judge


def incident(state=IncidentState.OPEN, *, pages=False, at=1_000, sequence=1, alerts=1):
    return IncidentEvent(
        incident_id="inc-1",
        state=state,
        title="Node dgx-001 hangs",
        severity="critical",
        root="dgx-001",
        alerts=[
            IncidentAlert(
                alert_id=f"{n:032x}",
                rule="node.yaml/node/NodeHung",
                alertname="NodeHung",
                asset=f"dgx-{n:03d}",
                state=AlertState.FIRING,
                labels={"severity": "critical", "asset": f"dgx-{n:03d}", "rack": "r01"},
                annotations={"summary": "A node hangs."},
                since_ms=900,
            )
            for n in range(1, alerts + 1)
        ],
        assets=["dgx-001"],
        remediations=[],
        opened_at_ms=1_000,
        updated_at_ms=at,
        ended_at_ms=at if state is IncidentState.RESOLVED else None,
        pages=pages,
        timeline=[Moment(at_ms=1_000, kind="opened", text="NodeHung on dgx-001")],
        sequence=sequence,
        epoch=1,
    )


def notice(number, *, subject="inc-1", at=0):
    return Notice(id=f"n{number}", receiver="ops", subject=subject, body=b"{}", created_ms=at)


def told(state="open", at=0):
    return Told(state=state, paged=False, at_ms=at)


class TestWhatIsTold:
    def test_an_incident_is_told_when_it_opens_and_not_again_while_it_is_worked_on(self):
        assert reason_to_tell(incident(), None, paged=False) == "opened"
        assert reason_to_tell(incident(IncidentState.ACTING), "open", paged=False) is None
        assert reason_to_tell(incident(IncidentState.VERIFYING), "open", paged=False) is None

    def test_a_page_goes_out_once_however_often_the_incident_changes(self):
        assert reason_to_tell(incident(pages=True), "open", paged=False) == "page"
        assert reason_to_tell(incident(pages=True), "open", paged=True) is None

    def test_the_end_is_told_to_those_who_heard_the_beginning(self):
        assert reason_to_tell(incident(IncidentState.RESOLVED), "open", paged=True) == "resolved"
        assert reason_to_tell(incident(IncidentState.RESOLVED), None, paged=False) is None
        assert reason_to_tell(incident(IncidentState.RESOLVED), "resolved", paged=False) is None


class TestPayload:
    def test_the_webhook_has_alertmanagers_version_4_fields(self):
        body = json.loads(webhook_body(incident(alerts=3), receiver="ops", external_url="http://hk", reason="opened"))
        assert set(body) >= {
            "version",
            "groupKey",
            "truncatedAlerts",
            "status",
            "receiver",
            "groupLabels",
            "commonLabels",
            "commonAnnotations",
            "externalURL",
            "alerts",
        }
        assert body["version"] == "4"
        assert body["status"] == "firing"
        assert body["groupLabels"] == {"incident": "inc-1"}
        assert body["commonLabels"]["rack"] == "r01"
        assert "asset" not in body["commonLabels"]
        assert len(body["alerts"]) == 3
        assert set(body["alerts"][0]) == {
            "status",
            "labels",
            "annotations",
            "startsAt",
            "endsAt",
            "generatorURL",
            "fingerprint",
        }
        assert body["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"

    def test_four_hundred_children_are_one_payload_that_counts_what_it_leaves_out(self):
        body = json.loads(webhook_body(incident(alerts=400), receiver="ops", external_url="http://hk", reason="opened"))
        assert len(body["alerts"]) == 100
        assert body["truncatedAlerts"] == 300

    def test_a_pushed_alert_ends_later_while_it_lives_and_after_its_start_when_it_ended(self):
        living = pushed_alerts(incident(), now_ms=5_000, ends_ms=125_000, external_url="http://hk")[0]
        assert living["endsAt"] == "1970-01-01T00:02:05.000Z"
        ended = pushed_alerts(
            incident(IncidentState.RESOLVED, at=1_000), now_ms=5_000, ends_ms=125_000, external_url="http://hk"
        )[0]
        assert ended["endsAt"] > ended["startsAt"]


class TestSignature:
    SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    def test_the_standards_own_library_accepts_our_signature(self):
        from datetime import UTC, datetime

        from standardwebhooks import Webhook

        body = b'{"a": 1}'
        headers = signed_headers(
            notice_id="n1", at_seconds=int(datetime.now(UTC).timestamp()), body=body, keys=(signing_key(self.SECRET),)
        )
        assert Webhook(self.SECRET).verify(body, headers) == {"a": 1}

    def test_an_altered_body_is_refused_by_the_standards_own_library(self):
        from datetime import UTC, datetime

        from standardwebhooks import Webhook, WebhookVerificationError

        headers = signed_headers(
            notice_id="n1", at_seconds=int(datetime.now(UTC).timestamp()), body=b"{}", keys=(signing_key(self.SECRET),)
        )
        with pytest.raises(WebhookVerificationError):
            Webhook(self.SECRET).verify(b'{"a":2}', headers)

    def test_a_weak_or_broken_secret_is_refused_with_a_way_out(self):
        for bad in ("whsec_abc", "whsec_" + "QQ==", "not base64 !"):
            with pytest.raises(BadSecret, match="try:"):
                signing_key(bad)


class TestOutbox:
    def test_what_was_accepted_survives_a_restart(self, tmp_path):
        first = Outbox(tmp_path / "o.sqlite")
        first.queue("inc-1", told(), [notice(1)])
        first.close()
        again = Outbox(tmp_path / "o.sqlite")
        assert [each.id for each in again.due("ops", 1_000)] == ["n1"]
        assert again.told("inc-1") == told()
        again.close()

    def test_one_incidents_notices_leave_in_order_and_do_not_hold_up_anothers(self, tmp_path):
        box = Outbox(tmp_path / "o.sqlite")
        box.queue("inc-1", told(), [notice(1), notice(2)])
        box.queue("inc-2", told(), [notice(3, subject="inc-2")])
        assert [each.id for each in box.due("ops", 0)] == ["n1", "n3"]
        box.failed(notice(1), 0, "HTTP 500")
        assert [each.id for each in box.due("ops", 0)] == ["n3"]
        assert [each.id for each in box.due("ops", 60_000)] == ["n1", "n3"]
        box.taken(notice(1))
        assert [each.id for each in box.due("ops", 60_000)] == ["n2", "n3"]
        box.close()

    def test_what_cannot_be_delivered_stays_visible(self, tmp_path):
        box = Outbox(tmp_path / "o.sqlite")
        box.queue("inc-1", told(), [notice(1), notice(2)])
        assert box.failed(notice(1), 10, "HTTP 400", for_ever=True)
        assert box.failed(notice(2), int(GIVE_UP_SECONDS * 1000) + 1, "HTTP 500")
        assert box.counts() == {"undeliverable": 2}
        box.close()

    def test_a_folder_that_cannot_be_written_is_said_with_its_path(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutboxError, match=r"file.*try:"):
            Outbox(tmp_path / "file" / "o.sqlite")

    @given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
    def test_replaying_the_same_transitions_queues_nothing_twice(self, steps):
        box = Outbox(__import__("pathlib").Path(__import__("tempfile").mkdtemp()) / "o.sqlite")
        for _ in range(2):
            for number, _ok in steps:
                box.queue("inc-1", told(), [notice(number)])
        assert sum(box.counts().values()) == len({number for number, _ in steps})
        box.close()


class TestGuard:
    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "192.168.1.1", "fd00::1", "0.0.0.0", "224.0.0.1"]
    )
    def test_private_loopback_and_metadata_addresses_are_refused(self, address):
        with pytest.raises(ForbiddenReceiver, match="try:"):
            check_address("https://hooks.example/x", address, allow_private=False)
        check_address("https://hooks.example/x", address, allow_private=True)

    def test_plain_http_is_refused_and_the_error_does_not_repeat_the_token_in_the_url(self):
        with pytest.raises(ForbiddenReceiver) as refused:
            check_scheme("http://hooks.example/services/SECRET", allow_private=False)
        assert "SECRET" not in str(refused.value)

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            (200, Answer.TAKEN),
            (204, Answer.TAKEN),
            (429, Answer.AGAIN),
            (500, Answer.AGAIN),
            (302, Answer.REFUSED),
            (400, Answer.REFUSED),
            (401, Answer.REFUSED),
        ],
    )
    def test_each_status_says_what_to_do_next(self, status, answer):
        assert judge(status, "").answer is answer

    async def test_a_redirect_is_not_followed(self):
        from aiohttp import web

        hits = []

        async def hook(request):
            hits.append(request.path)
            raise web.HTTPFound("/elsewhere")

        app = web.Application()
        app.add_routes([web.post("/hook", hook), web.get("/elsewhere", hook), web.post("/elsewhere", hook)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        poster = HttpPoster(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", allow_private=True)
        assert (await poster.post(b"{}", {})).answer is Answer.REFUSED
        assert hits == ["/hook"]
        await poster.close()
        await runner.cleanup()


class FakePoster:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.bodies = []

    async def post(self, body, headers):
        self.bodies.append((json.loads(body), dict(headers)))
        return Delivery(answer=self.answers.pop(0) if self.answers else Answer.TAKEN, why="")

    async def close(self):
        pass


class TestService:
    async def run_with(self, tmp_path, incidents, poster, manager=None, seconds=3.0, until=lambda: False):
        from bus.events import encode_event
        from bus.port import Message, open_bus
        from bus.topics import INCIDENTS

        clock = SystemClock()
        bus = await open_bus("embedded", data=tmp_path, clock=clock, partitions=2)
        publisher = await bus.publisher()
        service = OncallService(
            bus=bus,
            clock=clock,
            registry=CollectorRegistry(),
            data=tmp_path,
            receivers=(Receiver(name="ops", poster=poster),),
            alertmanagers=(Receiver(name="am", poster=manager),) if manager else (),
            external_url="http://hk",
        )
        task = asyncio.create_task(service.run())
        await publisher.publish([Message(INCIDENTS, each.key(), encode_event(each)) for each in incidents])
        for _ in range(int(seconds * 20)):
            await asyncio.sleep(0.05)
            if until():
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()

    async def test_an_incident_that_heals_is_two_messages_and_one_that_is_redelivered_is_still_two(self, tmp_path):
        poster = FakePoster()
        story = [
            incident(at=1_000),
            incident(IncidentState.ACTING, at=2_000, sequence=2),
            incident(IncidentState.RESOLVED, at=3_000, sequence=3),
        ]
        await self.run_with(tmp_path, [*story, *story], poster, until=lambda: len(poster.bodies) >= 3, seconds=1.5)
        assert [body["status"] for body, _ in poster.bodies] == ["firing", "resolved"]

    async def test_a_receiver_that_fails_at_first_gets_everything_in_order_later(self, tmp_path):
        poster = FakePoster(Answer.AGAIN, Answer.AGAIN)
        story = [incident(at=1_000), incident(IncidentState.RESOLVED, at=3_000, sequence=3)]
        await self.run_with(tmp_path, story, poster, until=lambda: len(poster.bodies) >= 4, seconds=8)
        assert [body["status"] for body, _ in poster.bodies] == ["firing", "firing", "firing", "resolved"]

    async def test_living_incidents_are_pushed_to_the_alertmanager(self, tmp_path):
        manager = FakePoster()
        await self.run_with(tmp_path, [incident()], FakePoster(), manager, until=lambda: bool(manager.bodies))
        (alerts, _headers) = manager.bodies[0]
        assert alerts[0]["labels"]["incident"] == "inc-1"
        assert alerts[0]["endsAt"] > alerts[0]["startsAt"]
