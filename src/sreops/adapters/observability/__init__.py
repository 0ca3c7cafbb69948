"""What is read about services: Loki, Prometheus, Grafana."""
