"""Liquid and air cooling. A coolant's temperature cannot jump: 20 litres at 50 kW warm by 0.6 K/s, and sensors lag."""

from fleet.register.metric import NO_YES, counter, gauge, produced_by, state

COOLANT_RATE = 5.0
"""Kelvin a second: eight times the fastest loop on record; a step beyond it is a broken sensor."""
PUMP = ("pump",)
SIDE = ("side",)

COOLING = (
    *produced_by(
        "CDU over Modbus",
        gauge("cdu_supply_temperature_celsius", "Coolant to the racks (C01)", -10, 95, rate=COOLANT_RATE),
        gauge("cdu_return_temperature_celsius", "Coolant from the racks (C02)", -10, 120, rate=COOLANT_RATE),
        gauge("cdu_flow_liters_per_minute", "Coolant flow to the racks (C03, C17)", 0, 10_000),
        gauge("cdu_pump_speed_rpm", "Pump speed (C04)", 0, 10_000, labels=PUMP),
        state(
            "cdu_pump_state",
            "Whether a pump runs (C04, C05)",
            {0: "stopped", 1: "running", 2: "standby", 3: "fault"},
            labels=PUMP,
        ),
        gauge("cdu_pressure_difference_pascals", "Supply minus return pressure (C03, C04)", -1e6, 2e6),
        gauge("cdu_supply_pressure_pascals", "Pressure of the supply (C08)", -1e5, 3e6),
        gauge("cdu_return_pressure_pascals", "Pressure of the return (C08)", -1e5, 3e6),
        gauge("cdu_reservoir_level_ratio", "Coolant in the reservoir (C08)", 0, 1, rate=0.1),
        counter("cdu_makeup_total", "Times that coolant was filled up by itself (C08)"),
        state("cdu_leak_detected", "Whether a detector is wet (C06, C07)", NO_YES, labels=("detector",)),
        gauge("cdu_heat_removed_watts", "Heat that it takes away, as it says itself", -1e6, 1e8),
        state("cdu_state", "State of the CDU (C05)", {0: "off", 1: "running", 2: "standby", 3: "degraded", 4: "fault"}),
        gauge("cdu_valve_position_ratio", "Where the primary valve stands (C20)", 0, 1),
        gauge("cdu_valve_command_ratio", "Where the primary valve shall stand (C20)", 0, 1),
        gauge("cdu_supply_set_point_celsius", "Supply temperature that it regulates to (C10)", 0, 80),
        gauge("cdu_filter_pressure_difference_pascals", "Pressure across the filter (C09)", 0, 1e6),
        gauge("cdu_primary_supply_temperature_celsius", "Facility water to the CDU (C12)", -10, 80, rate=COOLANT_RATE),
        gauge("cdu_primary_return_temperature_celsius", "Facility water from the CDU", -10, 95, rate=COOLANT_RATE),
        gauge("cdu_primary_flow_liters_per_minute", "Facility water flow (C12)", 0, 20_000),
        gauge("cdu_coolant_conductivity_siemens_per_meter", "Conductivity of the coolant (C11)", 0, 10),
        gauge("cdu_coolant_acidity", "pH of the coolant (C11)", 0, 14, rate=1),
        gauge("cdu_coolant_turbidity", "Turbidity of the coolant, in NTU (C11)", 0, 4_000),
        gauge("cdu_coolant_glycol_ratio", "Glycol in the coolant (C11)", 0, 1, rate=0.1),
    ),
    *produced_by(
        "rack manifolds and room sensors",
        gauge("rack_supply_temperature_celsius", "Coolant into the rack (C01)", -10, 95, rate=COOLANT_RATE),
        gauge("rack_return_temperature_celsius", "Coolant out of the rack (C02)", -10, 120, rate=COOLANT_RATE),
        gauge("rack_flow_liters_per_minute", "Coolant flow through the rack (C03, C17)", 0, 1_000),
        gauge("rack_pressure_pascals", "Coolant pressure at the rack (C07)", -1e5, 3e6),
        state("rack_leak_detected", "Whether a detector of the rack is wet (C06, C07)", NO_YES, labels=("detector",)),
        gauge("room_temperature_celsius", "Air temperature", -40, 85, rate=5),
        gauge("room_relative_humidity_ratio", "Relative humidity of the air (C10)", 0, 1, rate=0.2),
        gauge("room_dew_point_celsius", "Dew point of the air (C10)", -60, 60, rate=5),
    ),
    *produced_by(
        "air coolers and plant",
        gauge("crac_supply_temperature_celsius", "Air out of the cooler (C13)", -40, 85, rate=5),
        gauge("crac_return_temperature_celsius", "Air into the cooler", -40, 85, rate=5),
        gauge("crac_fan_speed_ratio", "Fan speed, of its maximum (C13)", 0, 1.2),
        gauge("crac_cooling_power_watts", "Heat that it takes away", 0, 1e7),
        gauge(
            "crac_fluid_temperature_celsius",
            "Water into and out of the cooler",
            -20,
            95,
            rate=COOLANT_RATE,
            labels=SIDE,
        ),
        gauge("crac_flow_liters_per_minute", "Water through the cooler", 0, 5_000),
        gauge("crac_valve_position_ratio", "Where its valve stands", 0, 1),
        state("crac_state", "State of the cooler (C13)", {0: "off", 1: "on", 2: "standby", 3: "fault"}),
        state("crac_leak_detected", "Whether its leak sensor is wet", NO_YES),
        state("crac_filter_alarm", "Whether it asks for a new filter (C13)", NO_YES),
        state("crac_refrigerant_alarm", "Whether it reports loss of refrigerant (C13)", NO_YES),
        gauge("plant_fan_speed_ratio", "Speed of a dry-cooler or tower fan (C12)", 0, 1.2, labels=("fan",)),
        gauge(
            "weather_wet_bulb_celsius",
            "Wet-bulb temperature outside, or its forecast (C12)",
            -60,
            50,
            labels=("horizon",),
        ),
    ),
    *produced_by(
        "rules/models, from meters and GPUs",
        gauge(
            "gpu_thermal_resistance_kelvin_per_watt",
            "GPU minus coolant temperature, over its power, of five loaded minutes (C16)",
            0,
            5,
            labels=("gpu", "UUID"),
        ),
        gauge(
            "gpu_thermal_resistance_baseline_kelvin_per_watt",
            "The same as it was in its last loaded week (C16)",
            0,
            5,
            labels=("gpu", "UUID"),
        ),
        gauge(
            "cdu_filter_reference_pressure_difference_pascals",
            "Pressure across the filter as it would be at 1,000 L/min (C09)",
            0,
            1e8,
        ),
        gauge(
            "cdu_filter_clean_pressure_difference_pascals",
            "The lowest that it was at that flow, forgotten by a hundredth a day (C09)",
            0,
            1e8,
        ),
        gauge("condensation_margin_kelvin", "Supply temperature minus the dew point of its zone (C10)", -60, 100),
    ),
)
