"""Stage 1: webhooks, notifications and polls become events; what was named is read. Answered only after commit."""
