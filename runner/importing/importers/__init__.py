"""One importer for each kind of source: crontab, Kubernetes, Openbravo, yacron. Pure."""
