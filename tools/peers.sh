#!/usr/bin/env bash
# Installs the real peers the tests meet, where the user may; says what is missing, and never fails the build for it.
# In CI (CI=true) an absent peer fails its tests, so this script stays the same in both places.
set -u
cd "$(dirname "$0")/.."

declare -A debian=([snmpd]=snmpd [snmpget]=snmp [ipmi_sim]=openipmi [ipmitool]=ipmitool [prometheus]=prometheus
    [prometheus-alertmanager]=prometheus-alertmanager [victoria-metrics]=victoria-metrics [prometheus-snmp-exporter]=prometheus-snmp-exporter
    [slurmctld]=slurmctld [slurmd]=slurmd [slurmrestd]=slurmrestd [scontrol]=slurm-client [munged]=munge
    [strace]=strace [kubectl]=kubernetes-client)
missing=()
[ -e "/usr/lib/$(uname -m)-linux-gnu/slurm-wlm/auth_jwt.so" ] || missing+=(slurm-wlm-jwt-plugin)
for program in "${!debian[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing+=("${debian[$program]}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "peers: installing ${missing[*]}"
        # No package may start its service: the tests start each peer themselves, on loopback, on ports of their own.
        policy=/usr/sbin/policy-rc.d
        made=no
        [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes; }
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq >/dev/null 2>&1
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || echo "peers: some packages could not be installed: ${missing[*]}"
        [ "$made" = yes ] && rm -f "$policy"
    else
        echo "peers: absent: ${missing[*]}; try as root: apt-get install ${missing[*]}"
    fi
fi
bash tools/peers-kafka.sh || echo "peers: Apache Kafka could not be had; its tests will be skipped"
exit 0
