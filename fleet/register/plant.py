"""Battery storage, generators, emissions, and the site as one customer of its grid."""

from collections.abc import Mapping

from fleet.register.metric import NO_YES, counter, gauge, produced_by, state

SOURCE = ("source",)
WINDOW = ("window",)
BATTERY_STATES: Mapping[float, str] = {
    1: "disconnected",
    2: "initializing",
    3: "connected",
    4: "standby",
    5: "state-of-charge protection",
    6: "suspending",
    99: "fault",
}
"""SunSpec model 802, point State."""
CHARGE_STATES: Mapping[float, str] = {
    1: "off",
    2: "empty",
    3: "discharging",
    4: "charging",
    5: "full",
    6: "holding",
    7: "testing",
}
"""SunSpec model 802, point ChaSt."""
INVERTER_STATES: Mapping[float, str] = {
    0: "off",
    1: "sleeping",
    2: "starting",
    3: "running",
    4: "throttled",
    5: "shutting down",
    6: "fault",
    7: "standby",
}
"""SunSpec model 701, point InvSt."""
GENERATOR_STATES: Mapping[float, str] = {
    0: "stopped",
    1: "starting",
    2: "running",
    3: "stopping",
    4: "failed to start",
    5: "tripped",
}

PLANT = (
    *produced_by(
        "battery storage over Modbus (SunSpec models 1, 701, 704, 713, 802)",
        gauge("bess_state_of_charge_ratio", "Energy that is left, of what it holds when full (B18)", 0, 1, rate=0.01),
        gauge("bess_state_of_health_ratio", "Capacity that is left, of what it had when new", 0, 1, rate=0.001),
        gauge("bess_power_watts", "Active power, positive when discharging", -1e9, 1e9),
        gauge("bess_available_energy_joules", "Energy that can be taken (B18)", 0, 1e13),
        gauge("bess_capacity_joules", "Energy when full", 0, 1e13),
        gauge("bess_available_power_watts", "Power that can be given now (B19)", 0, 1e9),
        gauge("bess_rated_power_watts", "Power that it is built for", 0, 1e9),
        state("bess_state", "State of the battery bank", BATTERY_STATES),
        state("bess_charge_status", "What the battery does with its charge", CHARGE_STATES),
        state("bess_inverter_state", "State of the inverter", INVERTER_STATES),
        state("bess_storage_status", "Status of the storage", {0: "ok", 1: "warning", 2: "error"}),
        state("bess_grid_connected", "Whether it is connected to the grid", NO_YES),
        gauge("bess_frequency_hertz", "Frequency at its terminals", 40, 70, rate=20),
        gauge("bess_ac_voltage_volts", "Voltage at its terminals, line to neutral", 0, 100_000),
        gauge("bess_ac_current_amperes", "Current at its terminals", -100_000, 100_000),
        gauge("bess_dc_voltage_volts", "Voltage of the battery", 0, 3_000),
        gauge("bess_dc_current_amperes", "Current of the battery, positive when discharging", -100_000, 100_000),
        gauge("bess_cell_voltage_max_volts", "Highest cell voltage", 0, 5, rate=1),
        gauge("bess_cell_voltage_min_volts", "Lowest cell voltage", 0, 5, rate=1),
        gauge("bess_cell_voltage_average_volts", "Mean cell voltage", 0, 5, rate=1),
        gauge("bess_cell_temperature_max_celsius", "Highest module temperature (B20)", -40, 1_000, rate=50),
        gauge("bess_cell_temperature_min_celsius", "Lowest module temperature (B20)", -40, 1_000, rate=50),
        gauge("bess_ambient_temperature_celsius", "Temperature around it", -40, 85, rate=5),
        gauge("bess_set_point_watts", "Power that it is told to give", -1e9, 1e9),
        state("bess_set_point_enabled", "Whether it follows its set point", NO_YES),
        gauge("bess_set_point_reversion_seconds", "Time until its set point reverts by itself", 0, 1e6),
        counter("bess_discharged_energy_joules_total", "Energy that it has given", rate=1e9),
        counter("bess_charged_energy_joules_total", "Energy that it has taken", rate=1e9),
        state("bess_offgas_detected", "Whether hydrogen or off-gas is detected (B20)", NO_YES, labels=("detector",)),
        state("bess_smoke_detected", "Whether smoke is detected (B20)", NO_YES, labels=("detector",)),
        gauge("bess_transfer_seconds", "How long its last transfer took (B17)", 0, 60),
    ),
    *produced_by(
        "generator controllers over Modbus",
        state("generator_state", "State of a generator string (B21)", GENERATOR_STATES),
        gauge("generator_power_watts", "Active power (B21)", -1e8, 1e9),
        gauge("generator_load_ratio", "Load, of what it is rated for (B21)", -0.5, 2),
        gauge("generator_speed_rpm", "Engine or turbine speed", 0, 60_000),
        gauge("generator_frequency_hertz", "Frequency at its terminals", 0, 80),
        gauge("generator_voltage_volts", "Voltage of a phase to neutral", 0, 100_000, labels=("phase",)),
        gauge("generator_current_amperes", "Current of a phase", 0, 100_000, labels=("phase",)),
        gauge("generator_oil_pressure_pascals", "Oil pressure", 0, 2e6),
        gauge("generator_fuel_pressure_pascals", "Fuel pressure (B21)", 0, 1e7),
        gauge("generator_fuel_level_ratio", "Fuel that is left", 0, 1, rate=0.05),
        gauge("generator_coolant_temperature_celsius", "Coolant temperature", -40, 200, rate=10),
        gauge("generator_battery_voltage_volts", "Voltage of the starter battery", 0, 60),
        counter("generator_starts_total", "Starts"),
        counter("generator_start_failures_total", "Starts that failed (B21)"),
        counter("generator_running_seconds_total", "Time that it has run", rate=1.5),
        counter("generator_energy_joules_total", "Energy that it has given", rate=1e9),
    ),
    *produced_by(
        "continuous emission monitoring, over a point map",
        gauge("emissions_nox_measured_ratio", "NOx, dry, share by volume, at the oxygen of the stack (B25)", 0, 0.01),
        gauge("emissions_nox_ratio", "NOx at 15 % oxygen, share by volume (25 ppm are 0.000025) (B25)", 0, 0.01),
        gauge("emissions_oxygen_ratio", "Oxygen in the exhaust, dry, share by volume (B25)", 0, 0.25),
        state("emissions_valid", "Whether the analyser's value counts: no calibration, no fault (B26)", NO_YES),
        counter(
            "emissions_mass_kilograms_total",
            "Mass emitted, by pollutant: nox, so2, pm, co (B26)",
            rate=10,
            labels=("pollutant",),
        ),
        gauge("fuel_sulfur_ratio", "Sulphur in the fuel, share by mass (B26)", 0, 0.1),
    ),
    *produced_by(
        "meters of renewable generation, the site's own and what it has contracted",
        counter(
            "renewable_energy_joules_total", "Renewable energy generated for the site (B27)", rate=1e9, labels=SOURCE
        ),
    ),
    *produced_by(
        "the utility or its aggregator, over a point map or an OpenADR bridge",
        gauge("curtailment_target_watts", "Power from the grid that a curtailment event allows (B23)", 0, 1e10),
        gauge("curtailment_start_timestamp_seconds", "When a curtailment event begins (B23)", 0),
        gauge("curtailment_end_timestamp_seconds", "When it ends (B23)", 0),
        gauge("grid_peak_probability_ratio", "Probability that the next hour is the month's peak (B24)", 0, 1),
        gauge("grid_carbon_kilograms_per_kilowatt_hour", "Carbon dioxide of the grid's energy now (CUE)", 0, 3),
    ),
    *produced_by(
        "the site's water meter",
        counter("site_water_liters_total", "Water that the site has taken in (WUE)", rate=10_000),
    ),
    *produced_by(
        "recorded by rules/catalogue/emissions.yaml and permit.yaml",
        gauge("emissions_nox_valid_ratio", "NOx at 15 % oxygen while the unit runs and its analyser counts", 0, 0.01),
        state("emissions_running_state", "1 while a unit runs, absent otherwise", NO_YES),
        gauge("emissions_nox_4h_ratio", "NOx, mean of four hours of operation, where 75 % are valid (B25)", 0, 0.01),
        gauge(
            "emissions_nox_4h_forecast_ratio", "The next 4-h mean, if this quarter of an hour goes on (B25)", 0, 0.01
        ),
        gauge("emissions_nox_30d_ratio", "NOx, mean of 30 days, where 75 % of operation are valid (B26)", 0, 0.01),
    ),
    *produced_by(
        "recorded by rules/catalogue/site.yaml, energy.yaml and efficiency.yaml",
        gauge(
            "site_power_watts",
            "Power that the site takes: grid, generators and storage together (B13, B15)",
            -1e9,
            1e10,
        ),
        gauge("site_grid_power_watts", "Power that the site takes from the grid (B12, B23)", -1e10, 1e10),
        gauge("site_ramp_watts_per_second", "How fast the site's power changes, over a minute (B13)", -1e9, 1e9),
        gauge("site_hour_energy_joules", "Energy of the facility in the last hour", 0, 1e14),
        gauge("site_hour_it_energy_joules", "Energy of IT in the last hour, at the inputs of rack PDUs", 0, 1e14),
        gauge("site_hour_cooling_energy_joules", "Energy of CDUs and air coolers in the last hour", 0, 1e14),
        gauge("site_hour_renewable_energy_joules", "Renewable energy generated in the last hour", 0, 1e14),
        gauge("site_hour_matched_energy_joules", "Of that, what the site took in the same hour", 0, 1e14),
        gauge("site_hour_carbon_kilograms", "Carbon dioxide of the last hour's energy", 0, 1e7),
        gauge(
            "site_power_usage_effectiveness_ratio",
            "PUE: energy of the facility over energy of IT (B28)",
            0,
            100,
            labels=WINDOW,
        ),
        gauge(
            "site_cooling_power_usage_effectiveness_ratio",
            "pPUE: energy of IT and cooling over energy of IT",
            0,
            100,
            labels=WINDOW,
        ),
        gauge(
            "site_carbon_usage_effectiveness_kilograms_per_kilowatt_hour",
            "CUE: carbon dioxide over energy of IT",
            0,
            100,
            labels=WINDOW,
        ),
        gauge(
            "site_water_usage_effectiveness_liters_per_kilowatt_hour",
            "WUE: water over energy of IT",
            0,
            1_000,
            labels=WINDOW,
        ),
        gauge("site_renewable_ratio", "Share of renewable energy, matched hour by hour (B27)", 0, 1.01, labels=WINDOW),
        gauge(
            "site_renewable_energy_factor_ratio", "REF: renewable energy over all, not matched", 0, 100, labels=WINDOW
        ),
        gauge(
            "power_redundancy_level", "Sources available beyond those needed, k of N+k (B22)", -100, 100, labels=SOURCE
        ),
    ),
    *produced_by(
        "recorded by rules/catalogue/bess.yaml",
        gauge("site_ride_through_seconds", "How long storage carries the site, less its reserve (B18)", -1e7, 1e9),
        gauge("site_storage_power_watts", "Power that storage can give now (B19)", 0, 1e10),
    ),
)
