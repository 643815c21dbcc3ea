"""Proofs of the newer verbs: what meters show after the send, and what an object's record says to its reader."""

import json
from types import SimpleNamespace

import pytest

from fleet.clock import SystemClock
from fleet.model import AssetId, CredentialRefs, Endpoint, Kind, Wire
from remediator.measured import RECORDED, measured
from remediator.proof import Meter, Reading, Verdict
from remediator.record import Record
from remediator.records import Intent
from remediator.verbs import TRAITS, Lane, Plane, Verb
from tests.contract.agent.certificates import Authority
from tests.contract.kubernetes.cluster import READ_ONLY, Cluster, node, serving

NODE, SENT = AssetId("dgx-001"), 100_000


class Meters:
    """A sight whose meters a test plays: metric (and pump) to samples of (ms after the send, value)."""

    def __init__(self, **samples: list[tuple[int, float]]) -> None:
        self.samples = samples

    def meter(self, metric: str, labels: dict[str, str], _since_ms: int) -> Meter:
        name = metric + ("_" + labels["pump"] if "pump" in labels else "")
        rows = self.samples.get(name, [])
        return Meter(metric=metric, labels=labels, readings=[Reading(SENT + at, value) for at, value in rows])

    def outlet_meters(self, _node: AssetId, since_ms: int) -> list[Meter]:
        return [self.meter("pdu_outlet_power_watts", {}, since_ms)]


SITE = SimpleNamespace(asset=lambda _id: SimpleNamespace(ratings={"gpus": 8.0}, kind=Kind.CDU))


def intent(verb: Verb, **arguments: object) -> Intent:
    return Intent(
        intent_id="i", remediation_id="r", step="s", verb=verb, device=NODE, target=NODE, lock="it", arguments=arguments,
        class_=1, lane=Lane.CORRECTIVE, epoch=1, created_at_ms=SENT, not_after_boottime_ns=1, effect_until_ms=SENT,
    )  # fmt: skip


TABLE = [
    (Verb.REBOOT, {}, {"agent_up_seconds": [(60_000, 30.0)]}, Verdict.PROVEN),
    (Verb.REBOOT, {}, {"agent_up_seconds": [(60_000, 9_000.0)]}, Verdict.OPEN),
    (Verb.REBOOT, {}, {"agent_up_seconds": [(-1_000, 3.0)]}, Verdict.OPEN),
    (Verb.GPU_RESET, {}, {"agent_gpu_count": [(1_000, 8.0), (3_000, 8.0)]}, Verdict.PROVEN),
    (Verb.GPU_RESET, {}, {"agent_gpu_count": [(1_000, 7.0), (3_000, 7.0)]}, Verdict.CONTRADICTED),
    (Verb.GPU_RESET, {}, {"agent_gpu_count": [(-1_000, 8.0), (3_000, 8.0)]}, Verdict.OPEN),
    (Verb.BMC_COLD_RESET, {}, {"bmc_power_state": [(1_000, 1.0), (70_000, 1.0), (80_000, 1.0)]}, Verdict.PROVEN),
    (Verb.BMC_COLD_RESET, {}, {"bmc_power_state": [(9_000, 1.0), (19_000, 1.0), (29_000, 1.0)]}, Verdict.OPEN),
    (Verb.BMC_COLD_RESET, {}, {"bmc_power_state": [(70_000, 1.0)]}, Verdict.OPEN),
    (Verb.BMC_COLD_RESET, {}, {"bmc_power_state": [(-9_000, 1.0), (70_000, 1.0)]}, Verdict.OPEN),
    (Verb.DCMI_LIMIT_OFF, {}, {"pdu_outlet_power_watts": [(1, 900.0), (2, 950.0)]}, Verdict.PROVEN),
    (Verb.BESS_SET_POINT, {"watts": 1e6}, {"bess_power_watts": [(1_000, 0.96e6), (2_000, 1.02e6)]}, Verdict.PROVEN),
    (Verb.BESS_SET_POINT, {"watts": -1e6}, {"bess_power_watts": [(1_000, 1e6), (2_000, 1e6)]}, Verdict.OPEN),
    (Verb.BESS_RELEASE, {}, {"bess_set_point_enabled": [(1, 0.0), (2, 0.0)]}, Verdict.PROVEN),
    (Verb.BESS_RELEASE, {}, {"bess_set_point_enabled": [(1, 0.0), (2, 1.0)]}, Verdict.CONTRADICTED),
    (Verb.STANDBY_PUMP, {"run": True}, {"cdu_pump_speed_rpm_1": [(1, 2e3), (2, 2e3)], "cdu_pump_speed_rpm_2": [(1, 2e3), (2, 2e3)]}, Verdict.PROVEN),
    (Verb.STANDBY_PUMP, {"run": True}, {"cdu_pump_speed_rpm_1": [(1, 2e3), (2, 2e3)], "cdu_pump_speed_rpm_2": [(1, 0.0), (2, 0.0)]}, Verdict.OPEN),
    (Verb.STANDBY_PUMP, {"run": False}, {"cdu_pump_speed_rpm_1": [(1, 2e3), (2, 2e3)], "cdu_pump_speed_rpm_2": [(1, 0.0), (2, 0.0)]}, Verdict.PROVEN),
    (Verb.COOLANT_SET_POINT, {"celsius": 28.0}, {"cdu_supply_temperature_celsius": [(-500, 30.0), (1, 29.4), (2, 29.3)]}, Verdict.PROVEN),
    (Verb.COOLANT_SET_POINT, {"celsius": 28.0}, {"cdu_supply_temperature_celsius": [(-500, 30.0), (1, 30.1), (2, 30.2)]}, Verdict.OPEN),
    (Verb.SLURM_SIGNAL, {}, {}, Verdict.OPEN),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "arguments", "samples", "verdict"), TABLE)
