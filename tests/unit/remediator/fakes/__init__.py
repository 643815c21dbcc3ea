"""A whole site in memory and virtual time: plant, instruments, scheduler and an actuator that keeps the ground truth."""
