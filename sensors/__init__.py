"""What starts runs without a person: uploads, pretrained encoders, automation, schedules."""
