"""What is done regularly and by itself: retention, canary, alerts, sending the audit trail."""
