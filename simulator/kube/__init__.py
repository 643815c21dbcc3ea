"""A Kubernetes API with the controllers behind it: nodes, pods, jobs, watches, evictions, taints, and kubelets of simulated nodes.

They must never let a pod go from a silent node before its kubelet, the out-of-service taint or a forced deletion says so,
start a replacement before the old pod object is gone, or change anything for a token that may only read.
"""
