"""Rack PDUs and the feeds above them. Ranges are wider than any device on record; the sources are the families' tables."""

from fleet.register.metric import ON_OFF, counter, gauge, info, produced_by, state

OUTLET = ("outlet",)
PHASE = ("phase",)
PROBE = ("probe",)

POWER = (
    *produced_by(
        "PDU over SNMP",
        gauge("pdu_outlet_power_watts", "Active power of an outlet", 0, 22_000, labels=OUTLET),
        gauge("pdu_outlet_current_amperes", "RMS current of an outlet", 0, 100, labels=OUTLET),
        gauge("pdu_outlet_voltage_volts", "RMS voltage of an outlet", 0, 600, labels=OUTLET),
        counter("pdu_outlet_energy_joules_total", "Energy through an outlet", rate=22_000, labels=OUTLET),
        state("pdu_outlet_state", "Whether an outlet is switched on (B10)", ON_OFF, labels=OUTLET),
        gauge(
            "pdu_outlet_power_factor_ratio", "Power factor of an outlet, negative where leading", -1, 1, labels=OUTLET
        ),
        gauge("pdu_phase_current_amperes", "RMS current of an input phase (B01, B02, B04)", 0, 1_000, labels=PHASE),
        gauge("pdu_phase_voltage_volts", "RMS voltage of an input phase to neutral (B05, B07)", 0, 600, labels=PHASE),
        gauge("pdu_phase_power_watts", "Active power of an input phase", 0, 400_000, labels=PHASE),
        gauge("pdu_phase_power_factor_ratio", "Power factor of an input phase", -1, 1, labels=PHASE),
        gauge("pdu_input_power_watts", "Active power into the PDU, all phases (B29)", 0, 1_000_000),
        gauge("pdu_input_frequency_hertz", "Frequency at the PDU's input (B08)", 40, 70, rate=20),
        counter("pdu_input_energy_joules_total", "Energy into the PDU: the energy of IT (B28)", rate=1_000_000),
        gauge("pdu_breaker_current_amperes", "Current through a breaker of the PDU", 0, 1_000, labels=("breaker",)),
        state(
            "pdu_breaker_state",
            "Whether a breaker of the PDU is closed",
            {0: "open or tripped", 1: "closed"},
            labels=("breaker",),
        ),
        gauge("pdu_temperature_celsius", "Temperature at a probe of the PDU (B10)", -40, 125, rate=5, labels=PROBE),
        gauge(
            "pdu_relative_humidity_ratio", "Relative humidity at a probe of the PDU (C10)", 0, 1, rate=0.2, labels=PROBE
        ),
        gauge("pdu_up_seconds", "Time since the PDU's controller started (sysUpTime)", 0),
    ),
    *produced_by(
        "meters of feeds: substations, busbars, grid supplies",
        gauge("feeder_voltage_volts", "Voltage to neutral of a phase (B07, B16)", 0, 100_000, labels=PHASE),
        gauge("feeder_current_amperes", "Current of a phase", 0, 10_000, labels=PHASE),
        gauge("feeder_power_watts", "Active power, positive toward the load (B12, B29, B30)", -1e9, 1e9),
        gauge("feeder_frequency_hertz", "Frequency (B08)", 40, 70, rate=20),
        counter("feeder_energy_joules_total", "Energy toward the load; of a cooler what it takes (B28)", rate=1e9),
        state("feeder_breaker_state", "Whether the feed's breaker is closed (B16)", {0: "open", 1: "closed"}),
        counter("feeder_sags_total", "Voltage sags below 70 % seen by the power-quality meter (B07)"),
        gauge(
            "busbar_joint_temperature_celsius",
            "Temperature of a busbar joint (B30)",
            -40,
            250,
            rate=5,
            labels=("joint",),
        ),
    ),
    *produced_by(
        "power-quality meters, by themselves or through `rules.models.oscillation`",
        gauge(
            "feeder_power_waveform_watts",
            "Active power, 40 samples a second or more, from which swings are computed (B14)",
            -1e9,
            1e9,
        ),
        gauge("feeder_oscillation_ratio", "RMS of the power between 0.1 and 20 Hz over its mean (B14)", 0, 10),
        gauge("feeder_oscillation_peak_ratio", "Largest narrow peak between 0.1 and 2.5 Hz over the mean (B14)", 0, 10),
    ),
    *produced_by(
        "rules/models, from meters",
        gauge(
            "breaker_time_to_trip_seconds",
            "Predicted time until a breaker trips at this load; very large when it never does (B03)",
            0,
            labels=PHASE,
        ),
    ),
    *produced_by(
        "recorded by rules/catalogue/power.yaml and feeders.yaml",
        gauge("phase_imbalance_ratio", "Largest deviation of a phase current from the mean, over the mean (B06)", 0, 3),
        gauge(
            "rack_one_feed_load_ratio",
            "What one feed of a rack would carry on a phase, of its rating, if the other were lost (B04)",
            0,
            10,
            labels=PHASE,
        ),
        gauge(
            "rack_phase_headroom_ratio",
            "What 80 % of one feed's rating leave on a phase of a rack after the loss of the other feed",
            -10,
            1,
            labels=PHASE,
        ),
        gauge(
            "power_headroom_after_loss_watts",
            "What sources or panels of a kind can give after the loss of their largest, less what they give now",
            -1e10,
            1e10,
            labels=("kind",),
        ),
        gauge(
            "feed_balance_residual_ratio",
            "Difference between a meter and the sum of those below it, over the meter (B29)",
            -10,
            10,
        ),
    ),
    *produced_by(
        "collectors, from the inventory (source site/fleet)",
        info("fleet_pdu_info", "A PDU, its rack and which of the two feeds it is (B04, B28)", "feed"),
        gauge("fleet_pdu_nominal_volts", "Phase to neutral, as it should be (B07)", 0, 1_000),
        info("fleet_plant_info", "A source of power, what hands it on, or a cooler (B16, B22, B28)", "kind"),
        gauge(
            "fleet_power_rated_watts", "What a source or panel is rated for (B19, B22, B30)", 0, 1e10, labels=("kind",)
        ),
        info("fleet_power_feeds", "What stands above a PDU, panel or cooler in the power tree (B29)", "feeder"),
    ),
)
