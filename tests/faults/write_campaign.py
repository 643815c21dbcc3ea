"""Thousands of commands through a faulty network, judged by the devices' own logs and by the wire.

    python tests/faults/write_campaign.py --trials 500 --json

Per fault: so many IPMI power commands to ipmi_sim and so many outlet SETs (v2c and v3 in turn) to snmpd, each through a
proxy that applies the fault from the first packet of the login on. Counted per order: state-changing datagrams that the
client sent (opened by the proxy with the password), executions in the device's log, executions after the fence, and
orders that claim an effect which the device did not have.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from devices.orders import Order, State
from devices.wire import ipmi_writer, snmp_set
from devices.wire.ipmi_writer import IpmiWriter
from devices.wire.rmcp import Patience
from devices.wire.snmp_set import SnmpSetWriter
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from tests.faults.proxy import Fault, Plan, UdpProxy
from tests.faults.write_peers import PASSWORD, USER, IpmiSim
from tests.faults.write_sniff import IpmiSniffer, SnmpSniffer
from tests.faults.write_snmpd import AUTH_KEY, COMMUNITY, PRIV_KEY, V3_USER, Snmpd
from tests.faults.write_tally import HEAD, WHY, Tally, Trial, judge, row

LONGEST_SECONDS = 0.6
"""How late a delayed packet or a copy comes: beyond the time after which the client gives up waiting."""
ANSWER_SECONDS = 0.25
EFFECT_SECONDS = 0.3
PATIENCE = Patience(timeout_seconds=0.1, tries=6, logins=8)
FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)
RATES = {Fault.DROP_REPLIES: 0.5, Fault.DROP_REQUESTS: 0.5, Fault.DUPLICATE: 0.7, Fault.DELAY: 0.5, Fault.REORDER: 0.4}
V2C = {"version": "2c", "community": COMMUNITY}
V3 = {"version": "3", "user": V3_USER, "auth": "sha256", "auth_key": AUTH_KEY, "priv": "aes128", "priv_key": PRIV_KEY}


class IpmiBench:
    """One BMC, its proxy and a writer."""

    kind = "ipmi"

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.device = IpmiSim(folder)
        self.sniffer = IpmiSniffer(USER, PASSWORD)
        self.plan = plan
        clock = SystemClock()
        timing = ipmi_writer.Timing(patience=PATIENCE, answer_seconds=ANSWER_SECONDS)
        self.writer = IpmiWriter(clock, timing=timing)

    def proxy(self) -> UdpProxy:
        return UdpProxy(
            ("127.0.0.1", self.device.port), self.plan, on_request=self.sniffer.request, on_reply=self.sniffer.reply
        )

    def sends(self) -> int:
        return self.sniffer.commands

    def prepare(self, number: int) -> tuple[str, dict[str, object], dict[str, object], str]:
        goal = ("off", "on")[number % 2]
        self.device.set_power("on" if goal == "off" else "off")
        return f"power_{goal}", {}, {"user": USER, "password": PASSWORD, "suite": 3}, goal

    def endpoint(self, address: str) -> Endpoint:
        return Endpoint(
            asset=AssetId("node"),
            name="bmc",
            wire=Wire.IPMI,
            address=address,
            profile="any",
            credentials="c",
            job="ipmi",
        )


class SnmpBench:
    """One PDU, its proxy and a writer."""

    kind = "snmp"

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.device = Snmpd(folder)
        self.sniffer = SnmpSniffer(PRIV_KEY)
        self.plan = plan
        timing = snmp_set.Timing(timeout_seconds=0.2, retries=10)
        self.writer = SnmpSetWriter(SystemClock(), timing=timing)

    def proxy(self) -> UdpProxy:
        return UdpProxy(("127.0.0.1", self.device.port), self.plan, on_request=self.sniffer.request)

    def sends(self) -> int:
        return self.sniffer.sets

    def prepare(self, number: int) -> tuple[str, dict[str, object], dict[str, object], str]:
        goal = ("off", "on")[number % 2]
        self.device.set_state("2", "on" if goal == "off" else "off")
        return f"outlet_{goal}", {"outlet": "2"}, V3 if number // 2 % 2 else V2C, goal

    def endpoint(self, address: str) -> Endpoint:
        return Endpoint(
            asset=AssetId("pdu"), name="snmp", wire=Wire.SNMP, address=address, profile="eaton-epdu-g3", credentials="c", job="snmp"
        )  # fmt: skip


Bench = IpmiBench | SnmpBench


async def one(bench: Bench, proxy: UdpProxy, number: int, tally: Tally) -> None:
    """One order through the faulty network; what was late is waited for before the next."""
    verb, arguments, secret, goal = bench.prepare(number)
    before, started = bench.sends(), time.time()
    reported: dict[State, float] = {}
    clock = SystemClock()
    order = Order(
        intent=f"{bench.kind}-{number}",
        asset=AssetId("x"),
        verb=verb,
        arguments=arguments,
        endpoint=bench.endpoint(proxy.address),
        secret=secret,
        not_after_boottime_ns=clock.boottime_ns() + 60 * 10**9,
        effect_latency_seconds=EFFECT_SECONDS,
    )
    verdict = await bench.writer.act(order, lambda state: reported.setdefault(state, time.time()))
    ended = time.time()
    await proxy.quiet()
    await asyncio.sleep(0.03)  # the device carries out what just arrived
    proxy.forget_clients()
    trial = Trial(verdict, bench.sends() - before, started, reported.get(State.FENCED), ended)
    judge(bench.device.executions(), trial, goal, tally)


async def worker(bench: Bench, target: int, tally: Tally) -> None:
    """Orders to one device until enough of them were sent."""
    bench.device.start()
    try:
        async with bench.proxy() as proxy:
            number = 0
            while tally.sent < target and number < target * 3 + 10:
                await one(bench, proxy, number, tally)
                number += 1
    finally:
        bench.device.stop()


async def measure(
    kind: type[IpmiBench] | type[SnmpBench], fault: Fault, *, trials: int, seed: int, workers: int
) -> Tally:
    """One fault, several devices side by side."""
    folder = Path(tempfile.mkdtemp(prefix="writes-"))
    tallies = [Tally(kind.kind, fault) for _ in range(workers)]
    started = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for place, tally in enumerate(tallies):
                plan = Plan(fault=fault, seed=seed * 1000 + place, rate=RATES[fault], longest_seconds=LONGEST_SECONDS)
                share = trials // workers + (place < trials % workers)
                group.create_task(worker(kind(folder / str(place), plan), share, tally))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = Tally(kind.kind, fault)
    for tally in tallies:
        total.add(tally)
    total.seconds = round(time.monotonic() - started, 1)
    return total


async def campaign(*, kinds: str, faults: str, trials: int, seed: int, workers: int) -> list[Tally]:
    """The faults and kinds of command that were asked for, one after the other."""
    found = []
    for kind in (IpmiBench, SnmpBench):
        for fault in FAULTS:
            if kind.kind in kinds.split(",") and fault in faults.split(","):
                found.append(await measure(kind, fault, trials=trials, seed=seed, workers=workers))
                print(row(found[-1]), flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500, help="sent commands per fault and kind")
    parser.add_argument("--kinds", default="ipmi,snmp", help="ipmi, snmp or both")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--why", action="store_true", help="say why orders were not sent, refused or left unconfirmed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=8, help="devices side by side")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    print(HEAD)
    chosen = {name: getattr(arguments, name) for name in ("kinds", "faults", "trials", "seed", "workers")}
    found = asyncio.run(campaign(**chosen))
    if arguments.why:
        print(*sorted(WHY), sep="\n")
    right = all(tally.right and tally.sent >= arguments.trials for tally in found)
    if arguments.json:
        print(json.dumps({"right": right, "faults": [asdict(tally) | {"right": tally.right} for tally in found]}))
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
