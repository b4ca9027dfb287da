"""What starts runs without a person: bucket uploads, schedules, failures."""
