"""Runners: who executes runs, keeps their logs and serves their readers."""
