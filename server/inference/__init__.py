"""What happens between a validated request and its reply: models found, leased, prompted, run."""
