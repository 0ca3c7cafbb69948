"""A Grafana that speaks the API: data source proxy, alerts, annotations."""
