"""Jobs and their schedulers, and what the inventory says, published as series to join on."""

from fleet.register.metric import NO_YES, counter, gauge, info, produced_by, state

JOB = ("job_id",)

JOBS = (
    *produced_by(
        "collectors, from the inventory (source site/fleet)",
        info("fleet_node_info", "A node, where it stands and what it is", "row", "model"),
        gauge("fleet_node_gpus", "GPUs that a node has when whole (A34)", 0, 64),
        gauge("fleet_node_idle_watts", "What a node draws with no job", 0, 50_000),
        info("fleet_feeds", "An outlet that feeds a node", "pdu", "outlet", "feed", "phase"),
        gauge(
            "fleet_pdu_phase_rated_amperes",
            "What a phase of a PDU carries (B01, B02, B04)",
            0,
            1_000,
            labels=("phase",),
        ),
        gauge("fleet_rack_power_limit_watts", "The most that may be drawn in a rack", 0, 1e6),
        info("fleet_cools", "A loop that cools a rack", "cdu", "loop"),
        info("fleet_fabric_links", "A switch port with a node behind it", "switch", "port"),
        gauge(
            "fleet_threshold",
            "A number that rules compare with, as the site has it (see thresholds.md), in the unit that its name ends in",
            labels=("name",),
        ),
    ),
    *produced_by(
        "collectors, from the scheduler",
        info(
            "fleet_job_info", "A job on a node, with its place in line", "job_id", "priority", "priority_value", "gang"
        ),
        state(
            "kube_node_status_condition",
            "Whether a node's condition has this status (D01, D02)",
            NO_YES,
            labels=("condition", "status"),
        ),
        state("kube_node_spec_unschedulable", "Whether a node is cordoned (D16)", NO_YES),
        state("kube_node_spec_taint", "A taint of a node", NO_YES, labels=("key", "value", "effect")),
        state(
            "kube_pod_status_phase",
            "Whether a pod is in this phase (D04)",
            NO_YES,
            labels=("namespace", "pod", "phase"),
        ),
        counter(
            "kube_pod_container_status_restarts_total",
            "Restarts of a container (D03)",
            labels=("namespace", "pod", "container"),
        ),
        state(
            "kube_pod_container_status_waiting_reason",
            "Why a container waits (D03, D04)",
            NO_YES,
            labels=("namespace", "pod", "container", "reason"),
        ),
        gauge(
            "kube_pod_deletion_timestamp",
            "When a pod was told to go (D04)",
            0,
            labels=("namespace", "pod"),
            unit="seconds since 1970",
        ),
        gauge(
            "kube_pod_created", "When a pod was made (D04)", 0, labels=("namespace", "pod"), unit="seconds since 1970"
        ),
        gauge(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Pods that may be evicted now (D14)",
            0,
            1e6,
            labels=("namespace", "poddisruptionbudget"),
        ),
        state("slurm_node_state", "Whether a Slurm node is in this state (D11)", NO_YES, labels=("state", "reason")),
        state("slurm_node_health_check", "Whether Slurm's health check passed (D12)", NO_YES),
        state("control_plane_up", "Whether a part of the control plane answers (D13)", NO_YES, labels=("component",)),
    ),
    *produced_by(
        "jobs, through the agent or their own exporter",
        gauge("job_ranks_expected_count", "Ranks that a job should have (D05)", 0, 1e6, labels=JOB),
        gauge("job_ranks_alive_count", "Ranks of a job that report (D05)", 0, 1e6, labels=JOB),
        gauge("job_last_step_timestamp_seconds", "When a job finished its last step (A33, D06)", 0, labels=JOB),
        gauge("job_step_duration_seconds", "Duration of a job's last step (A11, A32)", 0, 1e6, labels=(*JOB, "rank")),
        counter("job_restarts_total", "Restarts of a job (D07)", labels=JOB),
        gauge(
            "job_checkpoint_interval_seconds", "How often a job means to write a checkpoint (D08)", 0, 1e6, labels=JOB
        ),
        state("job_checkpoint_valid", "Whether a job's last checkpoint can be read (D09)", NO_YES, labels=JOB),
        gauge("job_unschedulable_seconds", "How long a gang waits for a place (D15)", 0, labels=JOB),
        gauge("fleet_spare_nodes_count", "Warm, healthy nodes with no job (D10)", 0, 1e6, labels=("group",)),
    ),
)
