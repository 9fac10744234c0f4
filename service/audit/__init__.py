"""The audit trail: DICOM PS3.15 A.5 messages in a chained table, sent on by syslog."""