def test_only_samples_after_the_send_prove_an_effect(verb, arguments, samples, verdict) -> None:
    assert measured(intent(verb, **arguments), Meters(**samples), SITE, SENT).verdict is verdict


def test_without_a_sample_nothing_is_proven() -> None:
    for verb in Verb:
        arguments = {"watts": 1.0, "celsius": 1.0, "run": True}
        assert measured(intent(verb, **arguments), Meters(), SITE, SENT).verdict is Verdict.OPEN


def test_every_slurm_state_is_proven_by_its_record() -> None:
    states = {verb for verb, traits in TRAITS.items() if traits.plane is Plane.SLURM}
    assert states - RECORDED == {Verb.SLURM_SIGNAL}


async def test_a_record_is_read_with_the_readers_credential_and_nothing_is_written(tmp_path) -> None:
    authority = Authority(tmp_path)
    async with serving(authority, Cluster(("nodes", node("n1")))) as cluster:
        endpoint = Endpoint(
            asset=AssetId("k8s"), name="api", wire=Wire.KUBERNETES, address=cluster.url, profile="k", credentials="k", job="k"
        )  # fmt: skip
        path = tmp_path / "read.yaml"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"token": READ_ONLY, "ca": str(authority.path)}))
        refs = CredentialRefs(read=f"file:{path}", write="file:/nowhere")
        site = SimpleNamespace(
            asset=lambda _id: SimpleNamespace(endpoints=(endpoint,)), base=tmp_path,
            credentials_for=lambda _endpoint, write: refs.write if write else refs.read,
        )  # fmt: skip
        record = Record(site, SystemClock())
        wanted = intent(Verb.TAINT, node="n1", key="hallkeeper.io/suspect")
        assert (await record.shows(wanted)).verdict is Verdict.CONTRADICTED
        cluster.put("nodes", node("n1", taints=[{"key": "hallkeeper.io/suspect", "effect": "NoSchedule"}]))
        assert (await record.shows(wanted)).verdict is Verdict.PROVEN
        cluster.trouble = (500, "down")
        assert (await record.shows(wanted)).verdict is Verdict.OPEN
        assert cluster.writes == []
