"""Where time goes between a request and its last consequence: spans of OpenTelemetry, kept and drawn."""
