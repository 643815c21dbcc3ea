"""Whatever sensors and records a BMC claims to have: series with one source each, finite, and a sentence a record."""

import math

from hypothesis import given
from hypothesis import strategies as st

from devices.wire.ipmi_metrics import detail_series, fast_series, plan_of, record_told
from devices.wire.rmcp_bmc import SensorReading
from devices.wire.rmcp_sdr import Sensor
from devices.wire.rmcp_sel import decode_sel_record
from devices.wire.rmcp_sensor import Factors, Format
from fleet.metrics import METRICS

bytes_ = st.integers(0, 255)
factors = st.builds(
    Factors,
    m=st.integers(-512, 511),
    b=st.integers(-512, 511),
    b_exponent=st.integers(-8, 7),
    result_exponent=st.integers(-8, 7),
    linearisation=st.integers(0, 127),
    format=st.sampled_from(Format),
)
sensors = st.builds(
    Sensor,
    number=bytes_,
    name=st.sampled_from(["Inlet Temp", "Fan", "PS1", "System Power", "", "Temp"]),
    owner=st.sampled_from([0x20, 0x2C]),
    lun=st.integers(0, 1),
    entity=bytes_,
    entity_instance=bytes_,
    sensor_type=st.sampled_from([1, 2, 3, 4, 8, 0x0B, 0xC0]),
    reading_type=st.sampled_from([1, 0x6F, 3]),
    unit=st.sampled_from(["celsius", "fahrenheit", "volts", "watts", "rpm", "amperes", "percent", "unit_99"]),
    factors=st.one_of(st.none(), factors),
)


@given(st.lists(sensors, max_size=30), st.data())
def test_every_reading_is_one_finite_series_of_the_register(found: list[Sensor], data) -> None:
    plan = plan_of(found)
    asked = {sensor.number for sensor in (*plan.fast, *plan.details)}
    assert asked <= plan.names.keys()
    assert len(set(plan.names.values())) == len(plan.names)
    readings = [
        SensorReading(sensor, sensor.value(data.draw(bytes_)), data.draw(st.integers(0, 0x7FFF)))
        for sensor in (*plan.fast, *plan.details)
    ]
    series = fast_series(plan, readings, watts=data.draw(st.one_of(st.none(), st.just(100.0)))) | detail_series(
        plan, [reading for reading in readings if reading.sensor in plan.details]
    )
    assert all(math.isfinite(value) for value in series.values())
    assert {name for name, _ in series} <= set(METRICS)


@given(st.binary(min_size=16, max_size=16))
def test_any_record_has_a_gravity_and_a_sentence(octets: bytes) -> None:
    severity, text = record_told(decode_sel_record(octets), {})
    assert severity in {"info", "warning", "critical"}
    assert text
