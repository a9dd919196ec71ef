"""The one place that wires settings to adapters, services and processes."""
