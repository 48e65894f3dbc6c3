"""The target in a process of its own, with limits: whatever becomes of it is a finding, and the run goes on."""
