"""Kubernetes over its API: the reader that mirrors a cluster and looks things up, the writer of the closed verbs.

Neither goes through a generated client: decoding 1,000 pods costs kubernetes-asyncio 780 ms of a blocked event loop
and its import 2.9 CPU-seconds and 100 MB (measured), it reads without a bound, believes proxy variables, and a pooled
client may send a write again.
"""

from devices.wire.kubernetes_facts import Job, Node, Pod
from devices.wire.kubernetes_reader import KubernetesReader
from devices.wire.kubernetes_writer import KubernetesWriter

__all__ = ["Job", "KubernetesReader", "KubernetesWriter", "Node", "Pod"]
